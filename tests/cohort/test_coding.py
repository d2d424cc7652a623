"""Codes and units of a whole column: certain, declared, or refused with the line to declare them."""

from pathlib import Path

import numpy as np
import pytest

from penumbra.base.refusal import Refusal
from penumbra.cohort.clinical import ClinicalTable, read_clinical


def read(folder: Path, events: list[str], times: list[float] | None = None, column: str = "time", declared: str = "") -> ClinicalTable:
    times = times or [400.0 + 100 * n for n in range(len(events))]
    rows = "".join(f"P{n};{time:g};{event}\n" for n, (time, event) in enumerate(zip(times, events, strict=True)))
    (folder / "clinical.csv").write_text(f"patient;{column};event\n{rows}")
    (folder / "clinical.yaml").write_text(declared) if declared else (folder / "clinical.yaml").unlink(missing_ok=True)
    return read_clinical(folder / "clinical.csv")


@pytest.mark.parametrize(
    ("events", "line"),
    [
        (["1", "2", "1", "2", "0"], "event: {0: alive, 1: died, 2: died}"),
        (["0", "1", "2", "0"], "event: {0: alive, 1: died, 2: died}"),
        (["1", "2", "1"], "event: {1: alive, 2: died}"),
        (["0", "2"], "event: {0: alive, 2: died}"),
        (["0", "1", "9"], "event: {0: alive, 1: died, 9: died}"),
        (["1.0", "2.0", "alive"], "event: {1: alive, 2: died}"),
        (["0", "1", "-1"], "-1: alive"),
    ],
)
def test_a_code_that_nothing_tells_refuses_the_table(tmp_path: Path, events: list[str], line: str) -> None:
    """With one 0 among 1 = alive and 2 = dead, the living were read as dead and the dead were refused."""
    with pytest.raises(Refusal, match=r"events of.*\(rule event_coded\)") as refusal:
        read(tmp_path, events)
    assert line in refusal.value.advice


@pytest.mark.parametrize(("died", "alive"), [("01", "00"), ("1.00", "0.00"), ("1,0", "0,0"), ("yes", "no")])
def test_zero_and_one_in_any_spelling(tmp_path: Path, died: str, alive: str) -> None:
    assert [record.event for record in read(tmp_path, [died, alive, died]).records] == [True, False, True]


def test_declared_codes_are_read_as_declared(tmp_path: Path) -> None:
    table = read(tmp_path, ["1", "2.0", "01", "0", "9", "3"], declared="event: {0: alive, 1: alive, 2: died, 9: missing}\n")
    assert {record.patient: record.event for record in table.records} == {"P0": False, "P1": True, "P2": False, "P3": False}
    assert {entry.patient: entry.refusal.rule for entry in table.refused} == {"P4": "event_missing", "P5": "event_known"}


@pytest.mark.parametrize("declared", ["unit: days\n", "time_unit: weeks\n", "event: {1: dead}\n", "event: 1\n", "event: {1: true}\n", "- days\n", "a: [\n"])
def test_a_declaration_that_cannot_be_read_refuses_the_table(tmp_path: Path, declared: str) -> None:
    with pytest.raises(Refusal, match="clinical_declared"):
        read(tmp_path, ["1", "0"], declared=declared)


def months(patients: int, seed: int = 0) -> list[float]:
    rng = np.random.default_rng(seed)
    found: np.ndarray = np.minimum(rng.exponential(20, patients), rng.uniform(6, 58, patients)).round(1)
    return [float(value) for value in np.maximum(found, 0.1)]


@pytest.mark.parametrize(
    "times", [months(60), [round(time) + 1 for time in months(12)], months(6), [time / 12 for time in months(30)]], ids=["tenths", "whole", "few", "years"]
)
def test_a_center_in_another_unit_is_refused_until_the_unit_is_said(tmp_path: Path, times: list[float]) -> None:
    """60 patients in months, in a column called survival_time, were 58 days of follow-up."""
    events = ["1", "0"] * (len(times) // 2)
    with pytest.raises(Refusal, match=r"nobody of \d+ patients is followed beyond.*\(rule time_unit\)") as refusal:
        read(tmp_path, events, times, "survival_time")
    assert "time_unit: months" in refusal.value.advice
    assert read(tmp_path, events, times, "survival_months").records[0].time == pytest.approx(times[0] * 365.25 / 12, rel=1e-4)
    assert read(tmp_path, events, times, "survival_time", "time_unit: months\n").records[0].time == pytest.approx(times[0] * 365.25 / 12, rel=1e-4)
    assert read(tmp_path, events, times, "survival_time", "time_unit: days\n").records[0].time == pytest.approx(times[0], rel=1e-4)


def test_days_read_as_months_are_refused(tmp_path: Path) -> None:
    times = [300.0 + 40 * n for n in range(12)]
    with pytest.raises(Refusal, match="half of 12 patients are followed beyond 45 years, read in months"):
        read(tmp_path, ["1", "0"] * 6, times, "survival_months")
    assert len(read(tmp_path, ["1", "0"] * 6, times).records) == 12


def test_a_name_and_a_declaration_that_differ_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"a column in months, and days in clinical\.yaml.*\(rule time_unit\)"):
        read(tmp_path, ["1", "0"], column="survival_months", declared="time_unit: days\n")
