"""The list of patients and one patient's page: who is shown in which order, what is said of them, and names that are data."""

import html
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from markupsafe import escape

from penumbra import store

from . import serving
from .people_home import HOSTILE, HOSTILE_CENTER
from .serving import Served

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("everybody")]


def names(page: str) -> list[str]:
    """The patients of a list, in order."""
    return [html.unescape(name) for name in re.findall(r'<th scope="row"><a href="[^"]*/patients/[^"]*">([^<]*)</a></th>', page)]


def command(page: str) -> list[str]:
    """The command of a page, as a shell splits it."""
    typed = re.search(r"The same at the command line: <code>(.*?)</code>", page, re.DOTALL)
    assert typed is not None
    return shlex.split(html.unescape(typed[1]))


def words(page: str) -> str:
    """What a page says, without markup and with single blanks."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def answered(home: Path, typed: list[str]) -> list[str]:
    """The first column of what a command answers."""
    assert typed[0] == "penumbra"
    done = subprocess.run(
        [sys.executable, "-m", "penumbra.cli", *typed[1:], "--format", "json"], env=serving.environment(home), capture_output=True, text=True, check=True
    )
    return [row["patient"] for row in json.loads(done.stdout)]


def test_refused_patients_come_first_then_suspicious_masks_or_the_highest_risk(everybody: Served) -> None:
    suspicious = names(everybody.get("/patients").text)
    assert suspicious[:4] == ["<u>H</u>", "E002", "E003", "E004"]
    assert suspicious[4] == "E001"
    assert len(suspicious) == len(HOSTILE) + 7
    assert names(everybody.get("/patients?sort=risk").text)[:3] == ["E001", "N001", "N002"]
    assert names(everybody.get("/patients?sort=-risk").text)[:3] == ["N002", "N001", "E001"]


@pytest.mark.parametrize("query", ["sort=risk", "sort=-risk&status=used", "sort=-stage&center=east", "sort=risk&as_of=5", "q=e00&sort=-time"])
def test_the_command_of_a_list_gives_its_order(everybody: Served, everybodys_home: Path, query: str) -> None:
    page = everybody.get(f"/patients?{query}").text
    assert answered(everybodys_home, command(page)) == names(page)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("center=east", ["E002", "E003", "E004", "E001"]),
        ("center=east&status=rejected&rule=gtv_named", ["E002", "E003"]),
        ("status=remarked", ["E001"]),
        ("rule=slice_gaps", ["E001"]),
        ("center=east&status=used", ["E001"]),
        ("group=low", ["N002"]),
        ("group=low&version=nsclc-os/2", ["E001"]),
        ("applicability=edge&sort=patient", ["E001", "N001", "N002"]),
        ("q=e00&status=out", ["E002", "E003", "E004"]),
        ("q=%25", []),
        ("q=nobody", []),
    ],
)
def test_filters_are_the_address_and_the_command_gives_the_same(everybody: Served, everybodys_home: Path, query: str, expected: list[str]) -> None:
    page = everybody.get(f"/patients?{query}").text
    assert names(page) == expected
    assert answered(everybodys_home, command(page)) == expected


def test_statements_in_every_field_are_texts(everybody: Served) -> None:
    attack = quote("' OR 1=1; DROP TABLE people --")
    for field in ("q", "center", "status", "rule", "group", "applicability"):
        answer = everybody.get(f"/patients?{field}={attack}")
        assert answer.status == 200
        assert names(answer.text) == [], field
    assert everybody.get(f"/patients?sort={attack}").status == 200
    assert everybody.get(f"/patients?version={attack}").status == 404
    assert everybody.get("/patients?page=-1").status == 400
    assert names(everybody.get("/patients?page=7").text) == []
    assert len(names(everybody.get("/patients").text)) == len(HOSTILE) + 7


def test_names_are_data_on_every_page(everybody: Served) -> None:
    pages = [everybody.get("/patients").text, everybody.get("/centers").text, everybody.get(f"/centers/{quote(HOSTILE_CENTER, safe='')}").text]
    for name in (*HOSTILE, "<u>H</u>"):
        answer = everybody.get(f"/patients/{quote(name, safe='')}")
        assert answer.status == (404 if "/" in name else 200), name  # a slash in an address is none of a name: no store takes one in a patient's id
        assert (str(escape(name)) in answer.text) == (answer.status == 200)
        assert (str(escape(HOSTILE_CENTER)) in answer.text) == (answer.status == 200)
        pages.append(answer.text)
    for page in pages:
        assert not re.search(r"<script>|<u>|<b>|onerror=alert\(2\)>\s*<|<img src=x", page)
        assert "<title>49" not in page
    assert "{{ 7 * 7 }}" in everybody.get(f"/patients/{quote(HOSTILE[4])}").text


def test_a_flagged_patient_says_why_with_its_figures(everybody: Served) -> None:
    said = words(everybody.get("/patients/E001").text)
    assert "Slice gaps of 3.00 to 6.00 mm within the GTV. Look at the contours." in said
    assert "! gaps , a finding is about it 3.00 to 6.00 mm" in said
    assert "✓ volume , fine 5.50 cm³ in voxels, 5.49 by contours" in said
    assert "outcome died on day 400 (1.1 years)" in said


def test_the_record_has_its_history(everybody: Served) -> None:
    said = words(everybody.get("/patients/E001").text)
    assert "1 change to the record" in said
    assert "followed, days from 300.0 to 400.0" in said
    assert "died from False to True" in said
    assert "alive on day 300" in words(everybody.get("/patients/E001?as_of=5").text)


def test_every_version_says_what_the_patient_was_to_it(everybody: Served) -> None:
    said = words(everybody.get("/patients/E001").text)
    assert "E001 was never seen by this version" in said
    assert "nsclc-os/2 was in the training of this version -0.20 low -0.70 to +0.30 apparent" in said
    second = words(everybody.get("/patients/E001?version=2").text)
    assert "E001 was in the training of this version: its own answer is apparent, not a prediction." in second


def test_two_versions_are_compared(everybody: Served) -> None:
    part = everybody.get("/patients/E001?version=1&against=2").text.partition('id="compare"')[2]
    said = words(part)
    assert "log risk +0.90 high +0.40 to +1.40 -0.20 low -0.70 to +0.30 apparent -1.10" in said
    assert "alive after 2 years 50 % (40 % to 60 %) 50 % (40 % to 60 %)" in said


def test_a_rejected_patient_has_a_page_with_what_to_do(everybody: Served, everybodys_home: Path) -> None:
    page = everybody.get("/patients/E003").text
    said = words(page)
    assert "No structure named as a GTV" in said
    assert "found no structure is named like a GTV; found: <i>2</i> structures" in said
    assert "what to do Add the name of the GTV to this center" in said
    assert "penumbra rules gtv_named" in said
    assert answered(everybodys_home, command(page)) == ["E003"]
    others = re.search(r'<a href="([^"]+)">All patients with this reason', page)
    assert others is not None
    assert names(everybody.get(html.unescape(others[1])).text) == ["<u>H</u>", "E002", "E003"]


def test_features_are_searched_and_paged(everybody: Served) -> None:
    page = everybody.get("/patients/N001?q=contrast").text.partition('id="feature-list"')[2]
    assert "1 feature." in words(page)
    assert "original_glcm_Contrast" in page
    assert "original_firstorder_Mean" not in page
    assert 'aria-label="percentile 50"' in page  # the one other patient has the same value
    outside = words(everybody.get("/patients/N001?mark=outside").text.partition('id="feature-list"')[2])
    assert "original_firstorder_Mean" in outside
    assert "original_glcm_Contrast" not in outside


def test_marks_of_features_are_combined_and_values_have_units(everybody: Served) -> None:
    def features(query: str) -> set[str]:
        page = everybody.get(f"/patients/N001?{query}").text.partition('id="feature-list"')[2]
        return set(re.findall(r"/features/(\w+)", page))

    outside, used = features("mark=outside"), features("mark=used")
    assert outside
    assert features("mark=outside&mark=used") == outside & used
    assert features("mark=outside&mark=missing") == set()
    assert re.search(r'data-head="Value"><span>[\d.,]+ mm³</span>', everybody.get("/patients/N001?q=meshvolume").text)


def test_nobody_and_a_withdrawn_patient_are_told_apart_by_nothing(everybodys_home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "home"
    shutil.copytree(everybodys_home, folder)
    with serving.served(folder) as console:
        before = console.get("/patients/E001")
        assert before.status == 200
        with store.connect(folder) as lake:
            store.forget(lake, "E001", run="example", reason="asked to")
        for path in ("", "/explanation", "/thumbnail/image1.png"):
            after = console.get(f"/patients/E001{path}", if_none_match=before.headers["etag"])
            nobody = console.get(f"/patients/E999{path}")
            assert (after.status, after.text.replace("E001", "")) == (404, nobody.text.replace("E999", ""))
            assert "no such patient" in after.text.lower()
        assert "E001" not in console.get("/patients").text
        assert "E001" not in console.get("/centers/east").text
