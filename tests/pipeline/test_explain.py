"""One patient's answer, questioned: it adds up, it is within its limits, and nobody is shown who should not be."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from penumbra import registry, store
from penumbra.base.refusal import Refusal
from penumbra.cli import main
from penumbra.commands.explain import shown
from penumbra.commands.forget import forget
from penumbra.pipeline import register as register_stage
from penumbra.pipeline.dataset import columns_of, read_dataset
from penumbra.pipeline.evaluate import evaluate
from penumbra.pipeline.explain import Explanation, explain
from penumbra.pipeline.fuse import fuse
from penumbra.pipeline.patient_page import page_path, write_page
from penumbra.pipeline.workspace import Work

from ..small_run import few_models, small_work

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Work:
    home = tmp_path_factory.mktemp("explained") / "home"
    shutil.copytree(empty_registry, home)
    work = small_work(home, centers={"north": 40, "west": 30, "east": 20}, features=6)
    settings = few_models(work.settings)
    cohort = replace(settings.cohort, train_centers=("north", "west"))
    work = replace(work, settings=replace(settings, cohort=cohort, evaluate=replace(settings.evaluate, bootstraps=20, refits=12)))
    weights = home / "networks" / "deep1" / "network.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(register_stage, "learning_curves", lambda weights: {})  # the weights are carried along, not opened here
        patched.setattr(register_stage, "released_network", lambda weights, folder: weights)
        fuse(work)
        evaluate(work)
        register_stage.register(work)
    return work


@pytest.fixture
def work(made: Work, tmp_path: Path) -> Work:
    """A copy that the test may change."""
    shutil.copytree(made.home, tmp_path / "home")
    return replace(made, home=tmp_path / "home")


def amounts(explanation: Explanation) -> Iterator[tuple[Decimal, Decimal]]:
    """(sum of the lines, what they add up to) of every level, as they are printed."""
    parts = explanation.contributions

    def printed(value: float) -> Decimal:
        return Decimal(f"{value:.{parts.digits}f}")

    yield printed(parts.constant) + sum(printed(line.contribution) for line in parts.blocks), printed(parts.log_risk)
    for line in parts.blocks:
        yield sum((printed(each.contribution) for each in parts.features[line.name]), Decimal(0)), printed(line.contribution)


@pytest.mark.parametrize("patient", ["N003", "W007", "E005"])
def test_contributions_add_up_and_the_answer_is_within_its_limits(made: Work, patient: str) -> None:
    explanation = explain(made, patient)
    data, model = read_dataset(made), registry.load(made.home).model
    row = data.patients.tolist().index(patient)
    log_risk = float(model.log_risk({name: values[[row]] for name, values in columns_of(data.blocks).items()})[0])
    assert explanation.log_risk == pytest.approx(log_risk, abs=1e-12)
    assert all(lines == total for lines, total in amounts(explanation))
    assert explanation.lower < log_risk < explanation.upper
    survival, lower, upper = explanation.horizons["2y"]
    assert survival == pytest.approx(float(model.survival([log_risk], [730.0])[0, 0]), abs=1e-12)
    assert lower <= survival <= upper
    assert (explanation.survival_lower <= explanation.survival).all()
    assert (explanation.survival <= explanation.survival_upper).all()
    assert explanation.days[0] == 0
    low, high = explanation.percentiles or (100.0, 0.0)
    assert 0 <= low < high <= 100
    with store.connect(made.home, read_only=True) as lake:
        stored = lake.sql("SELECT log_risk_lower, survival_2y_upper FROM predictions WHERE patient = ?", [patient]).to_pylist()[0]
    assert stored["log_risk_lower"] == pytest.approx(explanation.lower, abs=1e-9)
    assert stored["survival_2y_upper"] == pytest.approx(upper, abs=1e-9)


def test_similar_patients_are_of_the_own_center_and_somebody_else(made: Work) -> None:
    explanation = explain(made, "N003")
    assert len(explanation.similar) == made.settings.explain.similar
    assert {each.center for each in explanation.similar} == {"north"}
    assert "N003" not in {each.patient for each in explanation.similar}
    distances = [each.distance for each in explanation.similar]
    assert distances == sorted(distances)
    data = read_dataset(made)
    for each in explanation.similar:
        row = data.patients.tolist().index(each.patient)
        assert (each.time, each.event) == (data.time[row], bool(data.event[row]))
    # the distance is symmetric where both are on the same side of the medians or not: the nearest one is near from the other side as well
    assert explain(made, "W000").similar[0].center == "west"
    alone = explain(made, "E005")
    assert alone.similar == ()
    assert alone.similar_reason == "none: east is no training center of nsclc-os/1; explain.other_centers in params.yaml shows those of other centers"
    every = replace(made, settings=replace(made.settings, explain=replace(made.settings.explain, other_centers=True, similar=70)))
    assert {each.center for each in explain(every, "E005").similar} == {"north", "west"}
    assert len(explain(every, "N003").similar) == 69


def test_the_nearest_patient_has_the_nearest_features(made: Work) -> None:
    """By brute force: coordinates of the domain, in its own metric."""
    every = replace(made, settings=replace(made.settings, explain=replace(made.settings.explain, other_centers=True, similar=70)))
    explanation, model, data = explain(every, "E005"), registry.load(made.home).model, read_dataset(made)
    assert model.domain is not None
    from penumbra.fusion.domain import measured

    points = model.domain.coordinates(measured(model.weighted, columns_of(data.blocks), data.centers))
    components, variances = np.array(model.domain.components), np.array(model.domain.variances)
    steps = points[data.training] - points[data.patients.tolist().index("E005")]
    scores = steps @ components.T
    across = np.linalg.norm(steps - scores @ components, axis=1)
    squared = (scores**2 / variances).sum(axis=1) + ((across / model.domain.residual) ** 2 if model.domain.residual else 0.0)
    names = data.patients[data.training][np.argsort(squared, kind="stable")]
    assert [each.patient for each in explanation.similar[:10]] == names[:10].tolist()
    np.testing.assert_allclose([each.distance for each in explanation.similar], np.sort(np.sqrt(squared)), rtol=1e-9)


def test_who_withdrew_is_similar_to_nobody(work: Work) -> None:
    before = explain(work, "N003")
    gone = before.similar[0].patient
    forget(work, gone)
    after = explain(work, "N003")
    assert gone not in {each.patient for each in after.similar}
    assert [each.patient for each in after.similar[:3]] == [each.patient for each in before.similar[1:4]]
    assert after.log_risk == before.log_risk
    with pytest.raises(Refusal, match=f"no patient '{gone}' in the store"):
        explain(work, gone)


def test_the_word_comes_before_the_risk(made: Work) -> None:
    """A patient far from training is outside, and the first word says so."""
    explanation = explain(made, "E005")
    far = replace(explanation, applicability=replace(explanation.applicability, word="outside", reason="far", columns=("gtv.x",)))
    lines = shown(far).splitlines()
    assert lines[0].split()[0] == "outside"
    assert next(i for i, line in enumerate(lines) if line.startswith("log risk")) > 0
    assert shown(explanation).split()[0] == explanation.applicability.word != "unknown"
    assert "the version was fitted on this patient" not in shown(explanation)
    assert "the version was fitted on this patient" in shown(explain(made, "N003"))


def test_the_command_and_the_page(work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENUMBRA_HOME", str(work.home))
    done = CliRunner().invoke(main, ["explain", "N003", "--format", "json", "--html", str(tmp_path / "page.html")])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert list(document)[:3] == ["patient", "center", "applicability"]
    parts = document["contributions"]
    total = Decimal(str(parts["constant"])) + sum(Decimal(f"{value:.6f}") for value in parts["blocks"].values())
    assert total == Decimal(f"{document['log_risk']:.6f}")
    assert document["lower"] < document["log_risk"] < document["upper"]
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert document["similar"][0]["patient"] in page
    assert page.index("<strong>" + document["applicability"]["word"]) < page.index("Log risk")
    path = write_page(work, explain(work, "N003"))
    assert path == page_path(work.home, "north", "N003")
    assert path.is_file()
    forget(work, "N003")
    assert not path.exists(), "a page of a patient who withdrew goes with the reports"
    missing = CliRunner().invoke(main, ["explain", "N0O3"])
    assert missing.exit_code == 1
    assert "no patient 'N0O3' in the store" in missing.output
