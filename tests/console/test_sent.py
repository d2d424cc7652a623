"""Pages that were sent once are sent again without rendering, until anything changes; what cannot be kept is made for each who asks."""

import threading
import time

from starlette.responses import HTMLResponse, Response, StreamingResponse

from penumbra.console.sent import LARGEST, Sent


class Pages:
    """Counts what it makes."""

    def __init__(self, body: str = "N001", status: int = 200, pause_s: float = 0.0) -> None:
        self.body, self.status, self.pause_s = body, status, pause_s
        self.made = 0

    def __call__(self) -> Response:
        self.made += 1
        time.sleep(self.pause_s)
        return HTMLResponse(f"{self.body}", self.status, {"X-Made": str(self.made)})


def named(response: Response) -> frozenset[str]:
    return frozenset({"N001"}) if b"N001" in response.body else frozenset()


def test_a_second_visit_gets_the_same_bytes_headers_and_names() -> None:
    sent, page = Sent(lambda: 1), Pages()
    (first, whom), (second, again) = (sent.get("tag", page, named) for _ in range(2))
    assert page.made == 1
    assert (first.body, first.raw_headers) == (second.body, second.raw_headers)
    assert whom == again == {"N001"}
    second.headers["ETag"] = "changed by one answer"
    assert "etag" not in sent.get("tag", page, named)[0].headers


def test_a_change_of_the_state_empties_it() -> None:
    state = [1]
    sent, page = Sent(lambda: state[0]), Pages()
    sent.get("tag", page, named)
    state[0] = 2
    page.body = "gone"
    assert sent.get("tag", page, named)[0].body == b"gone"
    assert page.made == 2


def test_another_key_is_another_page() -> None:
    sent, page = Sent(lambda: 1), Pages()
    for key in ("a", "b", "a"):
        sent.get(key, page, named)
    assert page.made == 2


def test_an_error_a_large_page_and_a_stream_are_made_each_time() -> None:
    for page in (Pages(status=503), Pages(status=202), Pages(body="x" * (LARGEST + 1))):
        sent = Sent(lambda: 1)
        for _ in range(3):
            assert sent.get("tag", page, named)[0].status_code == page.status
        assert page.made == 3
    streams = [Sent(lambda: 1).get("tag", lambda: StreamingResponse(iter([b"1"])), lambda _: None) for _ in range(2)]
    assert streams[0][0] is not streams[1][0]


def test_a_file_that_is_packed_for_one_reader_is_not_sent_to_another() -> None:
    sent = Sent(lambda: 1)
    packed = Response(b"\x1f\x8b", media_type="application/octet-stream", headers={"Content-Encoding": "gzip"})
    plain = Response(b"mask", media_type="application/octet-stream")
    assert sent.get("tag", lambda: packed, lambda _: None)[0].body == b"\x1f\x8b"
    assert sent.get("tag", lambda: plain, lambda _: None)[0].body == b"mask"


def test_twenty_who_ask_at_once_wait_for_one_rendering() -> None:
    sent, page, bodies = Sent(lambda: 1), Pages(pause_s=0.2), []
    people = [threading.Thread(target=lambda: bodies.append(sent.get("tag", page, named)[0].body)) for _ in range(20)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert page.made == 1
    assert bodies == [b"N001"] * 20
