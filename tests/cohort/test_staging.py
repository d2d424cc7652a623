"""Stage groups by the tables of the AJCC manuals (7th edition 2010, 8th edition 2017)."""

import pytest

from penumbra.cohort.staging import overall_stage, stage_group, tnm_category

# T, N, M, stage by the 7th edition, stage by the 8th edition; None: not determined.
GROUPS = [
    ("1", "0", "0", "IA", "IA"),
    ("1A", "0", "0", "IA", "IA"),
    ("1B", "0", "0", "IA", "IA"),
    ("2A", "0", "0", "IB", "IB"),
    ("2", "0", "0", "IB", "IB"),
    ("2B", "0", "0", "IIA", "IIA"),
    ("1A", "1", "0", "IIA", "IIB"),
    ("2A", "1", "0", "IIA", "IIB"),
    ("2B", "1", "0", "IIB", "IIB"),
    ("3", "0", "0", "IIB", "IIB"),
    ("1", "2", "0", "IIIA", "IIIA"),
    ("2B", "2", "0", "IIIA", "IIIA"),
    ("3", "1", "0", "IIIA", "IIIA"),
    ("3", "2", "0", "IIIA", "IIIB"),
    ("4", "0", "0", "IIIA", "IIIA"),
    ("4", "1", "0", "IIIA", "IIIA"),
    ("4", "2", "0", "IIIB", "IIIB"),
    ("1", "3", "0", "IIIB", "IIIB"),
    ("2", "3", "0", "IIIB", "IIIB"),
    ("3", "3", "0", "IIIB", "IIIC"),
    ("4", "3", "0", "IIIB", "IIIC"),
    ("2", "1", "1", "IV", "IV"),
    (None, None, "1B", "IV", "IVA"),
    ("X", "X", "1A", "IV", "IVA"),
    ("2", "1", "X", None, None),
    ("2", None, "0", None, None),
    (None, "1", "0", None, None),
    ("X", "1", "0", None, None),
]


@pytest.mark.parametrize(("t", "n", "m", "seventh", "eighth"), GROUPS)
def test_stage_groups(t: str | None, n: str | None, m: str | None, seventh: str | None, eighth: str | None) -> None:
    assert overall_stage(t, n, m, edition="ajcc7") == seventh
    assert overall_stage(t, n, m, edition="ajcc8") == eighth


def test_an_unknown_edition_is_named() -> None:
    with pytest.raises(ValueError, match="unknown edition 'ajcc6'; known: ajcc7, ajcc8"):
        overall_stage("1", "0", "0", edition="ajcc6")


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        *[(text, "IIIB") for text in ("IIIb", "IIIB", "3B", "3b", "stage IIIB", "Stage 3B", " iii b ", "III-B", "UICC IIIB")],
        *[("I", "I"), ("1", "I"), ("IA1", "IA"), ("1a2", "IA"), ("IV", "IV"), ("4", "IV"), ("IVA", "IVA"), ("2a", "IIA"), ("0", "0")],
        *[("occult", "OCCULT"), ("V", None), ("5", None), ("early", None), ("IIID", None)],
    ],
)
def test_stages_as_written(text: str, stage: str | None) -> None:
    assert stage_group(text) == stage


@pytest.mark.parametrize(
    ("letter", "text", "category"),
    [
        *[("T", "2", "2"), ("T", "T2a", "2A"), ("T", "cT2a", "2A"), ("T", "pT3", "3"), ("T", "ypT1b", "1B"), ("T", "Tis", "IS"), ("T", "TX", "X")],
        *[("T", "2.0", "2"), ("T", "5", None), ("N", "N0", "0"), ("N", "cN2", "2"), ("N", "4", None), ("M", "M1b", "1B"), ("M", "MX", "X")],
        *[("M", "3", None), ("T", "N2", None)],
    ],
)
def test_categories_as_written(letter: str, text: str, category: str | None) -> None:
    assert tnm_category(letter, text) == category
