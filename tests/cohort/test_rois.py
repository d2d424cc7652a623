"""features/rois.yaml, and the survey of a center's structure names."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penumbra.base.refusal import Refusal
from penumbra.cohort.rois import GtvNames, RoiRules, list_rois, roi_rules
from penumbra.cohort.simulate import Truth
from penumbra.cohort.simulate_centers import CENTERS
from penumbra.imaging.names import STANDARD


def test_what_the_project_declares(declared: RoiRules) -> None:
    assert declared.margins_mm == (3.0, 6.0, 9.0)
    assert declared.everywhere.several == "first"
    assert declared.everywhere == STANDARD  # what reading without a declaration uses
    assert declared.of("elsewhere") == declared.everywhere
    south = declared.of("south")
    assert south.patterns[0] == r"tumor_c\d+"
    assert south.patterns[1:] == declared.everywhere.patterns


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["GTV-1", "GTV-2", "Lung"], "GTV-1"),
        (["gtv-2", "gtv 1"], "gtv 1"),
        (["GTVn", "GTVp"], "GTVp"),
        (["GTV", "PTV", "CTV"], "GTV"),
        (["Tumor_c40", "Heart"], "Tumor_c40"),
        (["gtv_primary", "ptv_60"], "gtv_primary"),
        (["Neoplasm, Primary"], "Neoplasm, Primary"),
        (["GTV LN", "GTVn"], None),
        (["GTV+5mm", "PTV-GTV", "Ring_GTV"], None),
        (["Lung-Left", "Spinal-Cord", "BODY"], None),
    ],
)
def test_names_as_sent(declared: RoiRules, names: list[str], chosen: str | None) -> None:
    order = declared.everywhere.order(names)
    assert (names[order[0]] if order else None) == chosen


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"margin": [3]}, "unknown key margin. Did you mean margins_mm"),
        ({"margins_mm": []}, r"margins_mm is \[\], not a list of positive numbers"),
        ({"margins_mm": [3, -1]}, "not a list of positive numbers"),
        ({"margins_mm": [3, 3]}, "names a margin twice"),
        ({"gtv": {"patterns": []}}, "gtv.patterns is empty"),
        ({"gtv": {"patterns": ["gtv("]}}, "'gtv.' is not a regular expression"),
        ({"gtv": {"patterns": "gtv"}}, "gtv.patterns is 'gtv', not a list"),
        ({"gtv": {"patterns": ["gtv"], "several": "both"}}, "gtv.several is 'both'. Allowed: first, union, largest"),
        ({"gtv": {"patterns": ["gtv"], "not_primary": ["node"]}}, "gtv.not_primary is not a mapping of lists"),
        ({"gtv": {"patterns": ["gtv"], "agree_dice": 1.5}}, "gtv.agree_dice is 1.5, not a number from 0 to 1"),
        ({"centers": {"east": {"pattern": ["x"]}}}, "unknown key centers.east.pattern. Did you mean patterns"),
    ],
)
def test_a_declaration_that_is_wrong_is_refused(change: dict[str, Any], text: str) -> None:
    right: dict[str, Any] = {"margins_mm": [3, 6, 9], "gtv": {"patterns": ["gtv"]}}
    with pytest.raises(Refusal, match=text):
        roi_rules(right | change)


def test_a_center_may_have_its_own_policy() -> None:
    rules = roi_rules({"margins_mm": [3], "gtv": {"patterns": ["gtv"]}, "centers": {"east": {"several": "union", "patterns": ["tumour"]}, "west": None}})
    assert rules.of("east") == replace(rules.everywhere, patterns=("tumour", "gtv"), several="union", center_patterns=1)
    assert rules.of("west") == rules.everywhere


def test_the_survey_lists_every_name_and_who_would_be_refused(cohort: tuple[Path, Truth], declared: RoiRules) -> None:
    folder, truth = cohort
    for plan in CENTERS:
        survey = list_rois(folder / plan.name, declared.of(plan.name))
        without = [r.patient for r in truth.refusals if r.center == plan.name and r.kind == "no_gtv"]
        everyone = 2 + len(plan.refused)
        assert [patient for patient, _ in survey.refused] == without
        assert all(refusal.rule == "gtv_named" for _, refusal in survey.refused)
        found = {entry.name: (entry.patients, entry.meaning) for entry in survey.names}
        assert found == {
            plan.roi_names[0]: (everyone - len(without), "gtv"),
            **dict.fromkeys(plan.roi_names[1:], (everyone, "other")),
        }


def test_the_survey_says_what_a_policy_leaves_out(cohort: tuple[Path, Truth]) -> None:
    folder, _ = cohort
    first = list_rois(folder / "north", GtvNames(("gtv-1", "ptv-1"), "first"))
    meanings = {entry.name: entry.meaning for entry in first.names}
    assert meanings["GTV-1"] == "gtv"
    assert meanings["PTV-1"] == "gtv in 1, elsewhere the patient has a better name"
    union = list_rois(folder / "north", GtvNames(("gtv-1", "ptv-1"), "union"))
    assert {entry.name: entry.meaning for entry in union.names}["PTV-1"] == "gtv (union of all that match)"
