"""A reason of exclusion reads as the fault."""

import pytest

from penumbra.base.faults import counted, fault
from penumbra.commands.rules import declared

OF_PATIENTS = ("Clinical tables", "Reading scans", "Certificate of a mask", "Features")


def test_a_rule_that_excludes_has_a_fault_in_few_words() -> None:
    rules = [rule for rule in declared().values() if rule.section in OF_PATIENTS]
    assert len(rules) > 60
    for rule in rules:
        assert rule.fault, rule.name
        assert rule.fault == fault(rule.name)
        assert len(rule.fault) <= 40, rule.name
        assert "_" not in rule.fault
        assert not rule.fault.endswith(".")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("gtv_not_empty", "GTV without contours or voxels"),
        ("gtv_named", "no structure named as a GTV"),
        ("time_not_positive", "survival time of 0 or below"),
        ("a_rule_of_tomorrow", "a rule of tomorrow"),
    ],
)
def test_faults(rule: str, words: str) -> None:
    assert fault(rule) == words


def test_counted() -> None:
    assert counted({"gtv_named": 2, "slice_gaps": 1}) == "no structure named as a GTV 2, unequal slice gaps 1"
    assert counted({}) == "-"
