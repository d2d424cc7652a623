"""Deaths of live patients against those that a version expected: observed minus expected and two CUSUM charts per center, and what a signal says.

Live: scored before the outcome was known, by a version that was not fitted on them. Their time counts from the first time that they were scored.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from penumbra import registry, store
from penumbra.base.documents import Document
from penumbra.pipeline import looks, manifests, prospective
from penumbra.pipeline.groups import Monitor
from penumbra.pipeline.workspace import Work
from penumbra.registry import CHAMPION, LoadedModel
from penumbra.survival.monitoring import Chart, Stream, cusum, limit_of, stream_of

Place = prospective.Place
MORE, FEWER = "more", "fewer"
SIGNALS = "live"  # the manifest of them
SECONDS_A_DAY = 86400.0


@dataclass(frozen=True)
class Signal(Document):
    """A version whose live patients at a center die otherwise than it expected.

    Parameters
    ----------
    deaths
        "more" or "fewer" than expected.
    observed, expected
        At the signal.
    """

    model: str
    version: int
    center: str
    deaths: Literal["more", "fewer"]
    observed: int
    expected: float

    def __str__(self) -> str:
        return (
            f"{self.deaths} of {self.center}'s patients died than {self.model}/{self.version} expected when it scored them: its CUSUM was beyond its limit at"
            f" {self.observed} deaths, {self.expected:.1f} expected; penumbra retrain --center {self.center} asks how much has to change"
        )


@dataclass(frozen=True)
class Signals(Document):
    """Those of the last look."""

    signals: tuple[Signal, ...] = ()


@dataclass(frozen=True)
class Watched:
    """The live patients of one version at one center, and its two charts."""

    model: str
    version: int
    center: str
    patients: int
    stream: Stream
    more: Chart
    fewer: Chart

    @property
    def observed(self) -> int:
        """Deaths so far."""
        return int(self.stream.died.sum())

    @property
    def expected(self) -> float:
        """Deaths expected so far."""
        return float(self.stream.expected[-1]) if self.stream.expected.size else 0.0

    @property
    def signal(self) -> Signal | None:
        """Of the chart that was beyond its limit first."""
        beyond = sorted((chart.signal, name) for name, chart in ((MORE, self.more), (FEWER, self.fewer)) if chart.signal is not None)
        if not beyond:
            return None
        step, name = beyond[0]
        return Signal(self.model, self.version, self.center, name, int(self.stream.observed[step]), float(self.stream.expected[step]))  # type: ignore[arg-type]

    def record(self) -> dict[str, Any]:
        """A row of `live_monitoring`."""
        signal = self.signal
        now = {name: float(chart.value[-1]) if chart.value.size else 0.0 for name, chart in ((MORE, self.more), (FEWER, self.fewer))}
        return {
            "model": self.model,
            "version": str(self.version),
            "center": self.center,
            "patients": self.patients,
            "observed": self.observed,
            "expected": self.expected,
            "cusum_more": now[MORE],
            "limit_more": self.more.limit,
            "cusum_fewer": now[FEWER],
            "limit_fewer": self.fewer.limit,
            "signal": signal.deaths if signal else None,
            "signal_observed": signal.observed if signal else None,
            "signal_expected": signal.expected if signal else None,
        }


def limits(numbers: Monitor) -> tuple[float, float]:
    """The limits of the charts for fewer and for more deaths; each has half of the false alarms."""
    fewer, more = (
        limit_of(ratio, false_alarms=numbers.false_alarms / 2, expected=numbers.expected_deaths, runs=numbers.runs, seed=numbers.seed)
        for ratio in numbers.hazard_ratios
    )
    return fewer, more


def watched(loaded: LoadedModel, rows: list[dict[str, Any]], numbers: Monitor) -> Iterator[Watched]:
    """Each center's live patients of a version, from `prospective.followed`."""
    beyond_fewer, beyond_more = limits(numbers)
    begin = min((row["scored_at"] for row in rows), default=None)
    for center in dict.fromkeys(row["center"] for row in rows):
        here = [row for row in rows if row["center"] == center]
        since = np.array([float(row["known_time"]) for row in here])
        scored = np.array([(row["scored_at"] - begin).total_seconds() / SECONDS_A_DAY for row in here])
        stream = stream_of(
            [bool(row["event"]) for row in here],
            [float(row["time"]) for row in here],
            [float(row["answered_risk"]) for row in here],
            loaded.model.baseline,
            entered=scored - since,
            since=since,
        )
        charts = (cusum(stream, ratio, limit) for ratio, limit in zip(numbers.hazard_ratios, (beyond_fewer, beyond_more), strict=True))
        fewer, more = charts
        yield Watched(loaded.entry.model, loaded.entry.version, center, len(here), stream, more, fewer)


def look(work: Work, lake: store.Store, model: str) -> list[Watched]:
    """Look at every version's live patients, record what was seen, and leave the champion's signals as a manifest."""
    rows, registered = prospective.followed(lake, model), {str(entry.version) for entry in registry.versions(work.home, model)}
    seen: list[Watched] = []
    for version in dict.fromkeys(row["version"] for row in rows if row["version"] in registered):
        loaded = registry.load(work.home, version, model=model)
        seen += watched(loaded, [row for row in rows if row["version"] == version], work.settings.monitor)
    records = [one.record() for one in seen]
    places = {(row["version"], row["center"]) for row in records}
    nobody = {"patients": 0, "observed": 0, "expected": 0.0}
    retracted = [
        {"model": model, "version": row["version"], "center": row["center"], **nobody}
        for row in lake.rows("live_monitoring")
        if row["model"] == model and (row["version"], row["center"]) not in places
    ]
    if records or retracted:
        commit = lake.write({"live_monitoring": [*records, *retracted]}, run=work.run, what=f"{model}: deaths of live patients against those expected")
        if commit is not None:  # else everything is as it was the night before
            evaluation = {"patients": [[row["version"], row["patient"], row["time"], row["event"]] for row in rows]}
            look_at = looks.Look("monitor", evaluation, model, split=prospective.LIVE)
            looks.count(work.home, work.run, look_at, (row["center"] for row in rows), (row["event"] for row in rows))
    champion = registry.shelf(work.home, model).aliases.get(CHAMPION)
    signals = tuple(one.signal for one in seen if one.signal is not None and one.version == champion)
    if signals or manifests.file_of(work.home, SIGNALS).is_file():
        manifests.write(work.home, Signals(signals), SIGNALS)
    return seen


def signals(home: Path, model: str) -> tuple[Signal, ...]:
    """Those of the version that is champion now, as the last look left them."""
    manifest = manifests.earlier(home, Signals, SIGNALS)
    if manifest is None or not manifest.signals:
        return ()
    champion = registry.shelf(home, model).aliases.get(CHAMPION)
    return tuple(signal for signal in manifest.signals if (signal.model, signal.version) == (model, champion))
