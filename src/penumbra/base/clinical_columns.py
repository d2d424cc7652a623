"""Columns of a department's own, as features/clinical.yaml declares them: ECOG, dose, treatment, laboratory; and what each becomes in a model."""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from penumbra.base.refusal import choose
from penumbra.base.yaml_files import in_file, read_yaml, shown, wrong

RULE, PRIVATE, IN_TIME = "clinical_column", "clinical_column_private", "known_at_prediction"
FILE: Final = "clinical.yaml"  # in features/
TYPES = ("number", "integer", "boolean", "category", "ordinal")
NUMBERS, LEVELED = ("number", "integer"), ("category", "ordinal")
TIMES = ("planning", "treatment", "follow_up")  # the first: by the planning CT, from which a prediction starts
KEYS = ("type", "unit", "range", "levels", "known", "header", "meaning")
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
LEVEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 +/_-]{0,39}")
TEXT = re.compile(r"[^\x00-\x1f$%]{1,200}")  # one line; $ and % stand for something in a view
MAX_LEVELS = 20  # more are free text
# Of the relations: a column of this name could not be told from theirs.
RESERVED = frozenset(
    (
        *("patient", "center", "age", "sex", "histology", "t_stage", "n_stage", "m_stage", "overall_stage", "time", "event", "time_unit", "details"),
        *("clinical_version", "image_version", "version", "roi", "commit_id", "rowid", "log_risk", "own", "name", "number", "level"),
    )
)
# Words that SQL keeps for itself (duckdb_keywords(), category reserved; those that only some places keep are taken as well).
_SPELLED = """all analyze and any array as asymmetric at authorization binary both by case cast char character check collate collation column concurrently
    constraint create cross current_date current_time current_timestamp default deferrable desc describe distinct do else end except exists false fetch
    for foreign freeze from full generated glob grant group grouping_id having ilike in initially inout inner intersect into is isnull join lambda lateral
    leading left like limit map natural none not notnull null offset on only or order out outer overlaps pivot pivot_longer pivot_wider placing positional
    primary qualify references returning right row rows select semi show similar some struct summarize symmetric table tablesample then time to trailing
    true try_cast union unique unpack unpivot using values variadic verbose when where window with anti asc asof between bigint bit boolean coalesce
    columns date day dec decimal delete drop extract filter float grouping hour insert int integer interval macro minute month national nchar nullif
    numeric overlay position precision real second set setof smallint substring timestamp treat trim trunc update varchar view within without
    xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable year"""
KEYWORDS = frozenset((*re.findall(r"\w+", _SPELLED), "analyze".replace("z", "s")))  # in both spellings
# In a name or header: who the patient is, or free text.
PERSONAL = re.compile(
    r"name|birth|\bdob|^geb|address|street|phone|mail|insur|(^|_)(mrn|ssn|nhs|bsn|pid|zip|ids?|initials|date|city|comments?|remarks?|notes?|text)(_|$)"
    r"|postal|postcode|passport|social_sec|physician|doctor|referr"
)


