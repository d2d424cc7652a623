"""A logged model scores where penumbra is not installed, with code of its own; a model of the time before that scores with today's program."""

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penumbra.base.params import project_root
from penumbra.bench.archives import unpack
from penumbra.registry import Bundle, RegisteredVersion, load, register, tracking_uri
from penumbra.registry.scoring_code import required_modules, write_scoring_code

from .elsewhere import empty_environment

OLD = Path(__file__).parents[1] / "reference" / "registry" / "home_0.1.0.tar.xz"
MODEL_FILES = 512_000  # bytes a logged model may add to its bundle


@pytest.fixture
def registered(home: Path, make_bundle: Callable[..., Bundle]) -> RegisteredVersion:
    return register(home, make_bundle())


def logged(entry: RegisteredVersion) -> Path:
    """MLflow's folder of a version's logged model."""
    return entry.folder.parents[1]


SCORE = """
    import importlib.util, json, sys
    assert importlib.util.find_spec("penumbra") is None
    import mlflow, pandas
    model = mlflow.pyfunc.load_model(sys.argv[1])
    answer = model.predict(pandas.DataFrame(json.loads(sys.argv[2])))
    own = sorted(module.__file__ for name, module in sys.modules.items() if name.startswith("penumbra") and module.__file__)
    print(json.dumps({"log_risk": list(answer["log_risk"]), "groups": list(answer["risk_group"]), "survival_1y": list(answer["survival_1y"]), "own": own}))
"""


@pytest.mark.slow
def test_scored_in_an_environment_that_has_what_it_asks_for_and_no_penumbra(
    registered: RegisteredVersion, make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    """It asked for penumbra==0.1.0, which is another project's name on the Python index, and carried no code."""
    asked = (logged(registered) / "requirements.txt").read_text().split()
    assert [line.split("==")[0] for line in asked] == ["mlflow", "numpy", "pandas"]
    python = empty_environment(tmp_path / "elsewhere", asked)
    model = make_bundle().models["Combined"]
    table = {name: [0.3, 1.2, 2.0] for name in model.columns}
    command = [str(python), "-I", "-W", "ignore", "-c", textwrap.dedent(SCORE), str(logged(registered)), json.dumps(table)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    log_risk = model.log_risk({name: np.array(values) for name, values in table.items()})
    np.testing.assert_allclose(answer["log_risk"], log_risk, rtol=1e-12)
    np.testing.assert_allclose(answer["survival_1y"], model.survival(log_risk, [365.25])[:, 0], rtol=1e-12)
    assert answer["groups"] == list(model.risk_group(log_risk))
    assert answer["own"]
    assert all(Path(file).is_relative_to(logged(registered) / "code") for file in answer["own"])


def test_a_logged_model_is_small_and_names_neither_penumbra_to_install_nor_a_folder_of_this_machine(registered: RegisteredVersion, tmp_path: Path) -> None:
    files = [path for path in logged(registered).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files if registered.folder not in path.parents) < MODEL_FILES
    for path in files:
        text = path.read_text(encoding="utf-8", errors="replace")
        for place in (tmp_path, project_root(), Path(sys.executable).parent, Path.home()):
            assert not (len(place.parts) > 1 and str(place) in text), f"{path.name} names {place}"
        if path.suffix in (".txt", ".yaml"):
            assert not re.search(r"penumbra\s*(==|$)", text, re.MULTILINE), f"{path.name} asks for penumbra"


def test_the_code_that_travels_is_scoring_alone_and_has_a_name_of_its_own(tmp_path: Path) -> None:
    needed = required_modules()
    assert {"fusion/model.py", "survival/regression.py", "registry/bundle.py", "base/refusal.py"} <= set(needed)
    assert not [name for name in needed if name.startswith(("imaging", "network", "store", "radiomics", "cohort"))]
    entry, package = write_scoring_code(tmp_path / "one")
    again, same = write_scoring_code(tmp_path / "two")
    assert (package.name, entry.read_text()) == (same.name, again.read_text()), "the same code has the same name"
    assert package.name.startswith("penumbra_scoring_")
    for path in [entry, *package.rglob("*.py")]:
        assert not re.search(r"^\s*(from|import) penumbra\b", path.read_text(), re.MULTILINE)


@pytest.mark.slow
def test_loading_a_model_leaves_the_installed_penumbra_alone(registered: RegisteredVersion, home: Path) -> None:
    code = textwrap.dedent(f"""
        import mlflow
        mlflow.pyfunc.load_model({str(logged(registered))!r})
        import penumbra.store
        from penumbra.registry import load
        from pathlib import Path
        print(load(Path({str(home)!r})).served)
    """)
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("Combined")


@pytest.mark.slow
def test_a_version_of_before_is_loaded_and_scores_with_todays_program(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    loaded = load(unpack(OLD, tmp_path / "old"))
    today = make_bundle(0.6).models["Combined"]
    model = replace(today, training=replace(today.training, followed=None))  # it did not record how long its patients were followed
    assert (loaded.entry.version, loaded.model) == (2, model)
    code = textwrap.dedent(f"""
        import mlflow, pandas
        mlflow.set_tracking_uri({tracking_uri(tmp_path / "old")!r})
        table = pandas.DataFrame([[0.3, 0.4, 0.5]], columns={list(model.columns)!r})
        print(float(mlflow.pyfunc.load_model("models:/nsclc-os@champion").predict(table)["log_risk"].iloc[0]))
    """)
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = model.log_risk({name: np.array([value]) for name, value in zip(model.columns, (0.3, 0.4, 0.5), strict=True)})
    assert float(done.stdout.splitlines()[-1]) == pytest.approx(float(expected[0]), rel=1e-12)
