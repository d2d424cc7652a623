"""The frame of the console: headers, ETag, errors, the proxy's path."""

from pathlib import Path

import pytest

from penumbra import store
from penumbra.console.application import HEADERS

from . import serving
from .serving import Served

pytestmark = pytest.mark.slow


def test_every_answer_has_the_headers_of_a_page_that_trusts_nobody(served: Served) -> None:
    for path in ("/", "/nothing", "/static/console.css", "/static/nothing.css", "/tables", "/%00"):
        answer = served.get(path)
        assert {name: answer.headers[name.lower()] for name in HEADERS} == HEADERS, path
        assert "server" not in answer.headers
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "data:" not in policy


def test_a_page_that_is_not_there_says_so_within_the_frame(served: Served) -> None:
    answer = served.get("/nothing/<script>alert(1)</script>")
    assert answer.status == 404
    assert "There is no such page" in answer.text
    assert "<script>alert" not in answer.text


def test_below_the_path_of_a_proxy_every_link_stays_below_it(small_home: Path) -> None:
    with serving.served(small_home, prefix="/clinic/penumbra") as below:
        links = below.links("/")
        assert links
        assert {link[:17] for link in links} == {"/clinic/penumbra/"}
        assert {below.get(link.removeprefix("/clinic/penumbra")).status for link in links} == {200}


def test_a_new_commit_is_seen_by_a_held_connection(tmp_path: Path) -> None:
    """A page is "not modified" until something is committed, and not one request longer."""
    home = tmp_path / "home"
    with store.connect(home) as lake:
        lake.write({"centers": [{"center": "north"}]}, run="test", what="north")
    with serving.served(home) as fresh:
        first = fresh.get("/tables/centers")
        assert fresh.get("/tables/centers", if_none_match=first.headers["etag"]).status == 304
        with store.connect(home) as lake:
            lake.write({"centers": [{"center": "south"}]}, run="test", what="south")
        assert fresh.get("/tables/centers", if_none_match=first.headers["etag"]).status == 200
