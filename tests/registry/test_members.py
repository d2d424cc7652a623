"""A model of other models is registered, loaded and served as any other: one bundle, one document, one table of columns."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penumbra.fusion import Applying, Block, Declaration, Fitting, SurvivalModel, fit_all
from penumbra.registry import Bundle, differences, load, register
from penumbra.registry.logged_model import mean_patient
from penumbra.survival.baseline import BaselineHazard
from penumbra.survival.outcome import Outcomes

VOLUME = "gtv.original_shape_MeshVolume"


def late_models() -> dict[str, SurvivalModel]:
    """Volume as its logarithm, a ridge that takes it as it is, and their calibrated mean, on sixty invented patients."""
    generator = np.random.default_rng(3)
    values = np.exp(0.5 * generator.normal(size=(60, 4)))
    block = Block("gtv", ("original_shape_MeshVolume", "a", "b", "c"), values)
    volume = Declaration("Volume", "Volume only", "control", "cox", columns=(VOLUME,), log=(VOLUME,))
    ridge = Declaration("Ridge", "Ridge", "radiomics", "ridge", blocks=("gtv",))
    numbers = Fitting(alpha=0.05, folds=5, seed=1, ties="efron", pca_variance=0.95, lasso_lambda="min", lasso_patience=15, ridge=1.0)
    time = generator.exponential(700 / values[:, 0])
    outcomes = Outcomes.of_one_center(np.arange(60) % 4 > 0, time)
    models = fit_all([volume, ridge, Declaration("Late", "Mean", "combined", "mean", members=(volume, ridge))], [block], outcomes, numbers)
    baseline = BaselineHazard(np.array([100.0, 400.0, 900.0]), np.array([0.2, 0.7, 1.5]), 2000.0)
    return {**models, "Late": models["Late"].calibrated(0.6, baseline)}


@pytest.fixture
def bundle(make_bundle: Callable[..., Bundle]) -> Bundle:
    return replace(make_bundle(), models=late_models(), served="Late", horizons_days=(365.0, 730.0))


def test_a_mean_is_loaded_as_it_was_registered(home: Path, bundle: Bundle, make_bundle: Callable[..., Bundle]) -> None:
    entry = register(home, bundle)
    loaded = load(home, str(entry.version))
    assert loaded.model == bundle.models["Late"]
    assert loaded.model.digest() == bundle.models["Late"].digest()
    assert [member.model.name for member in loaded.model.members] == ["Volume", "Ridge"]
    assert register(home, bundle).version == entry.version, "the same model is the same version"
    other = load(home, str(register(home, make_bundle()).version))
    assert {each.name for each in differences(loaded, other) if each.aspect == "feature" and not each.second} == {"gtv.a", "gtv.b", "gtv.c"}


def test_the_mean_patient_has_every_column_once() -> None:
    model = late_models()["Late"]
    assert [(column.name, column.log) for column in model.inputs][:2] == [(VOLUME, True), (VOLUME, False)]
    assert list(mean_patient(model)) == list(model.columns) == [VOLUME, "gtv.a", "gtv.b", "gtv.c"]
    assert mean_patient(model)[VOLUME] == model.inputs[1].mean
    volume = late_models()["Volume"]
    assert mean_patient(volume) == {VOLUME: pytest.approx(np.exp(volume.inputs[0].mean))}


@pytest.mark.slow
def test_a_mean_is_served(home: Path, bundle: Bundle) -> None:
    import mlflow
    import pandas as pd

    entry = register(home, bundle)
    model = bundle.models["Late"]
    table = pd.DataFrame({name: [0.2, 1.1, 9e3] for name in reversed(model.columns)})
    answer = mlflow.pyfunc.load_model(str(entry.folder.parents[1])).predict(table)
    risk = model.log_risk({name: table[name].to_numpy() for name in table})
    np.testing.assert_array_equal(answer["log_risk"], risk)
    np.testing.assert_array_equal(np.array(answer["survival_1y"], dtype=float), model.survival(risk, [365.0])[:, 0])
    assert list(answer["risk_group"]) == model.risk_group(risk).tolist()
    assert answer["survival_1y"].min() == 0.005, "the third patient's is below every limit"


@pytest.mark.slow
def test_a_served_answer_says_first_whom_it_is_for(home: Path, bundle: Bundle) -> None:
    """A version with a domain names the word, the numbers and the columns; one from before says unknown. No value of a training patient is needed for it."""
    import mlflow
    import pandas as pd

    numbers = Applying(low=1.0, high=99.0, variance=0.95, folds=10, edge=0.08, outside=0.01, seed=1)
    values = np.exp(0.5 * np.random.default_rng(4).normal(size=(80, 4)))
    model = bundle.models["Late"]
    model = model.with_domain({name: values[:, j] for j, name in enumerate(model.columns)}, np.repeat("north", 80), numbers)
    table = pd.DataFrame({name: [1.0, 9e3] for name in model.columns})
    for served, expected in ((model, ["inside", "outside"]), (bundle.models["Late"], ["unknown", "unknown"])):
        entry = register(home, replace(bundle, models={**bundle.models, "Late": served}))
        answer = mlflow.pyfunc.load_model(str(entry.folder.parents[1])).predict(table)
        assert list(answer.columns[:5]) == [*(f"applicability{suffix}" for suffix in ("", "_share", "_distance", "_columns")), "log_risk"]
        assert answer["applicability"].tolist() == expected
    first, second = model.applicability({name: table[name].to_numpy() for name in table})
    assert (first.columns, set(second.columns)) == ((), set(model.columns))
