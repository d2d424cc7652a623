"""Patients who are taken back by their center, who continue elsewhere, and whose records contradict the stored ones."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from penumbra import store
from penumbra.base.refusal import Refusal
from penumbra.commands import monitor
from penumbra.commands.predict import Prediction
from penumbra.pipeline import arrivals, persons
from penumbra.pipeline.ingest import ingest

from ..cohort.test_ingest_stage import Center, center, rows, write_pair

pytestmark = pytest.mark.slow

__all__ = ["center"]
HERE = "SELECT patient FROM {} ORDER BY patient"


def shown(center: Center, relation: str, as_of: int | None = None) -> list[object]:
    return [row["patient"] for row in rows(center.work, HERE.format(relation), as_of)]


def newest(center: Center) -> int:
    return int(rows(center.work, "SELECT max(id) AS id FROM commits")[0]["id"])  # type: ignore[call-overload]


def take_back(center: Center, patient: str, sent: dict[str, str], name: str = "alpha") -> None:
    shutil.rmtree(center.root / name / patient)
    center.send(name, sent)


def test_a_patient_taken_back_leaves_the_relations_and_comes_back(center: Center, capsys: pytest.CaptureFixture[str]) -> None:
    sent = {"A1": "F,100,0", "A2": "M,200,1", "A3": "F,300,0"}
    center.send("alpha", sent)
    before = newest(center)
    without = {name: row for name, row in sent.items() if name != "A1"}
    take_back(center, "A1", without)
    assert "alpha: 1 patient no longer sent" in capsys.readouterr().err
    for relation in ("patients", "images"):
        assert shown(center, relation) == ["A2", "A3"]
        assert shown(center, relation, as_of=before) == ["A1", "A2", "A3"]
    assert set(shown(center, "rois")) == {"A2", "A3"}
    assert rows(center.work, "SELECT patients FROM centers") == [{"patients": 2}]
    told = rows(center.work, "SELECT patient, center, found, returned FROM departures")
    assert told == [{"patient": "A1", "center": "alpha", "found": "neither a row in clinical.csv nor a folder", "returned": False}]
    commits = newest(center)
    assert center.send("alpha", without).centers["alpha"].no_longer_sent == 1
    assert newest(center) == commits, "the same folder again writes nothing"

    center.send("alpha", sent)
    assert shown(center, "patients") == shown(center, "images") == ["A1", "A2", "A3"]
    assert len(rows(center.work, "SELECT * FROM rois WHERE patient = 'A1'")) == 4
    assert rows(center.work, "SELECT returned FROM departures") == [{"returned": True}]
    take_back(center, "A1", without)
    assert shown(center, "patients") == ["A2", "A3"], "and may leave again"
    with store.connect(center.work.home, read_only=True) as lake:
        assert store.check(lake) == []


def test_a_row_taken_out_of_the_table_is_enough(center: Center) -> None:
    center.send("alpha", {"A1": "F,100,0", "A2": "M,200,1"})
    center.send("alpha", {"A2": "M,200,1"})
    assert shown(center, "patients") == ["A2"]
    assert rows(center.work, "SELECT found FROM departures") == [{"found": "no row in clinical.csv, though a folder is there"}]
    assert rows(center.work, "SELECT patient, rule FROM rejections") == [{"patient": "A1", "rule": "clinical_record"}]


def test_a_name_and_a_scan_are_free_for_the_center_where_treatment_went_on(center: Center, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same files under the same name: rows of the first center and of the second are of one image version."""
    center.send("beta", {"A1": "F,100,0", "B2": "M,200,1"})
    center.send("alpha", {"A2": "M,200,1"})
    with store.connect(center.work.home) as lake:
        version = rows(center.work, "SELECT image_version FROM images WHERE patient = 'A1'")[0]["image_version"]
        vectors = [{"patient": "A1", "center": "beta", "roi": "gtv", "image_version": version, "values": [1.0]}]
        store.write_features(lake, "radiomics", "v", vectors, features=["f"], run="r")
        assert store.missing(lake, "radiomics", "v", [("A1", "gtv", str(version))]) == []
    shutil.copytree(center.root / "beta" / "A1", center.root / "alpha" / "A1")
    shutil.rmtree(center.root / "beta" / "A1")
    for name, people in (("beta", "B2,x,y,z,M,200,1\n"), ("alpha", "A1,x,y,z,F,400,1\nA2,x,y,z,M,200,1\n")):
        (center.root / name / "clinical.csv").write_text("patient,name,birth_date,address,sex,time,event\n" + people)
    ingest(center.work)  # both at once, and the new one is read first
    found = rows(center.work, "SELECT patient, center, time FROM patients WHERE patient = 'A1'")
    assert found == [{"patient": "A1", "center": "alpha", "time": 400.0}]
    assert rows(center.work, "SELECT center, image_version FROM images WHERE patient = 'A1'") == [{"center": "alpha", "image_version": version}]
    with store.connect(center.work.home) as lake:
        assert store.missing(lake, "radiomics", "v", [("A1", "gtv", str(version))]) == [("A1", "gtv", version)], "the second center's are to be computed"
        store.write_features(lake, "radiomics", "v", [{**vectors[0], "center": "alpha"}], features=["f"], run="r")
        assert store.read_matrix(lake, "radiomics", "gtv").centers.tolist() == ["alpha"]
        assert store.check(lake) == []
    with pytest.raises(Refusal, match=r"alpha and beta have, or had, a patient A1.*\(rule patient_of_one_center\)"), store.connect(center.work.home) as lake:
        store.traces(lake, "A1")
    with store.connect(center.work.home) as lake:
        store.forget(lake, "A1", "beta", run="r")
        assert lake.sql("SELECT center FROM stored.patients WHERE patient = 'A1'").to_pylist() == [{"center": "alpha"}]
        assert store.check(lake) == []


