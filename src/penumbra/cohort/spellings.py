"""How centers write things: column names, missing values, numbers, sex, histology, the event; each to one canonical form or None."""

import re
from collections.abc import Iterable
from typing import Literal

from penumbra.base.clinical_columns import column_key as column_key

# Canonical column -> names under which it arrives, in lower case with single underscores (`column_key`).
COLUMNS: dict[str, tuple[str, ...]] = {
    "patient": ("patient", "patient_id", "patientid", "subject", "subject_id", "case_id", "pseudonym"),
    "age": ("age", "age_years", "age_at_diagnosis"),
    "sex": ("sex", "gender"),
    "histology": ("histology", "histologic_type", "histological_type"),
    "t_stage": ("t_stage", "clinical_t_stage", "ct_stage", "tstage"),
    "n_stage": ("n_stage", "clinical_n_stage", "cn_stage", "nstage"),
    "m_stage": ("m_stage", "clinical_m_stage", "cm_stage", "mstage"),
    "overall_stage": ("overall_stage", "stage", "overallstage", "stage_group"),
    "time": (
        *("time", "survival_time", "os_time"),
        *(f"{name}_{unit}" for name in ("time", "survival", "os", "survival_time", "os_time") for unit in ("days", "months", "years")),
    ),
    "event": ("event", "deadstatus_event", "dead", "death", "died", "os_event", "death_event"),
    "time_unit": ("time_unit", "survival_unit"),
}
TimeUnit = Literal["days", "months", "years"]
DAYS_PER: dict[TimeUnit, float] = {"days": 1.0, "months": 365.25 / 12, "years": 365.25}
UNITS: dict[str, TimeUnit] = {"d": "days", "day": "days", "days": "days", "month": "months", "months": "months", "year": "years", "years": "years"}
MISSING = frozenset(("", "na", "n/a", "nan", "none", "null", "nil", "unknown", "unk", "missing", "?", "-", "--", ".", "not available", "not recorded", "#n/a"))

SEXES = {"m": "male", "male": "male", "man": "male", "f": "female", "female": "female", "woman": "female", "w": "female"}
EVENTS = {
    **dict.fromkeys(("1", "true", "yes", "y", "dead", "died", "deceased", "death"), True),
    **dict.fromkeys(("0", "false", "no", "n", "alive", "censored", "living"), False),
}
# In this order: the first that matches the text is taken. The numbers are ICD-O-3 morphology codes.
HISTOLOGIES: tuple[tuple[str, str], ...] = (
    (r"adeno.?squam|\b8560", "adenosquamous"),
    (r"small.?cell(?<!non.small.cell)(?<!non small cell)(?<!nonsmall cell)", "small cell"),
    (r"adeno|bronchiolo|\bbac\b|\b8140|\b825\d", "adenocarcinoma"),
    (r"squam|\bscc\b|\bsqcc\b|epidermoid|\b807\d", "squamous cell carcinoma"),
    (r"large.?cell(?!.*neuroendocrine)|\blcc\b|\b8012", "large cell"),
    (r"\bnos\b|not otherwise|nsclc|non.?small|\b8046", "nos"),
)
NEGATED = re.compile(r"\b(no|not(?! otherwise)|without|kein\w*|excl\w*|ruled? out)\b")
# "1,200" and "1.200": a thousand two hundred, or one and a fifth?
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}([.,])\d{3}")


def is_missing(text: str) -> bool:
    return text.strip().lower() in MISSING


def decimal_signs(texts: Iterable[str]) -> frozenset[str]:
    """The decimal signs that the numbers of a table show beyond doubt: those of 60,5 or 0.25, not those of 1.200."""
    matches = (re.fullmatch(r"[+-]?\d*([.,])\d+", text.strip()) for text in texts if not THOUSANDS.fullmatch(text.strip()))
    return frozenset(match[1] for match in matches if match)


def number(text: str, *, decimal: frozenset[str]) -> float | None:
    """A finite number, or None where the text is none or can be read in two ways.

    Parameters
    ----------
    decimal
        Signs that are known to be decimal signs in this table; 1.200 is a number only where the point is.
    """
    compact = text.strip()
    thousands = THOUSANDS.fullmatch(compact)
    if thousands and (thousands[1] not in decimal or len(decimal) > 1):
        return None
    if re.fullmatch(r"[+-]?\d+,\d+", compact):
        compact = compact.replace(",", ".")
    return float(compact) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", compact) else None


def histology(text: str) -> str | None:
    """The canonical histology, or None where the text names none that is known, denies one, or names two."""
    plain = re.sub(r"[\s_\-/]+", " ", text.strip().lower())
    canonical = next((name for pattern, name in HISTOLOGIES if re.search(pattern, plain)), None)
    two = canonical == "adenocarcinoma" and "squam" in plain
    return None if two or NEGATED.search(plain) else canonical


def sex(text: str) -> str | None:
    return SEXES.get(text.strip().lower())


def event(text: str) -> bool | None:
    value = plain_number(text)
    return EVENTS.get(text.strip().lower() if value is None else f"{value:g}")


def plain_number(text: str) -> float | None:
    """The number of a code such as 1, 01, 1.00 or 1,0; None where the text is none."""
    compact = text.strip().replace(",", ".")
    return float(compact) if re.fullmatch(r"[+-]?\d+(\.\d*)?", compact) else None
