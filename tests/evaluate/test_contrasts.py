"""The gate on cohorts whose truth is known, no network: how often noise is promoted, and how often a gain.

Three centers of 36, 72 and 28 patients, about 88 deaths. The log hazard is 1.3 standard deviations of a true score; a model's risk is
rho x true score + the rest noise, so that rho decides its C, and the noise of two models is correlated so that their risks are.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from penumbra import survival
from penumbra.commands import retrain as retrain_command
from penumbra.evaluate import Evidence, GateLimits, MetricRow, Verdict
from penumbra.evaluate.contrasts import contrasts
from penumbra.evaluate.gate import gate
from penumbra.pipeline.manifests import DecisionManifest
from penumbra.survival.outcome import Outcomes

SIZES = {"east": 36, "north": 72, "south": 28}
SCALE = {"east": 1.0, "north": 1.5, "south": 0.6}  # of the survival times: centers differ, and a C over their pool would reward it
HAZARD = 1.3  # log hazard ratio of one standard deviation of the true score
RHO = {0.58: 0.339, 0.62: 0.502, 0.64: 0.580, 0.66: 0.656}  # C -> rho, by integration over two normal scores
LIMITS = GateLimits(noise=0.10, confidence=0.95, interval="percentile", min_events=10, resamples=400, seed=1)
SEEDS = range(200)


@dataclass(frozen=True)
class Cohort:
    event: np.ndarray
    time: np.ndarray
    centers: np.ndarray
    champion: np.ndarray
    challenger: np.ndarray


def simulated(seed: int, champion: float, challenger: float, correlation: float, times: int = 1) -> Cohort:
    """champion, challenger: their C. correlation: of their risks within a center. times: more patients of each center."""
    random = np.random.default_rng(seed)
    first, second = RHO[champion], RHO[challenger]
    shared = (correlation - first * second) / np.sqrt((1 - first**2) * (1 - second**2))
    parts: list[tuple[np.ndarray, ...]] = []
    for center, size in SIZES.items():
        n = times * size
        score, noise, own = random.normal(size=(3, n))
        noises = noise, shared * noise + np.sqrt(1 - shared**2) * own
        risks = [rho * score + np.sqrt(1 - rho**2) * each for rho, each in zip((first, second), noises, strict=True)]
        death = random.exponential(700 * SCALE[center] * np.exp(-HAZARD * score))
        left = random.exponential(1500 * SCALE[center], size=n)
        parts.append((death <= left, np.ceil(np.minimum(death, left)), np.full(n, center), *risks))
    return Cohort(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def judged(cohort: Cohort, limits: GateLimits = LIMITS, **baselines: np.ndarray) -> Verdict:
    return gate(contrasts(Outcomes(cohort.event, cohort.time, cohort.centers), cohort.champion, cohort.challenger, baselines, limits))


def counted(champion: float, challenger: float, correlation: float, change: Callable[[Cohort], Cohort] = lambda cohort: cohort) -> Counter[str]:
    return Counter(judged(change(simulated(seed, champion, challenger, correlation))).decision for seed in SEEDS)


def marker(cohort: Cohort) -> np.ndarray:
    """A risk that tells the centers apart, and no two patients of one: north lives longest."""
    return -np.array([SCALE[center] for center in cohort.centers])


def test_the_simulated_truth_is_what_the_others_assume() -> None:
    """C of the models, correlation of their risks and number of deaths, on a cohort of 27,200."""
    for champion, challenger, correlation in ((0.64, 0.64, 0.7), (0.64, 0.62, 0.98), (0.58, 0.66, 0.9)):
        large = simulated(0, champion, challenger, correlation, times=200)
        for center in SIZES:
            here = large.centers == center
            of = [survival.concordance_index(large.event[here], large.time[here], risk[here]) for risk in (large.champion, large.challenger)]
            assert of == pytest.approx([champion, challenger], abs=0.015)
            assert of[1] - of[0] == pytest.approx(challenger - champion, abs=0.01)
        assert np.corrcoef(large.champion, large.challenger)[0, 1] == pytest.approx(correlation, abs=0.01)
        assert large.event.sum() / 200 == pytest.approx(88, abs=3)
        assert survival.concordance_index(large.event, large.time, marker(large)) > 0.53  # what pairs of two centers would give for nothing


@pytest.mark.parametrize("correlation", [0.7, 0.9, 0.98])
def test_an_equal_challenger_is_promoted_as_often_as_the_noise_allows(correlation: float) -> None:
    assert counted(0.64, 0.64, correlation)["promote"] <= 29


@pytest.mark.parametrize("correlation", [0.7, 0.9, 0.98])
def test_a_worse_challenger_is_hardly_ever_promoted(correlation: float) -> None:
    assert counted(0.64, 0.62, correlation)["promote"] <= 12


@pytest.mark.parametrize("correlation", [0.7, 0.9])
def test_a_better_challenger_is_promoted(correlation: float) -> None:
    assert counted(0.58, 0.66, correlation)["promote"] >= 160


@pytest.mark.parametrize("champion", ["its own risks", "anti-predictive", "constant"])
@pytest.mark.parametrize("rounding", [0.0, 1e-14])
def test_a_risk_that_is_constant_within_centers_is_never_promoted(champion: str, rounding: float) -> None:
    """Not even against a champion that ranks patients the wrong way round, which it beats by far."""

    def change(cohort: Cohort) -> Cohort:
        old = {"its own risks": cohort.champion, "anti-predictive": -cohort.challenger, "constant": np.zeros(len(cohort.champion))}[champion]
        return replace(cohort, champion=old, challenger=marker(cohort) + rounding * cohort.challenger)

    assert counted(0.64, 0.66, 0.7, change)["promote"] == 0


def test_noise_is_no_better_than_a_champion_that_is_constant_and_a_real_risk_is() -> None:
    noise = counted(
        0.64, 0.64, 0.7, lambda cohort: replace(cohort, champion=marker(cohort), challenger=np.random.default_rng(9).permutation(cohort.challenger))
    )
    assert noise["promote"] <= 29
    assert counted(0.64, 0.66, 0.7, lambda cohort: replace(cohort, champion=marker(cohort)))["promote"] >= 160


def test_a_center_effect_in_the_risk_changes_nothing() -> None:
    cohort = simulated(3, 0.58, 0.66, 0.7)
    assert judged(replace(cohort, challenger=cohort.challenger + 5 * marker(cohort))) == judged(cohort)


def test_a_baseline_as_good_as_the_challenger_stops_it() -> None:
    """The baseline has the challenger's own C: beating the champion is not enough."""
    found = Counter(judged(cohort, Volume=cohort.challenger).decision for cohort in (simulated(seed, 0.58, 0.66, 0.9) for seed in range(20)))
    assert found == {"keep": 20}