@pytest.mark.parametrize("fault", ["no table", "a broken table", "nobody usable", "an unreadable row", "another center", "an empty folder", "no folder"])
def test_a_center_that_cannot_be_read_withdraws_nobody(center: Center, fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    center.send("alpha", {"A1": "F,100,0", "A2": "M,200,1"})
    center.send("beta", {"B1": "F,100,0"})
    table, header = center.root / "alpha" / "clinical.csv", "patient,name,birth_date,address,sex,time,event\n"
    if fault == "no table":
        table.unlink()
    elif fault == "a broken table":
        table.write_text("patient,age\nA1,60\n")
    elif fault == "nobody usable":
        table.write_text(header + "A1,x,y,z,F,,1\n")
    elif fault == "an unreadable row":
        table.write_text(header + "A1,x,y,z,F,100,0\nA/2,x,y,z,M,200,1\n")
    elif fault == "another center":
        table.write_text(header + "B1,x,y,z,F,100,0\n")
    elif fault == "an empty folder":
        shutil.rmtree(center.root / "alpha")
        (center.root / "alpha").mkdir()
    else:
        (center.work.home / "incoming" / "alpha").unlink()
    ingest(center.work)
    assert shown(center, "patients") == ["A1", "A2", "B1"]
    assert rows(center.work, "FROM departures") == []
    if fault in ("nobody usable", "an unreadable row", "another center"):
        assert "no patient is treated as withdrawn" in capsys.readouterr().err


def test_an_outcome_that_goes_backwards_is_held_back_until_it_is_confirmed(center: Center, capsys: pytest.CaptureFixture[str]) -> None:
    sent = {"A1": "F,996,1", "A2": "M,1487,0", "A3": "F,300,0", "A4": "M,345,1"}
    first = center.send("alpha", sent)
    record = "SELECT patient, sex, time, event FROM patients ORDER BY patient"
    stored = rows(center.work, record)
    older = {"A1": "F,500,0", "A2": "M,700,0", "A3": "M,400,1", "A4": "M,375,1"}
    second = center.send("alpha", older)
    now = rows(center.work, record)
    assert now[:3] == stored[:3], "dead and alive again, followed for less time, another sex: the stored record stays as a whole"
    assert (now[3]["time"], now[3]["event"]) == (375.0, True), "a later death date is taken"
    held = rows(center.work, "SELECT patient, stage, rule, found FROM rejections ORDER BY patient")
    assert held == [
        {"patient": "A1", "stage": "clinical", "rule": "outcome_backwards", "found": "died on day 996, now alive on day 500"},
        {"patient": "A2", "stage": "clinical", "rule": "outcome_backwards", "found": "alive on day 1487, now alive on day 700"},
        {"patient": "A3", "stage": "clinical", "rule": "person_changed", "found": "sex female, now male"},
        {"patient": "A4", "stage": "remark", "rule": "death_date_moved", "found": "died on day 345, now died on day 375"},
    ]
    assert second.centers["alpha"].contradicted == {"death_date_moved": 1, "outcome_backwards": 2, "person_changed": 1}
    printed = capsys.readouterr().err
    assert "records of 3 patients held back" in printed
    assert "died on day 996, now alive on day 500" in printed
    assert not any(patient in printed for patient in sent), "no identifier where a log may keep it"
    assert sorted(first.centers["alpha"].accepted) == sorted(second.centers["alpha"].accepted)
    commits = newest(center)
    center.send("alpha", older)
    assert newest(center) == commits, "held back again, and nothing new"

    with pytest.raises(Refusal, match=r"1 of the patients to confirm are not stored for alpha.*\(rule patient_stored\)"):
        ingest(center.work, only="alpha", confirmed=["A9"])
    ingest(center.work, only="alpha", confirmed=["A1"])
    assert rows(center.work, record)[0] == {"patient": "A1", "sex": "female", "time": 500.0, "event": False}
    assert [row["patient"] for row in rows(center.work, "SELECT patient FROM rejections ORDER BY patient")] == ["A2", "A3", "A4"]
    center.send("alpha", {**older, "A2": "M,1600,0", "A3": "F,400,1"})
    assert [(row["time"], row["event"]) for row in rows(center.work, record)] == [(500.0, False), (1600.0, False), (400.0, True), (375.0, True)]
    assert rows(center.work, "SELECT patient FROM rejections WHERE stage = 'clinical'") == [], "the right record lifts what was held"


def test_the_rule_may_take_what_contradicts_with_a_remark(center: Center) -> None:
    center.work = replace(center.work, settings=replace(center.work.settings, ingest=replace(center.work.settings.ingest, outcome_backwards="remark")))
    center.send("alpha", {"A1": "F,996,1", "A2": "F,20,0"})
    center.send("alpha", {"A1": "F,500,0", "A2": "F,20,0"})
    assert rows(center.work, "SELECT time, event FROM patients WHERE patient = 'A1'") == [{"time": 500.0, "event": False}]
    found = "SELECT patient, stage, rule FROM rejections"
    assert rows(center.work, found) == [{"patient": "A1", "stage": "remark", "rule": "outcome_backwards"}]
    commits = newest(center)
    center.send("alpha", {"A1": "F,500,0", "A2": "F,20,0"})
    assert newest(center) == commits
    assert len(rows(center.work, found)) == 1, "a remark stays until the record changes again"


def test_a_rounded_table_contradicts_nothing(center: Center) -> None:
    center.send("alpha", {"A1": "F,996,1", "A2": "M,1487,0"})
    table = center.root / "alpha" / "clinical.csv"
    table.write_text("patient,sex,survival_months,event\nA1,F,32.7,1\nA2,M,49,0\n")  # 995.3 and 1491.4 days
    ingest(center.work, only="alpha")
    assert rows(center.work, "FROM rejections") == []


def prediction(**changes: object) -> Prediction:
    survival = {"survival": {"1y": 0.5}} | {name: {} for name in ("horizons_days", "unanswered") if name in Prediction.__dataclass_fields__}
    facts: dict[str, object] = {"model": "nsclc-os", "version": 1, "log_risk": 0.3, "cutoff": 0.0, "risk_group": "high", **survival}
    facts |= {"gtv_cm3": 10.0, "image_version": "i-new", "sha256": "s-new", "certificate": "accepted", "remarks": ()}
    return Prediction(**{**facts, **changes})  # type: ignore[arg-type]


def test_a_prediction_is_recorded_for_the_person_whose_scan_it_is(center: Center) -> None:
    center.send("alpha", {"A1": "F,100,0", "A2": "M,200,1"})
    folder = center.root / "alpha" / "A1"
    scan = rows(center.work, "SELECT image_version, sha256 FROM images WHERE patient = 'A1'")[0]
    own = prediction(sha256=scan["sha256"])
    monitor.record(center.work, folder, "alpha", own)
    with pytest.raises(Refusal, match=r"a patient of alpha has this name, and the scan is of west.*\(rule patient_id_free\)"):
        monitor.record(center.work, Path("/elsewhere/west/A1"), "west", own)
    with pytest.raises(Refusal, match=r"the store has another scan of this patient of alpha.*\(rule patient_scan\)"):
        monitor.record(center.work, Path("/elsewhere/alpha/A1"), "alpha", prediction())
    monitor.record(center.work, Path("/elsewhere/west/W1"), "west", prediction())
    monitor.record(center.work, Path("/elsewhere/south/W1"), "south", prediction(log_risk=-1.0))
    told = rows(center.work, "SELECT patient, center, image_version, log_risk FROM predictions ORDER BY patient, center")
    assert told == [
        {"patient": "A1", "center": "alpha", "image_version": scan["image_version"], "log_risk": 0.3},
        {"patient": "W1", "center": "south", "image_version": "i-new", "log_risk": -1.0},
        {"patient": "W1", "center": "west", "image_version": "i-new", "log_risk": 0.3},
    ]


def test_doctor_names_scans_of_several_patients_and_what_waits(center: Center) -> None:
    center.send("alpha", {"A1": "F,100,0", "A2": "M,200,1"})
    with store.connect(center.work.home, read_only=True) as lake:
        assert persons.doubled(lake) == ""
        assert list(persons.waiting(lake)) == []
    shutil.copytree(center.root / "alpha" / "A1", center.root / "beta" / "B1")
    center.send("beta", {"B1": "F,100,0", "B2": "F,3,1"})
    center.send("beta", {"B2": "F,3,0"})
    center.send("beta", {"B1": "F,100,0", "B2": "F,3,0"})
    center.send("alpha", {"A1": "F,100,0"})
    refused = rows(center.work, "SELECT patient, rule, found FROM rejections WHERE center = 'beta' AND stage = 'ingest'")
    assert refused == [{"patient": "B1", "rule": "scan_once", "found": "the scan is that of patient A1 of alpha"}]
    with store.connect(center.work.home) as lake:
        assert persons.doubled(lake) == ""
        image = lake.sql("FROM images WHERE patient = 'A1'").to_pylist()[0]
        copied = {name: value for name, value in image.items() if name not in ("commit_id", "certificate")}
        lake.write({"images": [{**copied, "patient": "B1", "center": "beta"}]}, run="r", what="as it was stored before")
        assert persons.doubled(lake).startswith("1 scan is stored for 2 patients")
        assert "(patient A1 of alpha and patient B1 of beta)" in persons.doubled(lake)
        assert persons.doubled(lake, ["B2"]) == ""
        assert persons.doubled(lake, ["B1"]) != ""
        lake.write({"predictions": [{"patient": "A1", "center": "west", "model": "m", "version": "1"}]}, run="r", what="as it was recorded before")
        told = list(persons.waiting(lake))
    assert [text.split(";")[0] for text in told] == [
        "records of 1 patient are held back until they are confirmed",
        "1 patient no longer sent",
        "predictions were recorded under names of 1 patient of another center",
    ]


def test_a_folder_is_taken_again_where_the_link_was(center: Center) -> None:
    """A folder that lacks scans, with its whole table, rejects those scans and withdraws nobody."""
    center.send("alpha", {"A1": "F,100,0", "A2": "M,200,1"})
    shutil.rmtree(center.root / "alpha" / "A1")
    write_pair(center.root / "alpha" / "A3", 0)
    arrivals.take_center(center.work.home, center.root / "alpha", "alpha")
    ingest(center.work, only="alpha")
    assert shown(center, "patients") == ["A1", "A2"]
    assert rows(center.work, "SELECT patient, rule FROM rejections ORDER BY patient") == [
        {"patient": "A1", "rule": "scan_found"},
        {"patient": "A3", "rule": "clinical_record"},
    ]
