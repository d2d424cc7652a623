"""The page of an audit: what could be wrong with the evidence of the served model, and what was seen when it was tried."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penumbra.base.documents import Document
from penumbra.base.whole_files import write_whole
from penumbra.evaluate.gate import Contrast
from penumbra.report.sections import Section, write_sections
from penumbra.report.words import NOT_KNOWN, count, number

PAGE, DATA = "audit.html", "audit.json"  # next to the report of the version
FOOTER = "penumbra audit; research software, not a medical device. Nothing is chosen by an audit."
COLUMNS = 3  # named of one patient
SHOWN = 20  # patients or pairs of a table; how many there are is stated


@dataclass(frozen=True)
class Spread(Document):
    """C of many fits, one value each; NaN where nobody comparable was left."""

    values: tuple[float, ...]

    @property
    def defined(self) -> np.ndarray:
        """Those that are defined."""
        values = np.asarray(self.values, dtype=float)
        return np.asarray(values[np.isfinite(values)])

    @property
    def mean(self) -> float:
        """NaN without a value."""
        return float(self.defined.mean()) if self.defined.size else math.nan

    @property
    def median(self) -> float:
        """NaN without a value."""
        return float(np.median(self.defined)) if self.defined.size else math.nan

    @property
    def sd(self) -> float:
        """Standard deviation between fits; NaN for fewer than two."""
        return float(self.defined.std(ddof=1)) if self.defined.size > 1 else math.nan

    @property
    def se(self) -> float:
        """Standard error of the mean."""
        return self.sd / math.sqrt(self.defined.size) if self.defined.size > 1 else math.nan

    def reached(self, value: float) -> int:
        """How many are at least as large as a value."""
        return int((self.defined >= value).sum())

    def words(self) -> str:
        """ "0.489 ± 0.041 (0.41 to 0.57), 20 of them"."""
        values = self.defined
        if not values.size:
            return NOT_KNOWN
        ends = f"{number(float(values.min()))} to {number(float(values.max()))}"
        return f"{number(self.mean, 3)} ± {number(self.sd, 3)} ({ends}), {values.size} of them"


@dataclass(frozen=True)
class Balance(Document):
    """Whether the folds of the cross-fit depend on something that they were not drawn by.

    Parameters
    ----------
    levels
        How many centers, or kinds of scans.
    statistic
        Largest chi-square over the draws.
    p
        Its permutation p, times the number of draws (Bonferroni); NaN where there is one level alone.
    """

    what: str
    levels: int
    statistic: float
    p: float


@dataclass(frozen=True)
class Alike(Document):
    """Two patients of different centers who may be one person, or one scan under several names."""

    patients: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Outside(Document):
    """A scored patient whose applicability is not inside, with the columns beyond those of the training patients."""

    patient: str
    center: str
    applicability: str
    reason: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Read(Document):
    """How often one stage read the outcomes of a center that does not train."""

    center: str
    stage: str
    times: int
    questions: int
    last: str


@dataclass(frozen=True)
class Audit(Document):
    """What an audit saw.

    Parameters
    ----------
    label
        The registered version that was audited; served: its model.
    c
        Of the served model's cross-fitted risks, as they were measured.
    falsifiers
        The model against each of them, as evaluate found; () for a control, which has nothing to beat.
    networks
        How the networks were permuted, in words.
    columns
        That the served model reads.
    scored
        Patients with an applicability; None: no version tells one.
    begun
        Since when looks are counted.
    """

    label: str
    served: str
    at: str
    seconds: float
    c: float
    falsifiers: tuple[Contrast, ...]
    permuted: Spread
    networks: str
    panels: Spread
    columns: int
    folds: tuple[Balance, ...]
    alike: tuple[Alike, ...]
    near: float
    highest: float
    scored: int | None
    outside: tuple[Outside, ...]
    looks: tuple[Read, ...]
    begun: str

    @property
    def leaks(self) -> bool:
        """Whether permuted outcomes are ranked better than chance."""
        return self.permuted.mean > 0.5 + 2 * self.permuted.se

    @property
    def unbeaten(self) -> tuple[str, ...]:
        """Falsifiers that the model is not shown to beat."""
        return tuple(row.against for row in self.falsifiers if not row.lower_one_sided > 0)

    @property
    def rows(self) -> tuple[tuple[str, str, str], ...]:
        """Check, what was seen, and how it reads."""
        return tuple(_rows(self))


def _rows(audit: Audit) -> Iterator[tuple[str, str, str]]:
    c = number(audit.c, 3)
    if audit.falsifiers:
        beaten = f"not shown to beat {', '.join(audit.unbeaten)}" if audit.unbeaten else "beats every one of them"
        yield "falsifiers", f"C {c}; {', '.join(f'{row.against} {number(row.other, 3)}' for row in audit.falsifiers)}", beaten
    else:
        yield "falsifiers", f"C {c}", f"{audit.served} is a control: it has nothing to beat"
    reads = "above 0.5 beyond noise: something of the outcome leaks" if audit.leaks else "0.5 within noise, or below"
    reads += f"; {audit.permuted.reached(audit.c)} of {audit.permuted.defined.size} reach {c}"
    yield "permuted outcomes", f"C {audit.permuted.words()}", f"{reads}. {audit.networks}"
    share = f"{audit.panels.reached(audit.c)} of {audit.panels.defined.size} reach {c}; a figure, never a condition"
    yield "random panels", f"median C {number(audit.panels.median, 3)}, {audit.panels.words()}; {count(audit.columns, 'column')} each", share
    for row in audit.folds:
        if math.isfinite(row.p):
            yield (
                f"folds against {row.what}",
                f"{row.levels} levels, largest chi-square {number(row.statistic, 1)}",
                f"p {number(row.p, 3)}{': not balanced' if row.p < 0.05 else ''}",
            )
        else:
            yield f"folds against {row.what}", f"{row.levels} level{'s' if row.levels != 1 else ''}", "nothing to compare"
    doubles = f"{len(audit.alike)} groups" if audit.alike else f"none; the two most alike of different centers correlate {number(audit.highest)}"
    yield "one person twice", doubles, "leave one out" if audit.alike else f"by pixels, files, figures, and features above {audit.near:g}"
    if audit.scored is None:
        yield "applicability", NOT_KNOWN, "no stored prediction says whether its patient is like the training patients"
    else:
        worst = sum(row.applicability == "outside" for row in audit.outside)
        yield "applicability", f"{worst} outside, {len(audit.outside) - worst} at the edge, of {audit.scored} scored", "named on the page with their columns"
    total = {center: sum(row.times for row in audit.looks if row.center == center) for center in dict.fromkeys(row.center for row in audit.looks)}
    read = ", ".join(f"{center} read {count(times, 'time')}" for center, times in total.items()) or "none yet"
    yield "looks", read, f"counted since {audit.begun[:10]}; SQL that a person writes is not counted"


def write_audit(audit: Audit, folder: Path) -> Path:
    """The page of an audit, next to the report of its version, and the audit as JSON."""
    intro = [
        f"{audit.served} of {audit.label}, audited on {audit.at[:10]} in {audit.seconds:.0f} s. Inside the training centers, cross-fitted, its C is"
        f" {number(audit.c, 3)}. Nothing here chooses a model, and no outcome outside the training centers was read."
    ]
    write_whole(folder / DATA, json.dumps(audit.to_json(), indent=1, allow_nan=False) + "\n")
    return write_sections(folder / PAGE, "Audit", audit.label, intro, list(_sections(audit)), FOOTER)


def read_audit(folder: Path) -> Audit | None:
    """The last audit of the version whose report is in a folder; None where there is none, or none that can be read."""
    try:
        return Audit.from_json(json.loads((folder / DATA).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def write_placeholder(folder: Path, label: str) -> None:
    """A page that says how to make the audit, where there is none yet: the checklist links it."""
    if not (folder / PAGE).is_file():
        write_sections(folder / PAGE, "Audit", label, ["Not made yet: run penumbra audit."], [], FOOTER)


def _sections(audit: Audit) -> Iterator[Section]:
    yield Section("What was tried", "Each line is explained below.", ("check", "seen", "reads as"), audit.rows, 3)
    if audit.falsifiers:
        words = "The model against what knows nothing of the image, or nothing but its size; shown to beat it where the one-sided lower limit is above 0."
        contrasts = tuple(
            (row.against, *(number(value, 3) for value in (row.challenger, row.other, row.difference, row.lower_one_sided))) for row in audit.falsifiers
        )
        yield Section("Falsifiers", words, ("against", "C", "C of it", "difference", "one-sided lower limit"), contrasts)
    words = (
        "Each time the outcomes of the training patients change places within their center, and everything that is learned from an outcome is learned again in"
        f" every fold: screening, penalties, components, cut-off. {audit.networks}. A C above 0.5 beyond noise would mean that the cross-fit sees what it"
        " predicts."
    )
    yield Section("Permuted outcomes", words, ("permutations", "mean C", "SD", "SE", "lowest", "highest"), _spread(audit.permuted))
    words = (
        f"{count(audit.columns, 'random column')} of all radiomics columns, all in one ridge Cox model, as many as the served model reads. Where signal is"
        " redundant, a random panel carries it: this is a figure to read a C by, and never a condition."
    )
    yield Section("Random panels", words, ("panels", "mean C", "SD", "SE", "lowest", "highest"), _spread(audit.panels))
    words = (
        "A fold that holds another mixture of centers or scans than the rest would be predicted by what it is, not by who is ill. p is by permutation, times"
        " the draws of the folds. The scanner is not stored; the distance between its slices is."
    )
    balances = tuple((row.what, row.levels, number(row.statistic, 1), number(row.p, 3)) for row in audit.folds)
    yield Section("Folds against center and scan", words, ("", "levels", "largest chi-square", "p"), balances)
    words = f"By pixels, files and figures (penumbra doctor), and by the features of the GTV: pairs of two centers that correlate above {audit.near:g}."
    words += "" if audit.alike else f" None was found; the highest correlation is {number(audit.highest)}."
    yield Section("One person twice", words, ("patients", "reason"), tuple((", ".join(row.patients), row.reason) for row in audit.alike[:SHOWN]), 2)
    yield _applicability(audit)
    words = (
        f"How often outcomes of a center that does not train were read to measure something, since {audit.begun[:10]}: what is chosen after many looks is not"
        " confirmed by one more. Questions: different ones. SQL that a person writes is not counted."
    )
    read = tuple((row.center, row.stage, row.times, row.questions, row.last[:16].replace("T", " ")) for row in audit.looks)
    yield Section("Looks", words, ("center", "read by", "times", "questions", "last, UTC"), read, 2)


def _applicability(audit: Audit) -> Section:
    if audit.scored is None:
        return Section("Applicability", "No stored prediction says whether its patient is like the training patients: predict again, or register a version.")
    words = f"{len(audit.outside)} of {audit.scored} scored patients are not inside what the served version has learned; the columns beyond, farthest first."
    words += f" The first {SHOWN} are shown; penumbra sql has all." if len(audit.outside) > SHOWN else ""
    rows = tuple((row.patient, row.center, row.applicability, row.reason, ", ".join(row.columns[:COLUMNS]) or "none") for row in audit.outside[:SHOWN])
    return Section("Applicability", words, ("patient", "center", "", "reason", "columns beyond, farthest first"), rows, 5)


def _spread(spread: Spread) -> tuple[tuple[object, ...], ...]:
    values = spread.defined
    ends = (float(values.min()), float(values.max())) if values.size else (math.nan, math.nan)
    return ((values.size, *(number(value, 3) for value in (spread.mean, spread.sd, spread.se, *ends))),)