def test_the_same_cohort_gives_the_same_limits_and_another_seed_others() -> None:
    cohort = simulated(1, 0.64, 0.64, 0.9)
    assert judged(cohort) == judged(cohort)
    assert judged(cohort).reason != judged(cohort, replace(LIMITS, seed=2)).reason


ONE_EVENT = np.arange(136) == 40


@pytest.mark.parametrize(
    ("event", "time", "said"),
    [
        (np.zeros(136, bool), None, "no center has 10 events"),
        (ONE_EVENT, None, "no center has 10 events"),
        (np.arange(136) % 18 == 0, None, "no center has 10 events"),
        (np.ones(136, bool), np.full(136, 500.0), "undefined at all centers (no comparable pair)"),
    ],
    ids=["all censored", "one event", "no center with a say", "no comparable pair"],
)
def test_patients_who_can_tell_nothing_promote_nobody(event: np.ndarray, time: np.ndarray | None, said: str) -> None:
    cohort = simulated(0, 0.58, 0.66, 0.9)
    verdict = judged(replace(cohort, event=event, time=cohort.time if time is None else time), Volume=cohort.champion)
    assert verdict.decision == "keep"
    assert said in verdict.reason
    assert "nan" not in verdict.reason


@pytest.mark.parametrize("deaths", ["none", "one", "all on the last day"])
def test_a_center_that_can_tell_nothing_does_not_stop_the_others_unless_it_has_a_say(deaths: str) -> None:
    cohort = simulated(0, 0.58, 0.66, 0.9)
    south = np.flatnonzero(cohort.centers == "south")
    event, time = cohort.event.copy(), cohort.time.copy()
    event[south] = deaths == "all on the last day"
    if deaths == "one":
        event[south[0]] = True
    if deaths == "all on the last day":
        time[south] = 900.0
    verdict = judged(replace(cohort, event=event, time=time))
    if deaths == "all on the last day":
        assert (verdict.decision, "undefined at south (no comparable pair)" in verdict.reason) == ("keep", True)
    else:
        assert (verdict.decision, "Not judged alone, fewer than 10 events: south" in verdict.reason) == ("promote", True)


