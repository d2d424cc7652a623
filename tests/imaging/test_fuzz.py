"""Folders with one thing wrong: the right mask, a flag that says why, or a refusal that names the cause; never an error or a wrong mask."""

from pathlib import Path

import pytest

from .fuzz import fuzz, judge, table, write_bases


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of pydicom, of damaged values
def test_two_hundred_mutations(tmp_path: Path) -> None:
    outcomes = list(fuzz(200, 0, tmp_path))
    assert [entry for entry in outcomes if entry.outcome not in ("right", "flagged", "refused")] == [], table(outcomes)
    assert {entry.outcome for entry in outcomes} == {"right", "flagged", "refused"}
    assert all(entry.why for entry in outcomes if entry.outcome != "right")


def test_the_judge_knows_a_wrong_mask(tmp_path: Path) -> None:
    for source, (own, other) in write_bases(tmp_path).items():
        assert judge(own) == ("right", ""), source
        assert judge(other) == ("wrong", "another mask or image, silently accepted"), source
