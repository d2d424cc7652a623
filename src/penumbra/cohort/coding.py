"""How a column of a clinical table is coded, judged from the column as a whole or declared in a file next to the table; never guessed from one value."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from penumbra.base.refusal import Refusal
from penumbra.cohort import spellings
from penumbra.cohort.spellings import TimeUnit

DECLARED_FILE = "clinical.yaml"  # next to the table
FATES: Mapping[str, bool | None] = {"died": True, "alive": False, "missing": None}
# A column of survival times without a unit is in days unless nobody is followed for longer than this. Of 210 patients of two public cohorts the
# longest follow-up is 4720 and 3222 days; in months the longest of a center is hardly ever above 240 (20 years).
SHORTEST_DAYS = 240.0
ENOUGH, ENOUGH_FRACTIONS = 10, 5  # patients from which the column is judged; with decimals, which days do not have, fewer are enough
LONGEST_MEDIAN_DAYS = 7305.0  # 20 years: half of a center's patients are not followed for longer


@dataclass(frozen=True)
class Declared:
    """The declarations of `clinical.yaml` about the table next to it.

    Parameters
    ----------
    time_unit
        Of the survival column; None: not declared.
    event
        Code as it is in the cells -> True died, False alive, None not known; empty: not declared.
    """

    time_unit: TimeUnit | None = None
    event: Mapping[str, bool | None] = field(default_factory=dict)

    def died(self, text: str) -> bool | None:
        """What a code means.

        Raises
        ------
        Refusal
            `event_known: a code that clinical.yaml does not name. ...`.
        """
        code = _code(text)
        if code not in self.event:
            raise Refusal("event_known", f"a code that {DECLARED_FILE} does not name", f"Add it to event in {DECLARED_FILE}: died, alive or missing")
        return self.event[code]


def read_declared(folder: Path) -> Declared:
    """`clinical.yaml` of a center's folder; nothing is declared where there is none.

    Raises
    ------
    Refusal
        `clinical_declared: clinical.yaml has the key unit. ...`.
    """
    from penumbra.base.params import ParamsError, read_yaml

    path = folder / DECLARED_FILE
    if not path.is_file():
        return Declared()
    advice = "Write time_unit: days, months or years, and event: {0: alive, 1: died}, one below the other"
    try:
        content = read_yaml(path)
    except ParamsError as error:
        raise Refusal("clinical_declared", str(error), advice) from error
    unknown = sorted(str(key) for key in content if key not in ("time_unit", "event"))
    if unknown:
        raise Refusal("clinical_declared", f"{DECLARED_FILE} has the key {unknown[0][:32]}", advice)
    unit, codes = content.get("time_unit"), content.get("event", {})
    if unit is not None and (not isinstance(unit, str) or unit not in spellings.DAYS_PER):
        raise Refusal("clinical_declared", f"a time_unit in {DECLARED_FILE} that is not days, months or years", advice)
    if not isinstance(codes, dict) or not all(isinstance(fate, str) and fate in FATES for fate in codes.values()):
        raise Refusal("clinical_declared", f"an event in {DECLARED_FILE} that is not died, alive or missing", advice)
    return Declared(unit, {_code(code): FATES[fate] for code, fate in codes.items()})


def check_events(cells: Collection[str], declared: Declared) -> None:
    """Refuse events other than 0 and 1 without a declaration: in some tables 2 is dead, in others a death of another cause.

    Parameters
    ----------
    cells
        Of the column, as sent.

    Raises
    ------
    Refusal
        `event_coded: events of 0, 1 and 2: 2 is neither death nor alive. ...`.
    """
    if declared.event:
        return
    numbers = sorted({value for value in (spellings.plain_number(text) for text in cells) if value is not None})
    strange = [value for value in numbers if value not in (0.0, 1.0)]
    if strange:
        codes = [f"{value:g}" for value in numbers][:6]
        listed = f"{', '.join(codes[:-1])} and {codes[-1]}" if len(codes) > 1 else codes[0]
        raise Refusal(
            "event_coded",
            f"events of {listed}: the meaning of {strange[0]:g} is not declared",
            f"Send 1 for death and 0 for alive, or declare each code in {DECLARED_FILE} next to the table, such as event: {{{_example(numbers)}}}",
        )


def check_unit(times: Sequence[float], unit: TimeUnit, *, explicit: bool) -> None:
    """Refuse a unit that the survival times of a center cannot be in.

    Parameters
    ----------
    times
        Positive numbers of the column, as sent, of rows without a unit of their own.
    explicit
        Whether the column's name or clinical.yaml names the unit, and not only the project's default.

    Raises
    ------
    Refusal
        `time_unit: nobody of 60 patients is followed beyond 58 in a column without a unit. ...`.
    """
    fractions = sum(not float(value).is_integer() for value in times)
    enough = len(times) >= ENOUGH or (len(times) >= ENOUGH_FRACTIONS and 2 * fractions >= len(times))
    if not enough:
        return
    line = f"name the column survival_days, survival_months or survival_years, or write a line into {DECLARED_FILE} next to the table"
    if not explicit and unit == "days" and max(times) <= SHORTEST_DAYS:
        decimals = ", with decimals" if fractions else ""
        fault = f"nobody of {len(times)} patients is followed beyond {max(times):g}{decimals} in a column without a unit: days, months or years"
        raise Refusal("time_unit", fault, f"Say it: {line}, such as time_unit: months")
    middle = sorted(times)[len(times) // 2] * spellings.DAYS_PER[unit]
    if middle > LONGEST_MEDIAN_DAYS:
        fault = f"half of {len(times)} patients are followed beyond {middle / spellings.DAYS_PER['years']:.0f} years, read in {unit}"
        raise Refusal("time_unit", fault, f"Say the right unit: {line}, such as time_unit: days")


def _code(text: object) -> str:
    """A code in one spelling: 1 for 1, 01, 1.0 and true of YAML."""
    if isinstance(text, bool):
        return str(text).lower()
    number = spellings.plain_number(str(text))
    return str(text).strip().lower() if number is None else f"{number:g}"


def _example(numbers: Sequence[float]) -> str:
    fates = ["alive", *["died"] * (len(numbers) - 1)]
    return ", ".join(f"{number:g}: {fate}" for number, fate in zip(numbers, fates, strict=True))
