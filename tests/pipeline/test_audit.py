"""An audit tries what could be wrong with the evidence inside; it sees a leak, chooses nothing, and reads no outcome outside."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import chi2_contingency

from penumbra import fusion, store
from penumbra.cli import main
from penumbra.commands import audit as audit_command
from penumbra.pipeline import audit as audit_stage
from penumbra.pipeline import audit_fits, manifests
from penumbra.pipeline import evaluate as evaluate_stage
from penumbra.pipeline import register as register_stage
from penumbra.pipeline.audit import audit, balance, chi_square
from penumbra.pipeline.audit_fits import Inner, panel_concordances, permuted_concordances, permuted_data
from penumbra.pipeline.dataset import Dataset, read_dataset
from penumbra.pipeline.evaluate import evaluate
from penumbra.pipeline.fuse import fuse
from penumbra.pipeline.manifests import EvaluateManifest
from penumbra.pipeline.origins import accepted_images
from penumbra.pipeline.register import register
from penumbra.pipeline.workspace import Work
from penumbra.report.audit import Audit, Spread, write_placeholder

from ..small_run import few_models, say_what_it_was_made_from, small_work

pytestmark = pytest.mark.slow


def quick(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(register_stage, "learning_curves", lambda weights: {})  # the weights are carried along, not opened here
    patch.setattr(register_stage, "released_network", lambda weights, folder: weights)
    patch.setattr(evaluate_stage, "cross_fitted_falsifiers", lambda *_: {})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Work:
    """Version 1, fitted on north; a few permutations and panels."""
    home = tmp_path_factory.mktemp("audit")
    shutil.copytree(empty_registry, home, dirs_exist_ok=True)
    work = small_work(home)
    weights = home / "networks" / "deep1" / "network.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    settings = few_models(work.settings)
    settings = replace(settings, audit=replace(settings.audit, permutations=6, panels=5, networks=0))
    work = replace(work, settings=replace(settings, evaluate=replace(settings.evaluate, bootstraps=20, refits=2)))
    say_what_it_was_made_from(work)
    with pytest.MonkeyPatch.context() as patch:
        quick(patch)
        fuse(work)
        evaluate(work)
        register(work)
    return work


@pytest.fixture
def work(made: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    """A copy that the test may change; everything in this process."""
    monkeypatch.setattr(audit_fits, "available_cores", lambda: 1)
    shutil.copytree(made.home, tmp_path / "home")
    return replace(made, home=tmp_path / "home")


def inner_of(work: Work, data: Dataset | None = None) -> Inner:
    data = read_dataset(work) if data is None else data
    return Inner(work, data, accepted_images(work), np.flatnonzero(data.training), "Combined")


def looks_of(work: Work) -> int:
    with store.connect(work.home, read_only=True) as lake:
        return len(lake.rows("looks"))


def test_chi_square_is_that_of_scipy_and_its_p_finds_a_fold_that_tells_the_level() -> None:
    random = np.random.default_rng(3)
    fold, level = random.integers(0, 5, size=90), random.integers(0, 3, size=90)
    table = np.array([[np.sum((fold == i) & (level == j)) for j in range(3)] for i in range(5)])
    assert chi_square(fold, level) == pytest.approx(chi2_contingency(table, correction=False).statistic)
    apart = balance("scan", [np.repeat([0, 1, 2], 30)], np.repeat(["a", "b", "c"], 30), seed=1)
    assert apart.statistic == pytest.approx(180.0)  # 9 cells, 3 of 30 and 6 of 0, 10 expected in each: 3 * 40 + 6 * 10
    assert apart.p == pytest.approx(0.001)
    assert balance("scan", [np.tile([0, 1, 2], 30)] * 3, np.repeat(["a", "b", "c"], 30), seed=1).p == 1.0
    assert np.isnan(balance("center", [fold], np.full(90, "north"), seed=1).p)


def test_spread_by_hand() -> None:
    spread = Spread((0.4, 0.5, 0.6, float("nan")))
    assert (spread.mean, spread.median, spread.sd, spread.reached(0.5)) == pytest.approx((0.5, 0.5, 0.1, 2))
    assert spread.se == pytest.approx(0.1 / np.sqrt(3))


def test_a_permutation_moves_outcomes_within_training_centers_and_nothing_else(work: Work) -> None:
    inner = inner_of(work)
    data = inner.data
    permuted, outcomes = permuted_data(inner, 0)
    inside, outside = inner.inside, np.flatnonzero(~data.training)
    assert sorted(zip(outcomes.event, outcomes.time, strict=True)) == sorted(zip(data.event[inside], data.time[inside], strict=True))
    assert (permuted.time[inside] != data.time[inside]).mean() > 0.9
    assert np.array_equal(permuted.time[outside], data.time[outside])
    assert all(np.array_equal(permuted.blocks[name].values, data.blocks[name].values) for name in data.blocks)
    record, before = permuted.clinical[inside[0]], data.clinical[inside[0]]
    assert (record["time"], record["age"]) == (permuted.time[inside[0]], before["age"])
    assert permuted.key_of(inside) != data.key_of(inside), "what is kept of one permutation is not read back for another"


def test_permuted_outcomes_are_chance_and_a_leak_is_seen(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = inner_of(work)
    honest = Spread(tuple(permuted_concordances(inner)))
    assert abs(honest.mean - 0.5) < 4 * honest.sd
    assert honest.reached(0.75) == 0
    monkeypatch.setattr(audit_fits, "permuted_data", lambda inner, number: (inner.data, inner.data.outcomes.rows(inner.inside)))  # nothing is permuted
    leaking = Spread(tuple(permuted_concordances(inner)))
    assert leaking.mean > 0.65
    assert audit_of(leaking).leaks


def audit_of(permuted: Spread) -> Audit:
    return Audit("nsclc-os/1", "Combined", "2026-11-26", 1.0, 0.7, (), permuted, "", permuted, 3, (), (), 0.95, 0.5, None, (), (), "2026-11-26")


def test_outcomes_outside_change_no_figure_about_training(work: Work, tmp_path: Path) -> None:
    first = inner_of(work)
    figures = permuted_concordances(first), panel_concordances(first, 3)
    shutil.copytree(work.home, tmp_path / "other", ignore=shutil.ignore_patterns("crossfitted"))
    elsewhere = replace(work, home=tmp_path / "other")
    data = first.data
    turned = replace(
        data,
        event=np.where(data.training, data.event, ~data.event),
        time=np.where(data.training, data.time, data.time + 999.0),
        clinical=tuple(
            record if trains else {**record, "event": not record["event"], "time": record["time"] + 999.0}
            for record, trains in zip(data.clinical, data.training, strict=True)
        ),
    )
    second = inner_of(elsewhere, turned)
    assert (permuted_concordances(second), panel_concordances(second, 3)) == figures
    with store.connect(work.home, read_only=True) as lake:
        assert repr(list(audit_stage.balances(first, lake))) == repr(list(audit_stage.balances(second, lake)))
        assert audit_stage.doubles(first, lake) == audit_stage.doubles(second, lake)


def test_the_audit_counts_no_look_resumes_and_leaves_a_page(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    before = looks_of(work)
    seen, page = audit_command.audit(work)
    assert looks_of(work) == before == 2, "evaluate looked at two centers, the audit at none"
    choice = manifests.read(work.home, EvaluateManifest).choice
    assert choice is not None
    assert seen.falsifiers == choice.falsifiers
    assert [row.against for row in seen.falsifiers] == ["Volume", "Clinical", "Shuffled"]
    assert (len(seen.permuted.values), len(seen.panels.values)) == (6, 5)
    assert seen.c > 0.6 > seen.permuted.mean
    assert {(row.center, row.stage, row.times) for row in seen.looks} == {("east", "evaluate", 1), ("south", "evaluate", 1)}
    assert "east read 1 time, south read 1 time" in str(seen.rows)
    text = page.read_text(encoding="utf-8")
    assert page.parent == work.home / "reports" / "nsclc-os-1"
    for word in ("Permuted outcomes", "Random panels", "Folds against center and scan", "One person twice", "Applicability", "Looks"):
        assert word in text
    monkeypatch.setattr(fusion, "fit_all", lambda *_: pytest.fail("nothing is fitted again"))
    again = audit(work)
    assert (again.permuted, again.panels) == (seen.permuted, seen.panels)
    write_placeholder(page.parent, "nsclc-os/1")
    assert page.read_text(encoding="utf-8") == text, "an audit that is there stays"
    write_placeholder(work.home / "reports" / "nsclc-os-2", "nsclc-os/2")
    assert "run penumbra audit" in (work.home / "reports" / "nsclc-os-2" / "audit.html").read_text(encoding="utf-8")


def test_one_person_at_two_centers_is_named_by_the_features(work: Work) -> None:
    data = read_dataset(work)
    gtv = data.blocks["gtv"]
    values = gtv.values.copy()
    one, other = np.flatnonzero(data.centers == "north")[4], np.flatnonzero(data.centers == "east")[7]
    values[other] = values[one] * 1.001
    twins = replace(data, blocks={**data.blocks, "gtv": replace(gtv, values=values)})
    with store.connect(work.home, read_only=True) as lake:
        alike, highest = audit_stage.doubles(inner_of(work, twins), lake)
    names = {f"patient {data.patients[i]} of {data.centers[i]}" for i in (one, other)}
    assert names in [set(row.patients) for row in alike]
    assert highest > 0.999


def test_a_patient_of_a_foreign_scanner_is_seen_again_with_the_columns(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_stage, "permuted_concordances", lambda inner: [0.5])
    monkeypatch.setattr(audit_stage, "panel_concordances", lambda inner, columns: [0.5])
    common = {"model": "nsclc-os", "version": "1", "log_risk": 0.1, "risk_group": "low"}
    foreign = {
        "applicability": "outside",
        "applicability_reason": "far from all training patients",
        "applicability_columns": ["gtv.noise_001", "gtv.noise_000"],
    }
    rows = [
        {**common, "patient": "W001", "center": "west", **foreign},
        {**common, "patient": "W002", "center": "west", "applicability": "edge", "applicability_reason": "at the edge"},
        {**common, "patient": "W003", "center": "west", "applicability": "inside"},
        {**common, "patient": "W004", "center": "west", "applicability": "unknown"},
        {**common, "patient": "W005", "center": "west", "version": "2", **foreign},
    ]
    with store.connect(work.home) as lake:
        before, _ = audit_stage.flagged(lake, "nsclc-os", 1)
        lake.write({"predictions": rows}, run="test", what="predict --record")
    seen, page = audit_command.audit(work)
    assert seen.scored == (before or 0) + 3, "unknown is no answer, and another version's is not asked"
    mine = [(row.patient, row.applicability, row.columns) for row in seen.outside if row.center == "west"]
    assert mine == [("W001", "outside", ("gtv.noise_001", "gtv.noise_000")), ("W002", "edge", ())]
    text = page.read_text(encoding="utf-8")
    assert "gtv.noise_001, gtv.noise_000" in text
    assert "W003" not in text


def test_networks_are_trained_again_as_often_as_asked(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, bool]] = []

    def noted(number: int, inner: Inner, *, networks: bool) -> float:
        asked.append((number, networks))
        return 0.5

    monkeypatch.setattr(audit_fits, "permuted_concordance", noted)
    inner = inner_of(work)
    settings = work.settings
    twice = replace(inner, work=replace(work, settings=replace(settings, audit=replace(settings.audit, networks=2))))
    permuted_concordances(twice)
    assert asked == [(0, True), (1, True), (2, False), (3, False), (4, False), (5, False)]
    asked.clear()
    permuted_concordances(replace(twice, served="Volume"))
    assert asked == [(number, False) for number in range(6)], "volume reads no network"
    asked.clear()
    unshared = replace(twice.work.settings, ensemble=replace(settings.ensemble, folds=0))
    permuted_concordances(replace(twice, work=replace(work, settings=unshared)))
    assert asked == [(0, True), (1, True)], "where each permutation trains networks, there are as many as asked for"


def test_the_command_answers_in_every_form(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = audit_of(Spread((0.5, 0.48)))
    monkeypatch.setenv("PENUMBRA_HOME", str(work.home))
    monkeypatch.setattr(audit_command, "audited", lambda work: seen)
    shown = CliRunner().invoke(main, ["audit", "--format", "json"])
    assert shown.exit_code == 0, shown.output
    rows = {row["check"]: row for row in json.loads(shown.stdout)}
    assert rows["falsifiers"]["reads_as"] == "Combined is a control: it has nothing to beat"
    assert rows["applicability"]["seen"] == "not known"
    assert "audit.html" in shown.stderr