@pytest.mark.parametrize("who", ["champion", "challenger", "baseline"])
def test_a_model_without_a_risk_for_some_patients_promotes_nobody(who: str) -> None:
    cohort = simulated(0, 0.58, 0.66, 0.9)
    holes = {name: np.where(np.arange(136) < 5, np.nan, risk) for name, risk in (("champion", cohort.champion), ("challenger", cohort.challenger))}
    baseline = np.full(136, np.nan) if who == "baseline" else np.zeros(136)
    verdict = judged(replace(cohort, **{who: holes[who]}) if who != "baseline" else cohort, Volume=baseline)
    assert verdict.decision == "keep"
    assert ("gives no risk to 136 of 136 patients" if who == "baseline" else "gives no risk to 5 of 136 patients") in verdict.reason


def measured(model: str, center: str, metric: str, value: float) -> MetricRow:
    return MetricRow(model, center, "test", metric, value, math.nan, math.nan, 136, 88)


def decided(rows: Sequence[MetricRow], reason: str, evidence: Evidence | None = None) -> DecisionManifest:
    return DecisionManifest(center="west", key="k", decision="keep", reason=reason, champion=1, challenger=2, comparison=tuple(rows), evidence=evidence)


def test_a_decision_is_shown_with_the_limits_that_it_was_taken_on() -> None:
    cohort = simulated(0, 0.58, 0.66, 0.9)
    evidence = contrasts(Outcomes(cohort.event, cohort.time, cohort.centers), cohort.champion, cohort.challenger, {"Volume": np.zeros(136)}, LIMITS)
    models = {"champion": cohort.champion, "challenger": cohort.challenger, "Volume": np.zeros(136)}
    rows = [
        measured(name, center, "harrell_c", survival.concordance_index(cohort.event[here], cohort.time[here], risk[here]))
        for name, risk in models.items()
        for center, here in ((center, cohort.centers == center) for center in SIZES)
    ]
    verdict = gate(evidence)
    shown = retrain_command.decision(decided(rows, verdict.reason, evidence))
    for row in (*evidence.centers, evidence.overall):
        line = next(line for line in shown.splitlines() if line.strip().startswith(row.center))
        for value in (f"{row.other:.3f}", f"{row.challenger:.3f}", "0.500", f"{row.difference:+.3f} ({row.lower:+.3f} to {row.upper:+.3f})"):
            assert value in line
        assert f"{row.lower_one_sided:+.3f}" in line.split(")")[-1]
    assert shown.endswith(verdict.reason)
    assert Evidence.from_json(evidence.to_json()) == evidence


def test_a_decision_of_the_gate_of_margins_is_shown_as_it_was_taken() -> None:
    """A manifest from before the limits were written down, with C over the pool of all centers."""
    rows = [
        measured("champion", "all centers", "harrell_c", 0.7),
        measured("challenger", "all centers", "harrell_c", 0.705),
        measured("Volume", "all centers", "harrell_c", math.nan),
        measured("champion", "all centers", "delta_c_combined", 0.005),
        measured("champion", "all centers", "delta_c_combined_p", 0.83),
    ]
    shown = retrain_command.decision(decided(rows, "Promoted: the pooled gain is above 0."))
    line = next(line for line in shown.splitlines() if line.strip().startswith("all centers"))
    assert line.split()[2:] == ["136", "88", "0.700", "0.705", "-", "+0.005", "0.83"]
    assert retrain_command.decision(decided([], "Stopped.")) == "Stopped."
    for_programs = retrain_command.decision_rows(decided(rows, "Promoted."))
    assert [tuple(row) for row in for_programs] == [retrain_command.DECIDED] * len(rows)
    assert [for_programs[0][name] for name in ("arrived", "model", "metric", "value", "decision")] == ["west", "champion", "harrell_c", 0.7, "Promoted."]
