"""What a registered version answers when it is asked why: limits, percentile and contributions, of the model and of nobody else."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from penumbra.base.refusal import Refusal
from penumbra.fusion import SurvivalModel
from penumbra.fusion.parts import Column
from penumbra.fusion.release import percentile, released
from penumbra.fusion.resampled import Resampled
from penumbra.registry import Bundle, load, register, verify

pytestmark = pytest.mark.slow

HORIZONS = (365.25, 730.5, 1095.75)
VALUES = {"gtv.original_shape_MeshVolume": [0.7, 2.3], "ring_6mm.wavelet-LLH_glcm_Contrast": [-0.2, 0.4], "deep.deep_007": [1.1, -0.6]}
FURTHER = "gtv.only_a_refit_reads_it"


def with_refits(bundle: Bundle, path: Path) -> Bundle:
    """The bundle as it is released, with refits whose coefficients differ from the model's by noise, and one of which reads a column more."""
    risks = np.random.default_rng(1).normal(size=200)
    models = {name: released(model, HORIZONS, risks) for name, model in bundle.models.items()}
    served, random = models[bundle.served], np.random.default_rng(0)
    refits = []
    for i in range(30):
        inputs = [replace(column, coefficient=column.coefficient + 0.2 * random.normal()) for column in served.inputs]
        more = [Column(FURTHER, False, None, 1.0, 2.0, 0.3)] if i == 0 else []
        refits.append((replace(served, inputs=(*inputs, *more)), served.baseline))
    gathered = Resampled.of(served, refits, served.baseline_times, 0.95)
    assert gathered is not None
    path.write_bytes(gathered.to_bytes())
    return replace(bundle, models=models, refits=path)


@pytest.fixture
def explaining(home: Path, make_bundle: Callable[..., Bundle], tmp_path: Path) -> tuple[Path, SurvivalModel]:
    bundle = with_refits(make_bundle(), tmp_path / "refits.npz")
    register(home, bundle)
    return home, bundle.models[bundle.served]


def test_the_version_has_its_refits_and_stays_what_it_was_registered_as(explaining: tuple[Path, SurvivalModel], make_bundle, tmp_path: Path) -> None:
    home, model = explaining
    loaded = load(home)
    verify(loaded.entry.folder, loaded.entry.digest)
    assert loaded.model == model
    assert loaded.refits is not None
    assert FURTHER in loaded.refits.names
    without = register(home, replace(with_refits(make_bundle(), tmp_path / "again.npz"), refits=None))
    assert without.version == 2, "a version without refits is another one"
    assert load(home, 2).refits is None
    assert register(home, with_refits(make_bundle(), tmp_path / "third.npz")).version == 1, "the same refits are the same version"
    path = loaded.entry.folder / "refits" / "refits.npz"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(Refusal, match=r"refits/refits\.npz not as registered"):
        verify(loaded.entry.folder, loaded.entry.digest)


def test_a_served_answer_is_explained_on_request(explaining: tuple[Path, SurvivalModel]) -> None:
    import mlflow
    import pandas as pd

    home, model = explaining
    served = mlflow.pyfunc.load_model(str(load(home).entry.folder.parents[1]))
    plain = served.predict(pd.DataFrame(VALUES))
    assert not {"limits", "contributions", "percentile", "log_risk_lower"} & set(plain.columns)
    answer = served.predict(pd.DataFrame(VALUES | {FURTHER: [0.5, 1.5]}), params={"explain": True, "features": 1})
    assert answer["log_risk"].tolist() == plain["log_risk"].tolist()
    log_risk = model.log_risk(VALUES)
    assert (answer["log_risk_lower"] < log_risk).all()
    assert (log_risk < answer["log_risk_upper"]).all()
    for name in ("survival_1y", "survival_2y"):
        assert (answer[f"{name}_lower"] < answer[name]).all()
        assert (answer[name] < answer[f"{name}_upper"]).all()
    assert [tuple(pair) for pair in answer["percentile"]] == [percentile(model, risk) for risk in log_risk]
    for parts, risk in zip(answer["contributions"], log_risk.tolist(), strict=True):
        added = Decimal(str(parts["constant"])) + sum(Decimal(f"{value:.6f}") for value in parts["blocks"].values())
        assert added == Decimal(f"{risk:.6f}")
        assert json.loads(json.dumps(parts, allow_nan=False)) == parts
        assert [len(lines) for lines in parts["features"].values()] == [1, 1, 1]


def test_without_the_columns_of_the_refits_there_are_no_limits_and_the_reason(explaining: tuple[Path, SurvivalModel]) -> None:
    import mlflow
    import pandas as pd

    served = mlflow.pyfunc.load_model(str(load(explaining[0]).entry.folder.parents[1]))
    answer = served.predict(pd.DataFrame(VALUES), params={"explain": True})
    assert set(answer["limits"]) == {f"none: refits read a column more than the model, such as {FURTHER}"}
    assert answer["log_risk_lower"].tolist() == [None, None]
    assert answer["contributions"][0]["log_risk"] == pytest.approx(answer["log_risk"][0], abs=1e-6)
