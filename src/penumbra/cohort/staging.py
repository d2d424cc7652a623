"""TNM to overall stage of lung cancer, by the edition that was in force when the patient was staged."""

import re

# Anatomic stage groups, AJCC Cancer Staging Manual, 7th edition (2010), chapter 25; in force 2010 to 2017.
# A plain T1 or T2 (no a or b) is read as its smaller half: T2 N0 is IB, T2 N1 is IIA.
# (T, N) -> stage, for M0.
AJCC7 = {
    **dict.fromkeys([("1", "0"), ("1A", "0"), ("1B", "0")], "IA"),
    **dict.fromkeys([("2", "0"), ("2A", "0")], "IB"),
    **dict.fromkeys([("2B", "0"), ("1", "1"), ("1A", "1"), ("1B", "1"), ("2", "1"), ("2A", "1")], "IIA"),
    **dict.fromkeys([("2B", "1"), ("3", "0")], "IIB"),
    **dict.fromkeys([("1", "2"), ("1A", "2"), ("1B", "2"), ("2", "2"), ("2A", "2"), ("2B", "2")], "IIIA"),
    **dict.fromkeys([("3", "1"), ("3", "2"), ("4", "0"), ("4", "1")], "IIIA"),
    **dict.fromkeys([("4", "2"), ("4", "3")], "IIIB"),
    **dict.fromkeys([(t, "3") for t in ("1", "1A", "1B", "2", "2A", "2B", "3")], "IIIB"),
    ("X", "0"): "OCCULT",
    ("IS", "0"): "0",
}
# AJCC Cancer Staging Manual, 8th edition (2017), chapter 36; in force 2018 to 2024.
# A plain T1 is read as IA without a digit; a plain T2 as T2a.
AJCC8 = {
    **dict.fromkeys([("1", "0"), ("1A", "0"), ("1B", "0"), ("1C", "0")], "IA"),
    **dict.fromkeys([("2", "0"), ("2A", "0")], "IB"),
    ("2B", "0"): "IIA",
    **dict.fromkeys([(t, "1") for t in ("1", "1A", "1B", "1C", "2", "2A", "2B")], "IIB"),
    ("3", "0"): "IIB",
    **dict.fromkeys([(t, "2") for t in ("1", "1A", "1B", "1C", "2", "2A", "2B")], "IIIA"),
    **dict.fromkeys([("3", "1"), ("4", "0"), ("4", "1")], "IIIA"),
    **dict.fromkeys([(t, "3") for t in ("1", "1A", "1B", "1C", "2", "2A", "2B")], "IIIB"),
    **dict.fromkeys([("3", "2"), ("4", "2")], "IIIB"),
    **dict.fromkeys([("3", "3"), ("4", "3")], "IIIC"),
    ("X", "0"): "OCCULT",
    ("IS", "0"): "0",
}
EDITIONS = {"ajcc7": AJCC7, "ajcc8": AJCC8}
METASTATIC = {
    "ajcc7": {"1": "IV", "1A": "IV", "1B": "IV"},
    "ajcc8": {"1": "IV", "1A": "IVA", "1B": "IVA", "1C": "IVB"},
}
STAGES = ("0", "OCCULT", "I", "IA", "IB", "II", "IIA", "IIB", "III", "IIIA", "IIIB", "IIIC", "IV", "IVA", "IVB")
ROMAN = {"1": "I", "2": "II", "3": "III", "4": "IV"}


def overall_stage(t_stage: str | None, n_stage: str | None, m_stage: str | None, *, edition: str) -> str | None:
    """The stage group of a TNM, or None where it is not determined.

    Parameters
    ----------
    t_stage, n_stage, m_stage
        As `tnm_category` returns them: "2A", "0", "1B"; "X" or None: unknown.
    edition
        "ajcc7" or "ajcc8".

    Raises
    ------
    ValueError
        `unknown edition 'ajcc6'; known: ajcc7, ajcc8`.
    """
    if edition not in EDITIONS:
        raise ValueError(f"unknown edition {edition!r}; known: {', '.join(EDITIONS)}")
    if m_stage in METASTATIC[edition]:
        return METASTATIC[edition][m_stage]  # whatever T and N are
    if t_stage is None or n_stage is None or m_stage != "0":
        return None
    return EDITIONS[edition].get((t_stage, n_stage))


def stage_group(text: str) -> str | None:
    """A written overall stage in canonical Roman form (`IIIB` for "3b", "Stage IIIb", "III B"), or None if it is none."""
    compact = re.sub(r"[\s.\-_]|stage|stadium|ajcc|uicc", "", text, flags=re.IGNORECASE).upper()
    digits = re.fullmatch(r"([1-4])([ABC]?)[1-3]?", compact)
    if digits:
        compact = ROMAN[digits[1]] + digits[2]
    compact = re.sub(r"(?<=[ABC])[1-3]$", "", compact)  # the eighth edition's IA1 to IA3
    return compact if compact in STAGES else None


def tnm_category(letter: str, text: str) -> str | None:
    """The category of a written T, N or M without its letter (`2A` for "cT2a", "T2a" or "2a"; "X" if not assessable), or None.

    Parameters
    ----------
    letter
        "T", "N" or "M".
    """
    compact = re.sub(r"(?<=\d)\.0$", "", text.strip())  # a number column that passed through a spreadsheet
    compact = re.sub(r"[\s.\-_]", "", compact).upper()
    compact = re.sub(r"^([CPYRA]{0,2})" + letter + r"(?=[0-9XI])", "", compact)
    allowed = {"T": r"[0-4][ABC]?|X|IS", "N": r"[0-3][ABC]?|X", "M": r"[01][ABC]?|X"}[letter]
    return compact if re.fullmatch(allowed, compact) else None