@dataclass(frozen=True)
class ClinicalColumn:
    """One declared column.

    Parameters
    ----------
    name
        In the store.
    type
        "number", "integer", "boolean", "category" or "ordinal".
    known_at
        "planning", "treatment", "follow_up", or days from the planning CT.
    meaning
        One sentence.
    headers
        Names in clinical.csv, as `column_key` writes them, the own name first.
    unit
        Of a number, "" where there is none.
    limits
        Lowest and highest possible number.
    levels
        Of a category, the reference first; of an ordinal, in their order.
    """

    name: str
    type: str
    known_at: str | int
    meaning: str
    headers: tuple[str, ...]
    unit: str = ""
    limits: tuple[float, float] | None = None
    levels: tuple[str, ...] = ()

    @property
    def in_time(self) -> bool:
        """Whether it is known when a prediction is made, at the planning CT."""
        return self.known_at == TIMES[0] or (isinstance(self.known_at, int) and self.known_at <= 0)

    @property
    def features(self) -> tuple[str, ...]:
        """What it is in a model: itself, or one indicator per level of a category but the reference: `chemotherapy=concurrent`."""
        return tuple(f"{self.name}={level}" for level in self.levels[1:]) if self.type == "category" else (self.name,)

    def encoded(self, number: float | None, level: str | None) -> tuple[float, ...]:
        """A stored value as the features see it; nan where it is not known, or no longer a level."""
        if self.type not in LEVELED:
            return (math.nan if number is None else float(number),)
        if level not in self.levels:
            return (math.nan,) * len(self.features)
        if self.type == "ordinal":
            return (float(self.levels.index(level)),)
        return tuple(float(level == each) for each in self.levels[1:])

    @property
    def possible(self) -> str:
        """What a cell may hold, in words."""
        if self.limits is not None:
            kind = "a whole number" if self.type == "integer" else "a number"
            return f"{kind} from {self.limits[0]:g} to {self.limits[1]:g}" + (f" {self.unit}" if self.unit else "")
        return f"one of {', '.join(self.levels)}" if self.levels else "yes or no"

    @property
    def comment(self) -> str:
        """What the store says of it."""
        words = [self.meaning.rstrip(".")]
        if self.unit:
            words.append(f"in {self.unit}")
        when = f"known {self.known_at} days from the planning CT" if isinstance(self.known_at, int) else f"known at {self.known_at.replace('_', '-')}"
        return ", ".join(words) + f"; {self.possible}; {when}"

    def to_dict(self) -> dict[str, Any]:
        """What a version keeps of it to read a patient: as features/clinical.yaml has it."""
        document: dict[str, Any] = {"type": self.type, "known": self.known_at, "meaning": self.meaning, "header": list(self.headers[1:])}
        if self.unit:
            document["unit"] = self.unit
        if self.limits is not None:
            document["range"] = list(self.limits)
        if self.levels:
            document["levels"] = list(self.levels)
        return document

    @property
    def reads(self) -> dict[str, Any]:
        """What decides the values that ingest stores: another meaning, or time at which it is known, changes none."""
        return {name: value for name, value in self.to_dict().items() if name not in ("meaning", "known", "unit")}


Columns = Mapping[str, ClinicalColumn]


def column_key(header: str) -> str:
    """A header in lower case with single underscores: `clinical_t_stage` for "clinical.T.Stage", `time_months` for "Time (months)"."""
    return re.sub(r"[\s._\-()\[\]]+", "_", header.strip().lower()).strip("_")


def read_columns(features: Path, reserved: Collection[str] = ()) -> dict[str, ClinicalColumn]:
    """The columns that clinical.yaml of the folder `features` declares, by name; {} where it declares none or is not there.

    Parameters
    ----------
    reserved
        Headers, as `column_key` writes them, that are those of other columns.

    Raises
    ------
    ParamsError
        "clinical_column", "clinical_column_private", "yaml_readable".
    """
    path = features / FILE
    if not path.is_file() or not _declares(path):
        return {}
    with in_file(path):
        return declared_columns(read_yaml(path), reserved)


