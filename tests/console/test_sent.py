"""Pages that were sent once are sent again without rendering; after a change the copy from before is sent with its age while one thread renders the new one."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from starlette.responses import HTMLResponse, Response, StreamingResponse

from penumbra.base.refusal import Refusal
from penumbra.console.sent import LARGEST, Sending, Sent


class Pages:
    """Counts what it makes; `pause` is what rendering waits for."""

    def __init__(self, body: str = "N001", status: int = 200, pause: Callable[[], object] = lambda: None) -> None:
        self.body, self.status, self.pause = body, status, pause
        self.made = 0

    def __call__(self) -> Response:
        self.made += 1
        self.pause()
        return HTMLResponse(f"{self.body}", self.status, {"X-Made": str(self.made)})


def named(response: Response) -> frozenset[str]:
    return frozenset({"N001"}) if b"N001" in getattr(response, "body", b"") else frozenset()


@dataclass
class World:
    """What pages depend on, with a clock that is set by hand."""

    state: int = 1
    settled: int = 0
    now: float = 1000.0
    sent: Sent = field(init=False)

    def __post_init__(self) -> None:
        self.sent = Sent(lambda: self.state, lambda _: self.settled, 30.0, patience_s=0.05, clock=lambda: self.now)

    def get(self, page: Callable[[], Response], key: str = "page", *, patient: bool = False) -> Sending:
        return self.sent.get(key, page, named, patient=patient)

    def eventually(self, page: Callable[[], Response], body: bytes, key: str = "page") -> Sending:
        """The page once it says so."""
        end = time.monotonic() + 30
        while (sending := self.get(page, key)).response.body != body:
            assert time.monotonic() < end, sending.response.body
            time.sleep(0.01)
        return sending


@contextmanager
def held(page: Pages) -> Iterator[threading.Event]:
    """Rendering the page waits until the end of the block; yields what says that it has begun."""
    begun, release = threading.Event(), threading.Event()

    def pause() -> None:
        begun.set()
        assert release.wait(60)

    page.pause = pause
    try:
        yield begun
    finally:
        page.pause = lambda: None
        release.set()


def test_a_second_visit_gets_the_same_bytes_headers_and_names() -> None:
    world, page = World(), Pages()
    first, second = (world.get(page) for _ in range(2))
    assert page.made == 1
    assert (first.response.body, first.response.raw_headers) == (second.response.body, second.response.raw_headers)
    assert first.named == second.named == {"N001"}
    assert first.age_s is second.age_s is None
    second.response.headers["ETag"] = "changed by one answer"
    assert "etag" not in world.get(page).response.headers


def test_a_change_of_the_state_shows_at_once_where_it_is_rendered_in_time() -> None:
    world, page = World(), Pages()
    world.get(page)
    world.state, page.body = 2, "new"
    sending = world.get(page)
    assert (sending.response.body, sending.age_s, page.made) == (b"new", None, 2)


def test_a_page_that_takes_longer_is_sent_from_before_with_its_age_and_rendered_once() -> None:
    world, page = World(), Pages("old")
    world.get(page)
    world.state, world.now, page.body = 2, 1004.0, "new"
    with held(page) as begun:
        answers = [world.get(page) for _ in range(5)]
        assert begun.wait(60)
        assert [(sending.response.body, sending.age_s) for sending in answers] == [(b"old", 4.0)] * 5
    assert world.eventually(page, b"new").age_s is None
    assert page.made == 2, "one rendering for all of them"


def test_a_reader_who_wants_the_newest_waits() -> None:
    world, page = World(), Pages("old")
    world.get(page)
    world.state, page.body, page.pause = 2, "new", lambda: time.sleep(0.2)
    sending = world.get(page, patient=True)
    assert (sending.response.body, sending.age_s) == (b"new", None)


def test_a_reader_who_wants_the_newest_does_not_take_a_rendering_of_before() -> None:
    world, page = World(), Pages("old")
    world.get(page)
    world.state = 2
    with held(page) as begun:
        assert world.get(page).age_s == 0, "a rendering of state 2 is under way"
        assert begun.wait(60)
        world.state = 3
        answers: list[Sending] = []
        reader = threading.Thread(target=lambda: answers.append(world.get(page, patient=True)))
        reader.start()
    reader.join(60)
    assert [(sending.age_s, page.made) for sending in answers] == [(None, 3)]


def test_a_copy_is_not_sent_longer_than_its_time() -> None:
    world, page = World(), Pages("old")
    world.get(page)
    world.state, world.now, page.body, page.pause = 2, 1000.0 + 30.0, "new", lambda: time.sleep(0.2)
    assert world.get(page).response.body == b"new"


def test_the_age_counts_from_the_change_not_from_the_rendering() -> None:
    world, page, other = World(), Pages("old"), Pages("other")
    world.get(page)
    world.now = 5000.0
    world.get(other, "another page")  # its reader saw that nothing had changed
    world.state, world.now = 2, 5003.0
    with held(page):
        assert world.get(page).age_s == 3.0


def test_what_must_show_at_once_empties_it_and_no_rendering_from_before_comes_back() -> None:
    """A patient who withdrew: neither a copy, nor a page that was being rendered meanwhile, may be sent again."""
    world, page = World(), Pages("N001")
    world.get(page)
    world.get(page, "another page")
    world.state = 2
    with held(page) as begun:  # it has read the patient already, and is about to write the page
        assert world.get(page).response.body == b"N001"
        assert begun.wait(60)
        gone = Pages("gone")
        world.state, world.settled = 3, 1
        for key in ("page", "another page"):
            sending = world.get(gone, key)
            assert (sending.response.body, sending.named, sending.age_s) == (b"gone", frozenset(), None)
    time.sleep(0.2)  # the rendering from before ends
    for key in ("page", "another page"):
        assert world.get(gone, key).response.body == b"gone"
    assert gone.made == 2


def test_without_stale_copies_every_change_is_waited_for() -> None:
    state = [1]
    sent, page = Sent(lambda: state[0]), Pages("old")
    sent.get("page", page, named)
    state[0], page.body, page.pause = 2, "new", lambda: time.sleep(0.2)
    assert sent.get("page", page, named).response.body == b"new"


def test_a_page_that_fails_is_told_so_at_the_next_visit() -> None:
    world, page = World(), Pages("old")
    world.get(page)
    world.state = 2

    def fails() -> Response:
        raise Refusal("patient", "no such patient", "look at the list")

    for _ in range(2):
        with pytest.raises(Refusal, match="no such patient"):
            world.get(fails)
    assert world.get(page).response.body == b"old", "and it can come back"


def test_another_key_is_another_page() -> None:
    world, page = World(), Pages()
    for key in ("a", "b", "a"):
        world.get(page, key)
    assert page.made == 2


def test_another_part_of_the_state_renders_again() -> None:
    world, page = World(), Pages()
    for second in (7, 7, 8):
        world.sent.get("page", page, named, part=second)
    assert page.made == 2


def test_an_error_a_large_page_and_a_stream_are_made_each_time() -> None:
    for page in (Pages(status=503), Pages(status=202), Pages(body="x" * (LARGEST + 1))):
        world = World()
        for _ in range(3):
            assert world.get(page).response.status_code == page.status
        assert page.made == 3
    streams = [World().get(lambda: StreamingResponse(iter([b"1"]))) for _ in range(2)]
    assert streams[0].response is not streams[1].response


def test_a_page_of_which_something_is_still_computed_is_not_kept() -> None:
    world, page = World(), Pages()

    def unfinished() -> Response:
        response = page()
        response.headers["Refresh"] = "1"
        return response

    for _ in range(3):
        assert world.get(unfinished).response.headers["refresh"] == "1"
    assert page.made == 3


def test_a_file_that_is_packed_for_one_reader_is_not_sent_to_another() -> None:
    world = World()
    packed = Response(b"\x1f\x8b", media_type="application/octet-stream", headers={"Content-Encoding": "gzip"})
    plain = Response(b"mask", media_type="application/octet-stream")
    assert world.get(lambda: packed).response.body == b"\x1f\x8b"
    assert world.get(lambda: plain).response.body == b"mask"


def test_twenty_who_ask_at_once_wait_for_one_rendering() -> None:
    world, page, bodies = World(), Pages(pause=lambda: time.sleep(0.2)), []
    people = [threading.Thread(target=lambda: bodies.append(world.get(page).response.body)) for _ in range(20)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert page.made == 1
    assert bodies == [b"N001"] * 20
