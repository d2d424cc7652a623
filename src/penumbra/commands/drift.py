"""`penumbra drift`: how far a center is from those that the models learned from, in every feature and in its outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from penumbra import store, survival
from penumbra.base import tables
from penumbra.base.cells import NO_BREAK, p_value, percent
from penumbra.base.refusal import Refusal, choose
from penumbra.fusion import benjamini_hochberg
from penumbra.pipeline import looks
from penumbra.pipeline.feature_ranks import feature_families
from penumbra.pipeline.settings import Settings
from penumbra.pipeline.workspace import Work
from penumbra.survival.horizons import horizon_words
from penumbra.survival.shift import shift

SHOWN = 15
FAMILY_SHOWN = 3  # features named of a family


@dataclass(frozen=True)
class Drift:
    """features: one record per kind, ROI and feature, the most shifted first. outcome: one record per side. log_rank_p: None without deaths."""

    center: str
    features: list[dict[str, Any]]
    outcome: list[dict[str, Any]]
    log_rank_p: float | None


def drift_of(work: Work, center: str) -> Drift:
    """Every feature of a center against the training centers' (without that center), q over all of them together; and follow-up and survival.

    Raises
    ------
    Refusal
        "center_stored": no features of the center, or of any other training center.
    """
    chosen = work.settings.drift
    with store.connect(work.home, read_only=True) as lake:
        features = shifted(lake, work.settings, center)
        reference = _reference(work.settings, center)
        people = [row for row in lake.rows("patients") if row["center"] in (center, *reference) and row["time"] is not None and row["event"] is not None]
    arrived = [row for row in people if row["center"] == center]
    look = looks.Look("drift", {"outcomes": [[row["patient"], row["time"], row["event"]] for row in people], "horizon": chosen.horizon_days})
    training = work.settings.cohort.train_centers
    looks.count(work.home, work.run, look, (row["center"] for row in arrived), (row["event"] for row in arrived), training=training)
    return Drift(center, features, *_outcomes(people, center, chosen.horizon_days))


def shifted(lake: store.Store, settings: Settings, center: str) -> list[dict[str, Any]]:
    """Every feature of a center against the training centers' (without that center), the most shifted first; no outcome is read.

    Raises
    ------
    Refusal
        "center_stored", as `drift_of`.
    """
    reference = _reference(settings, center)
    features: list[dict[str, Any]] = []
    for kind in store.FEATURE_KINDS:
        rois = lake.sql(f"SELECT DISTINCT roi FROM stored.{kind} ORDER BY roi").column("roi").to_pylist()  # noqa: S608 a known relation
        for roi in rois:
            matrix = store.read_matrix(lake, kind, roi, centers=[center, *reference])
            here = matrix.centers == center
            if not here.any() or here.all():
                continue
            shifts = shift(matrix.values[~here], matrix.values[here], bins=settings.drift.bins)
            names = ("reference_n", "sample_n", "reference_mean", "sample_mean", "ks", "p", "psi")
            columns = [getattr(shifts, name) for name in names]
            for feature, *values in zip(matrix.features, *columns, strict=True):
                quantiles = {name: value.item() for name, value in zip(names, values, strict=True)}
                features.append({"kind": kind, "roi": roi, "feature": feature, "version": matrix.version, **quantiles})
    if not features:
        raise _nothing_to_compare(center, reference, sorted({row["center"] for row in lake.sql("SELECT DISTINCT center FROM patients").to_pylist()}))
    p = np.array([row["p"] for row in features])
    q = np.full(len(p), np.nan)
    q[np.isfinite(p)] = benjamini_hochberg(p[np.isfinite(p)])
    features = [{**row, "q": float(value)} for row, value in zip(features, q, strict=True)]
    features.sort(key=lambda row: (-row["psi"] if np.isfinite(row["psi"]) else np.inf, row["kind"], row["roi"], row["feature"]))
    return features


@dataclass(frozen=True)
class FamilyShift:
    """The features of one family in one ROI: how many, how many of them are shifted by either measure, and the most shifted ones."""

    roi: str
    family: str
    features: int
    significant: int
    unlike: int
    most: tuple[dict[str, Any], ...]


def by_family(features: Sequence[Mapping[str, Any]], settings: Settings) -> list[FamilyShift]:
    """The answer of `shifted` by ROI and family, the family with the largest share of unlike features first."""
    families, groups = feature_families(), dict[tuple[str, str], list[dict[str, Any]]]()
    for row in features:
        family = "deep" if row["kind"] == "deep" else families.get(row["feature"], "other")
        groups.setdefault((row["roi"], family), []).append(dict(row))
    shifts = [
        FamilyShift(
            roi,
            family,
            len(rows),
            sum(row["q"] < settings.drift.alpha for row in rows),
            sum(row["psi"] > settings.drift.psi for row in rows),
            tuple(rows[:FAMILY_SHOWN]),
        )
        for (roi, family), rows in groups.items()
    ]
    return sorted(shifts, key=lambda each: (-each.unlike / each.features, -each.significant / each.features, each.roi, each.family))


def _reference(settings: Settings, center: str) -> list[str]:
    """The training centers that a center is compared with."""
    return [name for name in settings.cohort.train_centers if name != center]


def _nothing_to_compare(center: str, reference: list[str], centers: list[str]) -> Refusal:
    """Why a center has no features to compare, or nothing to compare them with."""
    if center not in centers:
        return Refusal("center_stored", f"no features of {center!r}: no such center was ingested", choose(center, centers, what="ingested"))
    if not set(reference) & set(centers):
        others = ", ".join(name for name in centers if name != center) or "none"
        reason = f"{center} is the only training center with features, and there is no other to compare it with"
        return Refusal("center_stored", reason, f"Name a center that does not train, or name others in params.yaml, cohort.train_centers: {others}")
    return Refusal("center_stored", f"no features of {center!r}, or of the training centers {', '.join(reference)}", "run penumbra populate and penumbra train")


def _outcomes(people: list[dict[str, Any]], center: str, horizon_days: float) -> tuple[list[dict[str, Any]], float | None]:
    """Follow-up and survival of the center and of the reference, each with its own censoring taken into account, and the log-rank test."""
    event, time = np.array([bool(row["event"]) for row in people]), np.array([float(row["time"]) for row in people])
    here = np.array([row["center"] == center for row in people], dtype=bool)
    sides = []
    for name, chosen in (("training", ~here), (center, here)):
        if not chosen.any():
            continue
        side: dict[str, Any] = {"patients": name, "n": int(chosen.sum()), "deaths": int(event[chosen].sum())}
        curve = survival.kaplan_meier(event[chosen], time[chosen])
        followed = survival.kaplan_meier(~event[chosen], time[chosen])  # reverse Kaplan-Meier: death censors the follow-up (Schemper and Smith 1996)
        at, lower, upper = (float(part[0]) for part in curve.at([horizon_days]))
        sides.append(
            {
                **side,
                "followed_days": followed.median,
                "median_days": curve.median,
                "last_day": float(time[chosen].max()),
                "alive": at,
                "lower": lower,
                "upper": upper,
                "at_risk": int(curve.number_at_risk([horizon_days])[0]),
            }
        )
    both = len(sides) == 2 and event[here].any() and event[~here].any()
    return sides, survival.log_rank(event, time, here).p if both else None


def _alive(row: dict[str, Any], horizon_days: float) -> str:
    """ "61 % (52 % to 71 %)"; why there is none where nobody was followed so long; no limits where all have died."""
    if np.isnan(row["alive"]):
        return f"- (followed to day {row['last_day']:g} of {horizon_days:g})"
    limits = f" ({percent(row['lower'])} to {percent(row['upper'])})" if np.isfinite([row["lower"], row["upper"]]).all() else ""
    return f"{percent(row['alive'])}{limits}"


def summary(drift: Drift, work: Work) -> str:
    """The summary, the most shifted features and the outcome, for a terminal."""
    chosen = work.settings.drift
    summary = []
    for kind, roi in dict.fromkeys((row["kind"], row["roi"]) for row in sorted(drift.features, key=lambda row: (row["kind"], row["roi"]))):
        rows = [row for row in drift.features if (row["kind"], row["roi"]) == (kind, roi)]
        summary.append([kind, roi, len(rows), sum(row["q"] < chosen.alpha for row in rows), sum(row["psi"] > chosen.psi for row in rows)])
    most = [[row["roi"], row["feature"], row["reference_mean"], row["sample_mean"], row["ks"], row["q"], row["psi"]] for row in drift.features[:SHOWN]]
    p = "-" if drift.log_rank_p is None else p_value(drift.log_rank_p).replace(NO_BREAK, " ")
    horizon = f"alive after {horizon_words(chosen.horizon_days)}"
    outcome = [
        [
            row["patients"],
            row["n"],
            row["deaths"],
            row["followed_days"],
            row["median_days"],
            _alive(row, chosen.horizon_days),
            row["at_risk"],
        ]
        for row in drift.outcome
    ]
    return "\n".join(
        [
            tables.render(["kind", "roi", "features", f"q < {chosen.alpha:g}", f"PSI > {chosen.psi:g}"], summary, f"{drift.center} against training"),
            "",
            tables.render(["roi", "feature", "mean, training", f"mean, {drift.center}", "KS", "q", "PSI"], most),
            "",
            tables.render(["patients", "n", "deaths", "followed, median d", "survival, median d", horizon, "at risk then"], outcome),
            f"log-rank p  {p}; q after Benjamini and Hochberg over all features",
        ]
    )