def _declares(path: Path) -> bool:
    """Whether the file has a line besides comments: without one there is nothing that YAML could be."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return True  # read_yaml says what is wrong
    return any(line.strip() and not line.lstrip().startswith("#") and line.strip() not in ("---", "{}") for line in lines)


def declared_columns(content: Mapping[str, Any], reserved: Collection[str] = ()) -> dict[str, ClinicalColumn]:
    """The columns of a document with the content of clinical.yaml.

    Raises
    ------
    ParamsError
        As `read_columns`, without the file.
    """
    columns: dict[str, ClinicalColumn] = {}
    owners: dict[str, str] = dict.fromkeys(reserved, "")
    for name, entry in content.items():
        column = _column(name, entry)
        for header in column.headers:
            if header in owners:
                whose = f"the column {owners[header]}" if owners[header] else "a column that is always read"
                raise wrong(column.name, f"the header {header!r} of {column.name} is that of {whose}", "Give each header once, or choose another name", RULE)
            owners[header] = column.name
        columns[column.name] = column
    return columns


def _column(name: Any, entry: Any) -> ClinicalColumn:
    key = str(name)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        fault = f"{shown(name)} cannot be the name of a column"
        raise wrong(key, fault, "Use at most 63 letters from a to z, digits and _, beginning with a letter", RULE)
    if name in RESERVED or name in KEYWORDS:
        what = "the name of an existing column" if name in RESERVED else "a keyword of SQL"
        raise wrong(key, f"{name!r} is {what}", f"Choose another name, such as {name}_value", RULE)
    _require_impersonal(key, name)
    if not isinstance(entry, Mapping):
        raise wrong(key, f"{name} is {shown(entry)}, not a declaration", "Write {type: ..., known: ..., meaning: ...}", RULE)
    unknown = next((str(each) for each in entry if each not in KEYS), None)
    if unknown is not None:
        raise wrong(f"{key}.{unknown}", f"{name} has no key {unknown!r}", choose(unknown, KEYS), RULE)
    missing = next((each for each in ("type", "known", "meaning") if each not in entry), None)
    if missing is not None:
        raise wrong(key, f"{name} lacks {missing!r}", "Add type:, known: and meaning:", RULE)
    kind, known_at, meaning, unit = entry["type"], entry["known"], entry["meaning"], entry.get("unit", "")
    if kind not in TYPES:
        raise wrong(f"{key}.type", f"{name} is of type {shown(kind)}", choose(str(kind), TYPES), RULE)
    if known_at not in TIMES and (not isinstance(known_at, int) or isinstance(known_at, bool)):
        raise wrong(f"{key}.known", f"{name} is known at {shown(known_at)}", f"Write {', '.join(TIMES)}, or a number of days from the planning CT", RULE)
    for what, text in (("meaning", meaning), ("unit", unit)):
        if not isinstance(text, str) or (text and not TEXT.fullmatch(text)) or (what == "meaning" and not text.strip()):
            raise wrong(
                f"{key}.{what}", f"{what} of {name} is {shown(text)}, not a text of one line", f"Write {what}: and at most 200 characters, no $ or %", RULE
            )
    return ClinicalColumn(
        name, kind, known_at, meaning, _headers(key, name, entry.get("header", [])), unit, _limits(key, kind, entry), _levels(key, kind, entry)
    )


def _require_impersonal(key: str, header: str) -> None:
    if PERSONAL.search(header):
        fault = f"{header!r} could hold who a patient is, a date, or free text"
        raise wrong(key, fault, "Leave it out, or rename what is none of these", PRIVATE)


def _headers(key: str, name: str, entry: Any) -> tuple[str, ...]:
    listed = [entry] if isinstance(entry, str) else entry
    if not isinstance(listed, list) or not all(isinstance(each, str) and column_key(each) for each in listed):
        raise wrong(f"{key}.header", f"header of {name} is {shown(entry)}, not a list of texts", "Write header: [...]", RULE)
    headers = tuple(dict.fromkeys((name, *map(column_key, listed))))
    for header in headers:
        _require_impersonal(f"{key}.header", header)
    return headers


def _limits(key: str, kind: str, entry: Mapping[str, Any]) -> tuple[float, float] | None:
    limits = entry.get("range")
    if kind not in NUMBERS:
        if limits is not None:
            raise wrong(f"{key}.range", f"{key} is of type {kind}, which has no range", "Delete range", RULE)
        return None
    numbers = [float(each) for each in limits if _is_number(each)] if isinstance(limits, list) else []
    if not isinstance(limits, list) or not len(numbers) == len(limits) == len(("lowest", "highest")) or numbers[0] >= numbers[1]:
        raise wrong(f"{key}.range" if limits is not None else key, f"range of {key} is {shown(limits)}", "Write range: [lowest, highest]", RULE)
    return numbers[0], numbers[1]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _levels(key: str, kind: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    levels = entry.get("levels")
    if kind not in LEVELED:
        if levels is not None:
            raise wrong(f"{key}.levels", f"{key} is of type {kind}, which has no levels", "Delete levels", RULE)
        return ()
    if not isinstance(levels, list) or not 1 < len(levels) <= MAX_LEVELS:
        place = f"{key}.levels" if levels is not None else key
        raise wrong(place, f"levels of {key} is {shown(levels)}, not a list of 2 to {MAX_LEVELS}", "Write levels: [...], the reference first", RULE)
    texts = [level if isinstance(level, str) else str(level) if isinstance(level, int) and not isinstance(level, bool) else "" for level in levels]
    strange = next((level for level, text in zip(levels, texts, strict=True) if not LEVEL.fullmatch(text)), None)
    if strange is not None:
        advice = "Use at most 40 letters, digits, blanks and + - / _; quote yes and no"
        raise wrong(f"{key}.levels", f"{shown(strange)} cannot be a level of {key}", advice, RULE)
    if len({text.casefold() for text in texts}) < len(texts):
        raise wrong(f"{key}.levels", f"levels of {key} holds one twice", "Give each level once", RULE)
    return tuple(texts)
