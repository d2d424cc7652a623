"""The first line after a run, in words that are honest where the model is not better than tumor volume."""

import math
from dataclasses import replace

import numpy as np
import pytest

from penumbra.commands.verdict import Verdict, listed, sentence
from penumbra.evaluate import Evaluating, GateLimits, MetricRow, ModelRisk, evaluate
from penumbra.evaluate.contrasts import contrasts
from penumbra.pipeline.manifests import RegisterManifest
from penumbra.survival.outcome import Outcomes

pytestmark = pytest.mark.slow

BETTER = Verdict("nsclc-os", 1, ("north",), ("east", "south"), 64, 41, "Combined", 0.73, 0.104, 0.011, 0.197)
REGISTERED = RegisterManifest(model="nsclc-os", version=1)
NOTHING = RegisterManifest(version=None, reason="no feature was retained")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "it ranks patients better than tumor volume alone: C is higher by 0.104 (95 % interval 0.011 to 0.197)."),
        ({"lower": -0.004}, "it is not shown to rank patients better than tumor volume alone: the difference in C is +0.104 (95 % interval -0.004 to +0.197)."),
        (
            {"difference": -0.21, "lower": -0.37, "upper": -0.05},
            "it ranks patients worse than tumor volume alone: C is lower by 0.210 (95 % interval 0.050 to 0.370).",
        ),
        ({"difference": math.nan}, "it could not be compared with tumor volume alone."),
        ({"served": "Volume", "c": 0.62, "difference": math.nan}, "64 patients, 41 died), it is tumor volume alone, with a C of 0.62."),
        ({"centers": ()}, "There is no external center, so it is not known how well it ranks patients elsewhere."),
    ],
)
def test_the_words(changed: dict[str, float], said: str) -> None:
    text = sentence(replace(BETTER, **changed), REGISTERED)
    assert text.startswith("Served: nsclc-os/1, fitted on north. ")
    assert said in text


def test_a_version_that_is_not_served_is_named() -> None:
    assert "This run registered nsclc-os/2, which is not served; penumbra compare champion 2 shows both." in sentence(BETTER, replace(REGISTERED, version=2))
    assert "This run registered nothing: no feature was retained." in sentence(BETTER, NOTHING)
    assert sentence(None, NOTHING) == "Nothing is served: no feature was retained."


def test_why_it_is_served_is_said_of_the_version_of_this_run_alone() -> None:
    assert "fitted on north. Volume only: nothing beat it. Outside" in sentence(BETTER, REGISTERED, "Volume only: nothing beat it.")
    assert "Volume only" not in sentence(BETTER, replace(REGISTERED, version=2), "Volume only: nothing beat it.")


def test_names_in_a_sentence() -> None:
    assert [listed(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


def measured(models: dict[str, ModelRisk], centers: np.ndarray, event: np.ndarray, time: np.ndarray, *, day: float, resamples: int) -> list[MetricRow]:
    """Combined against Volume, with north in training."""
    numbers = Evaluating(
        horizons_days=(day,),
        bootstraps=resamples,
        refits=1,
        calibration_groups=5,
        thresholds=(),
        age_split=65,
        confidence=0.95,
        seed=5,
        shrinkage=0.9,
        sample_size_c=(),
        external_events=100,
        subgroup_events=10,
    )
    return evaluate(models, Outcomes(event, time, centers), centers == "north", numbers, combined="Combined", controls={"volume": "Volume"})


def test_the_difference_is_the_gates_own() -> None:
    """Over pairs of two centers, a model that only told the centers apart looked better than volume."""
    random = np.random.default_rng(3)
    n = 120
    centers = np.repeat(["north", "east", "south"], n // 3)
    cause = random.normal(size=n)
    event, time = random.random(n) < 0.7, np.ceil(random.exponential(np.exp(-cause) * 500))
    apart = np.where(centers == "east", 2.0, 0.0)
    time = np.where(centers == "east", np.ceil(time / 50), time)
    served, volume = random.normal(size=n) + 3 * apart, cause + random.normal(size=n)
    models = {"Combined": ModelRisk(served, 0.0), "Volume": ModelRisk(volume, 0.0)}
    rows = measured(models, centers, event, time, day=365.0, resamples=200)
    (row,) = [row for row in rows if row.metric == "delta_c_volume_within"]
    outside = centers != "north"
    limits = GateLimits(noise=0.1, confidence=0.95, interval="percentile", min_events=5, resamples=200, seed=5)
    expected = contrasts(Outcomes(event, time, centers).rows(outside), volume[outside], served[outside], {}, limits).overall
    assert (row.model, row.center, row.n, row.events) == ("Combined", "external", expected.n, expected.events)
    assert (row.value, row.lower, row.upper) == pytest.approx((expected.difference, expected.lower, expected.upper))
    (pooled,) = [row for row in rows if (row.metric, row.model, row.center) == ("delta_c_combined", "Volume", "external")]
    assert pooled.value > row.value + 0.03


def test_a_model_without_a_risk_is_not_compared() -> None:
    event, time, centers = np.array([True, True, False, True]), np.array([5.0, 9.0, 12.0, 3.0]), np.array(["north", "east", "east", "east"])
    models = {"Combined": ModelRisk(np.full(4, math.nan), math.nan), "Volume": ModelRisk(np.arange(4.0), 1.0)}
    rows = measured(models, centers, event, time, day=2.0, resamples=20)
    (row,) = [row for row in rows if row.metric == "delta_c_volume_within"]
    assert math.isnan(row.value)
    assert row.reason
