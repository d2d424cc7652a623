"""The model card: what is known of one registered version, as one typed document and as Markdown. The report, `penumbra card` and CHAI's schema read it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from penumbra.base.documents import Document
from penumbra.report.words import NOT_KNOWN, metric_words

Lines = tuple[tuple[str, str], ...]  # (name, text)


@dataclass(frozen=True)
class Measured(Document):
    """One number of the version on one set of patients; NaN where there is none, or no limit.

    Parameters
    ----------
    split
        As in `model_metrics`: cross_fitted is inside; test, left_out and live are outside; train is apparent.
    """

    center: str
    split: str
    metric: str
    value: float
    lower: float
    upper: float
    patients: int
    deaths: int


@dataclass(frozen=True)
class CardSubgroup(Document):
    """C and observed over expected deaths of one subgroup of a set, NaN where there are too few deaths to say."""

    set: str
    subgroup: str
    patients: int
    deaths: int
    c: float
    c_lower: float
    c_upper: float
    observed_expected: float


@dataclass(frozen=True)
class CardCenter(Document):
    """Patients of one center, and what the version used them for: train or test."""

    center: str
    use: str
    patients: int
    deaths: int


@dataclass(frozen=True)
class ModelCard(Document):
    """What is known of a registered version.

    Parameters
    ----------
    version
        0: nothing is registered.
    served
        The fitted model that answers, in words.
    purpose, applicability, stability, limits
        (name, text) lines.
    evidence
        Discrimination, inside first; calibration: slope, intercept, observed over expected deaths, Brier score.
    subgroups
        As the report of the version drew them; () where it was not drawn.
    looks
        Center, and how often its outcomes were read; () where it was not asked.
    parameters
        (name, value in words) as in params.yaml.
    environment
        Package and version.
    """

    model: str
    version: int
    aliases: tuple[str, ...]
    digest: str
    train_centers: tuple[str, ...]
    registered_at: str
    store_commit: int
    store_digest: str
    code_commit: str
    parameters: Lines = ()
    environment: Lines = ()
    served: str = ""
    purpose: Lines = ()
    data: tuple[CardCenter, ...] = ()
    evidence: tuple[Measured, ...] = ()
    calibration: tuple[Measured, ...] = ()
    subgroups: tuple[CardSubgroup, ...] = ()
    applicability: Lines = ()
    stability: Lines = ()
    limits: Lines = ()
    looks: Lines = ()

    @property
    def label(self) -> str:
        """The version in words."""
        return f"{self.model}/{self.version}" if self.version else f"{self.model}, not registered"

    @property
    def lineage(self) -> Lines:
        """Where the version comes from."""
        return (
            ("Digest", self.digest or NOT_KNOWN),
            ("Aliases", ", ".join(self.aliases) or "none"),
            ("Trained on", ", ".join(self.train_centers)),
            ("Registered", self.registered_at or NOT_KNOWN),
            ("Store", f"commit {self.store_commit}, {self.store_digest[:12]}" if self.store_digest else NOT_KNOWN),
            ("Code", self.code_commit[:12] or "not under version control"),
        )


SPLITS = {"cross_fitted": "inside, cross-fitted", "test": "outside", "left_out": "outside, left out", "live": "outside, live", "train": "apparent"}


def markdown(card: ModelCard) -> str:
    """The card for a terminal and for a browser."""
    return "\n".join(_lines(card)) + "\n"


def _lines(card: ModelCard) -> Iterator[str]:
    yield f"# Model card: {card.label}"
    yield ""
    yield f"{card.served or 'Nothing is served'}. For research; not a medical device."
    yield from _facts("Purpose", card.purpose)
    yield from _section("Data")
    yield from _table(("center", "used for", "patients", "died"), [(row.center, row.use, str(row.patients), str(row.deaths)) for row in card.data])
    yield from _section("Evidence: inside first, then outside")
    yield from _measures(card.evidence)
    yield from _section("Calibration")
    yield from _measures(card.calibration)
    yield from _section("Subgroups")
    if card.subgroups:
        header = ("set", "subgroup", "patients", "died", "C (95 %)", "observed / expected")
        rows = [
            (row.set, row.subgroup, str(row.patients), str(row.deaths), limits(row.c, row.c_lower, row.c_upper), _number(row.observed_expected))
            for row in card.subgroups
        ]
        yield from _table(header, rows)
    else:
        yield f"{NOT_KNOWN}: the report of this version was not drawn here (penumbra report)."
    yield from _facts("Applicability", card.applicability)
    yield from _facts("Stability of the features", card.stability)
    yield from _facts("Limits", card.limits)
    yield from _facts("Looks at the outcomes of each center outside", card.looks)
    yield from _facts("Lineage", card.lineage)


def _section(title: str) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""


def _facts(title: str, facts: Lines) -> Iterator[str]:
    yield from _section(title)
    yield from ([f"- {name}: {text}" for name, text in facts] or [f"{NOT_KNOWN}."])


def _measures(rows: Sequence[Measured]) -> Iterator[str]:
    body = [
        (SPLITS.get(row.split, row.split), row.center, metric_words(row.metric), limits(row.value, row.lower, row.upper), str(row.patients), str(row.deaths))
        for row in rows
    ]
    yield from _table(("", "patients of", "measure", "value (95 %)", "n", "died"), body)


def limits(value: float, lower: float, upper: float) -> str:
    """ "0.76 (0.70 to 0.82)"; without limits the value alone."""
    if not math.isfinite(value):
        return NOT_KNOWN
    return f"{_number(value)} ({_number(lower)} to {_number(upper)})" if math.isfinite(lower) and math.isfinite(upper) else _number(value)


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else NOT_KNOWN


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table of Markdown whose columns are as wide as their longest cell, so that a terminal shows it as one."""
    if not rows:
        yield f"{NOT_KNOWN}."
        return
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(header))]
    for number, row in enumerate(cells):
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        if number == 0:
            yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"
