"""The catalogue and one feature, over two patients of one center."""

import html
import re
import shlex
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from penumbra import store
from penumbra.console import features
from penumbra.console.application import application
from penumbra.console.context import Console
from penumbra.console.features import region
from penumbra.pipeline import feature_facts
from penumbra.pipeline.settings import load_settings
from penumbra.report.feature_figures import Group, against_volume, distribution

from .serving import Served

pytestmark = pytest.mark.slow


def test_the_catalogue_is_searched_by_name_family_image_and_meaning(served: Served) -> None:
    assert "1,316 features" in served.get("/features").text
    found = served.get("/features?q=mesh%20volume").text
    assert "MeshVolume" in found
    assert "Elongation" not in found
    assert "14 features" in served.get("/features?family=shape").text
    assert "0 features" in served.get("/features?family=shape&image=wavelet-HHH").text
    assert "0 features" in served.get("/features?q=%27%20OR%201%3D1%20--").text
    assert "Try fewer words" in served.get("/features?q=nothingatall").text
    assert "51 to 100 of 1,316" in served.get("/features?page=2").text
    assert served.get("/features?page=0").status == 400


@pytest.mark.parametrize("query", ["", "?q=mesh%20volume", "?family=shape", "?q=it%27s%20100%25&image=original", "?q=run&image=wavelet-HHH"])
def test_the_command_of_the_catalogue_has_its_search(served: Served, query: str) -> None:
    page = served.get(f"/features{query}").text
    typed = re.search(r"at the command line: <code>(.*?)</code>", page)
    assert typed is not None
    program, verb, statement = shlex.split(html.unescape(typed[1]))
    assert (program, verb) == ("penumbra", "sql")
    rows = store.query(served.home, statement).to_pylist()
    assert [row["feature"] for row in rows][:50] == re.findall(r'<th scope="row"><a href="/features/([^"?]+)">', page)
    assert f"{len(rows):,} feature" in page


def test_a_feature_says_what_it_is_and_who_has_it(served: Served) -> None:
    end = time.monotonic() + 60
    while "The figures are being drawn" in (page := served.get("/features/original_shape_MeshVolume").text):
        assert time.monotonic() < end
        time.sleep(0.1)
    for words in ("RNU0", "mm³", "north", "Models that keep it", "0123456789ab", "penumbra stability", "the only training center"):
        assert words in page, words
    assert "data-numbers=" in page
    assert "style=" not in page


def test_while_its_figures_are_drawn_the_page_stands_and_looks_again(small_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def slow(*_: object) -> list[object]:
        assert release.wait(60)
        return []

    monkeypatch.setattr(features, "drawn_figures", slow)
    console = Console(small_home, load_settings())
    with TestClient(application(console), base_url="http://127.0.0.1", client=("127.0.0.1", 4000)) as browser:
        waiting = browser.get("/features/original_shape_MeshVolume")
        assert (waiting.status_code, waiting.headers["refresh"]) == (200, "1"), "also without scripts"
        assert "etag" not in waiting.headers
        assert "The figures are being drawn." in waiting.text
        assert "the only training center" in waiting.text, "the rest of it stands"
        release.set()
        console.kept.get(("figures of", None, "original_shape_MeshVolume", "gtv"), lambda: pytest.fail("drawn twice")).result(60)
        ready = browser.get("/features/original_shape_MeshVolume")
        assert "The figures are being drawn." not in ready.text
        assert "refresh" not in ready.headers
        assert ready.headers["etag"]


def test_its_values_are_a_table_of_patients(served: Served) -> None:
    answer = served.get("/features/original_shape_MeshVolume?roi=gtv&format=csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "original_shape_MeshVolume-gtv.csv" in answer.headers["content-disposition"]
    assert answer.text.splitlines() == [
        "patient,center,roi,version,original_shape_MeshVolume",
        "N001,north,gtv,0123456789ab,1000.0",
        "N002,north,gtv,0123456789ab,1000.0",
    ]


def test_what_is_not_there_is_refused_with_what_is(served: Served) -> None:
    unknown = served.get("/features/original_shape_MeshVolum")
    assert unknown.status == 404
    assert "original_shape_MeshVolume" in unknown.text
    assert served.get("/features/original_shape_MeshVolume?roi=liver").status == 400
    assert "Its regions are gtv" in served.get("/features/original_shape_MeshVolume?roi=liver").text
    hostile = served.get("/features/%22%3B%20DROP%20TABLE%20patients%3B--?roi=%3Cscript%3E")
    assert hostile.status == 404
    assert "<script>" not in hostile.text.replace('<script src="', "")


def test_rank_correlation_is_of_patients_with_both() -> None:
    one, other = np.array([1.0, 2.0, 3.0, np.nan, 5.0]), np.array([10.0, 200.0, 3000.0, 1.0, np.nan])
    assert feature_facts.rank_correlation(one, other) == pytest.approx(1)
    assert feature_facts.rank_correlation(one, -(other**2)) == pytest.approx(-1)
    assert np.isnan(feature_facts.rank_correlation(one[:2], other[:2]))
    assert np.isnan(feature_facts.rank_correlation(np.ones(5), other))


def test_figures_of_a_feature_can_be_read() -> None:
    values = np.array([1.0, 2.0, 3.0, np.nan])
    rows = distribution([Group("north", values), Group("empty", np.array([np.nan]))], "Mean, HU", "one")
    assert "north: median 2 (quartiles 1.5 to 2.5), 3 patients; empty: no value" in rows.alt
    assert rows.numbers is not None
    assert rows.numbers["axes"][0]["series"][0]["y"] == [0]
    cloud = against_volume(["a", "a", "b", "b"], ["P1", "P2", "P3", "P4"], np.array([20.0, 5.0, 1.0, 2.0]), values, "Mean, HU", "two")
    assert cloud.numbers is not None
    assert [series["words"] for series in cloud.numbers["axes"][0]["series"]] == [["P2 2, 5 cm³", "P1 1, 20 cm³"], ["P3 3, 1 cm³"]]


def test_settings_that_define_a_feature_are_those_of_its_image() -> None:
    params = {
        "engine": {"engine": "penumbra", "engine_version": "2"},
        "grid_mm": 1.0,
        "radiomics": {"setting": {"binWidth": 25}, "imageType": {"LoG": {"sigma": [1.0, 2.0]}, "Wavelet": {"wavelet": "coif1"}, "Original": {}}},
    }
    wavelet = {"binWidth": "25", "Wavelet wavelet": "coif1", "grid, mm": "1.0", "engine": "penumbra 2"}
    assert dict(feature_facts.defining_settings(params, "wavelet-LLH")) == wavelet
    assert "LoG sigma" in dict(feature_facts.defining_settings(params, "log-sigma-2-0-mm-3D"))
    assert "Wavelet wavelet" not in dict(feature_facts.defining_settings(params, "original"))


def test_no_version_reads_a_feature_that_none_kept(small_home: Path) -> None:
    assert feature_facts.uses_of(small_home, "original_shape_Flatness") == ([], 0)
    assert region("gtv") == "GTV"
