"""Evidence of versions as rows of a page: words, numbers, and a strip on the axis that all of them share."""

from dataclasses import dataclass

from penumbra.commands.standing import Evidence, Limited, VersionStanding
from penumbra.console.visit import Visit
from penumbra.evaluate import EXTERNAL, TRAINING
from penumbra.report import strips
from penumbra.report.card import limits


@dataclass(frozen=True)
class Row:
    """One set of patients. address: of its center's page, "" for a pool. tone: of the badge of the gain."""

    words: str
    address: str
    patients: int
    deaths: int
    c: str
    volume: str
    gain: str
    verdict: str
    tone: str
    strip: str


def rows_of(visit: Visit, standing: VersionStanding) -> list[Row]:
    """The evidence that says how good a version is, inside first."""
    return [_row(visit, each) for each in standing.shown]


def small_forest(standing: VersionStanding, center: str | None) -> str:
    """C of a version inside (None), or at one center, next to volume's, as a strip; "" where it was not measured."""
    found = standing.inside if center is None else next((row for row in standing.shown if not row.is_inside and row.center == center), None)
    return "" if found is None else strip(found)


def strip(evidence: Evidence) -> str:
    """C with its interval above volume's."""
    words = f"{evidence.words}: C {limits(*_three(evidence.c))}, tumor volume alone {limits(*_three(evidence.volume))}"
    dots = (strips.Dot(*_three(evidence.c)), strips.Dot(*_three(evidence.volume), kind="other"))
    return strips.strip(strips.C_AXIS, dots, words)


def _row(visit: Visit, evidence: Evidence) -> Row:
    named = evidence.center not in (EXTERNAL, TRAINING) and "center" in visit.console_paths
    verdict, tone = _verdict(evidence.gain)
    return Row(
        evidence.words,
        visit.url("center", center=evidence.center) if named else "",
        evidence.patients,
        evidence.deaths,
        limits(*_three(evidence.c)),
        limits(*_three(evidence.volume)),
        limits(*_three(evidence.gain)),
        verdict,
        tone,
        strip(evidence),
    )


def _verdict(gain: Limited) -> tuple[str, str]:
    """What the interval of C minus volume's says."""
    if gain.lower > 0:
        return "better than volume", "good"
    if gain.upper < 0:
        return "worse than volume", "bad"
    return ("not shown to differ from volume", "quiet") if gain.value == gain.value else ("", "")


def _three(limited: Limited) -> tuple[float, float, float]:
    return limited.value, limited.lower, limited.upper
