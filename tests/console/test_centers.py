"""The centers' pages: numbers that lead to the patients they count, what to do about each refusal, the shift of a center on request."""

import html
import re
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest

from penumbra import store
from penumbra.commands import drift
from penumbra.pipeline import people
from penumbra.pipeline.settings import load_settings
from tests.example_home import FEATURES, VERSION

from .people_home import HOSTILE, HOSTILE_CENTER
from .serving import Served
from .test_patients import names, words

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("everybody")]


def test_every_number_of_the_flow_leads_to_as_many_patients(everybody: Served) -> None:
    drawing = everybody.get("/centers/east").text.partition('<ul class="flow-list">')[2].partition("</ul>")[0]
    links = [(html.unescape(address), html.unescape(text)) for address, text in re.findall(r'<a href="([^"]+)">([^<]+)</a>', drawing)]
    assert [text for _, text in links] == [
        "4 found",
        "2 rejected: no structure named as a GTV",
        "1 rejected: no survival time",
        "1 used",
        "1 remarked: unequal slice gaps",
    ]
    for address, text in links:
        assert len(names(everybody.get(address).text)) == int(text.split()[0]), text


def test_the_drawing_has_the_same_links_as_the_list(everybody: Served) -> None:
    page = everybody.get("/centers").text
    for drawing, listed in zip(re.findall(r"<svg.*?</svg>", page, re.DOTALL), re.findall(r'<ul class="flow-list">.*?</ul>', page, re.DOTALL), strict=True):
        assert re.findall(r'<a href="([^"]+)"', drawing) == re.findall(r'<a href="([^"]+)"', listed)


def test_refused_patients_are_listed_with_what_to_do(everybody: Served) -> None:
    said = words(everybody.get("/centers/east").text)
    assert "E002 rejected No structure is named like a GTV; found: 4 structures gtv_named Add the name of the GTV to this center" in said
    assert "1 used" in said


def test_structures_are_those_that_the_store_keeps(everybody: Served) -> None:
    page = everybody.get(f"/centers/{quote(HOSTILE_CENTER, safe='')}").text
    assert html.escape(HOSTILE[0]) in page
    assert "<script>alert" not in page
    assert f"{len(HOSTILE)} used" in words(page)


def test_a_center_that_never_came_is_not_there(everybody: Served) -> None:
    for name in ("west", quote("' OR 1=1 --", safe=""), quote("../north", safe="")):
        assert everybody.get(f"/centers/{name}").status == 404
        assert everybody.get(f"/centers/{name}/drift").status == 404


def test_flows_add_up(everybodys_home: Path) -> None:
    with store.connect(everybodys_home, read_only=True) as lake:
        listed = people.in_memory(everybodys_home, lake, people.chosen(people.versions(lake)))
    flows = people.flows(listed, ["empty"], ["north"])
    assert [flow.center for flow in flows] == ["north", HOSTILE_CENTER, "east", "empty"]
    for flow in flows:
        assert flow.arrived == flow.used + sum(patients for *_, patients in flow.out)
    assert (flows[0].used, flows[0].deaths, flows[0].training) == (2, 1, True)


def test_the_shift_of_a_center_reads_no_outcome_and_counts_no_look(everybodys_home: Path, tmp_path: Path) -> None:
    settings = load_settings("quick")
    shutil.copytree(everybodys_home, tmp_path / "home")
    with store.connect(tmp_path / "home") as lake:
        rows = [{"patient": "E001", "center": "east", "roi": "gtv", "image_version": "image1", "values": [90.0, 2.5, 1000.0]}]
        store.write_features(lake, "radiomics", VERSION, rows, features=FEATURES, run="example")
        before = lake.newest_commit()
        families = drift.by_family(drift.shifted(lake, settings, "east"), settings)
        assert lake.newest_commit() == before
        assert lake.rows("looks") == []
    assert {family.family for family in families} == {"firstorder", "glcm", "shape"}
    assert families[0].family == "firstorder"
    assert families[0].most[0]["feature"] == "original_firstorder_Mean"
