"""The wheel in an environment without the checkout: a project is made, run, asked, served, changed, and run again.

Nothing is downloaded: the libraries are those of the tests' own environment, put on the path of a new one that has only the wheel installed. That the package
declares all of them is compared by their metadata.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.english import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.numeric, pytest.mark.timeout(1800)]

# Of params.yaml as it is delivered, what makes a run short.
SHORT = {
    "input_size: {paper: 64, quick: 32,": "input_size: {paper: 64, quick: 16,",
    "epochs: {paper: 100, quick: 40,": "epochs: {paper: 100, quick: 2,",
    "folds: {paper: 0, quick: 5,": "folds: {paper: 0, quick: 2,",
    "folds: 10                   # of the Lasso": "folds: 3                   # of the Lasso",
    "lasso_patience: 15": "lasso_patience: 3",
    "repeats: 10 ": "repeats: 2 ",
    "bootstraps: 1000": "bootstraps: 20",
    "refits: 200": "refits: 5",
    "resamples: 2000": "resamples: 100",
    "patients: 6 ": "patients: 1 ",
}
COVARIATE = (
    "columns: [clinical.age, clinical.overall_stage], impute: [clinical.age, clinical.overall_stage]",
    "columns: [clinical.age], impute: [clinical.age]",
)
COHORT = """
import sys
from dataclasses import replace
from pathlib import Path
from penumbra.cohort.simulate import simulate
from penumbra.cohort.simulate_centers import CENTERS
north, east, _ = (replace(center, refused=(), mixed_gaps=False) for center in CENTERS)
simulate(Path(sys.argv[1]), seed=7, centers=[replace(north, patients=36), replace(east, patients=14)], workers=2)
"""
LOADED = """
import json, sys
import mlflow
from penumbra import registry
from penumbra.registry.logged_model import mean_patient
home = sys.argv[1]
entry = registry.find(home)
model = registry.load(home).model
mean = {name: 1.1 * value for name, value in mean_patient(model).items()}  # near the mean, whose log risk is 0
import pandas
frame = pandas.DataFrame([mean])
answer = mlflow.pyfunc.load_model(str(entry.folder.parents[1])).predict(frame[list(model.columns)])
columns = list(model.columns)
facts = {"version": entry.version, "folder": str(entry.folder.parents[1]), "columns": columns, "row": [mean[name] for name in columns]}
print(json.dumps(facts | {"log_risk": float(answer["log_risk"][0])}))
"""


@dataclass(frozen=True)
class Installed:
    """A virtual environment that has the wheel, and a folder to work in."""

    environment: Path
    folder: Path

    def variables(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PENUMBRA_", "PYTHON", "VIRTUAL_ENV", "MLFLOW", "PREFECT"))}
        return {**kept, "PATH": f"{self.environment / 'bin'}{os.pathsep}{os.environ['PATH']}", "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}

    def run(self, *words: str, place: Path | None = None) -> str:
        """What a command of the environment prints, in `place`."""
        done = subprocess.run([self.environment / "bin" / words[0], *words[1:]], cwd=place or self.folder, env=self.variables(), capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(words)[:200]} ended with {done.returncode}:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Source package -> wheel -> environment: what a department would get."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", ROOT]
    built = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    assert built.returncode == 0, built.stderr[-3000:]
    (wheel,) = (folder / "dist").glob("penumbra_survival-*.whl")
    venv.create(folder / "environment", with_pip=False)
    python = folder / "environment" / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, wheel], check=True)
    (site,) = (folder / "environment" / "lib").glob("python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")  # the files of editable installs there are not read
    server = folder / "environment" / "bin" / "uvicorn"  # pip would put it there, and MLflow calls it
    server.write_text(f"#!{python}\nimport sys\nfrom uvicorn.main import main\nsys.exit(main())\n")
    server.chmod(0o755)
    return Installed(folder / "environment", folder)


def test_the_environment_has_the_wheel_and_not_the_checkout(installed: Installed) -> None:
    places = installed.run(
        "python", "-c", "import penumbra, penumbra.flows, sys; print(penumbra.__file__, penumbra.flows.__file__, *sys.path, sep='\\n')"
    ).split()
    assert all(place.startswith(str(installed.environment)) for place in places[:2])
    assert str(ROOT / "src") not in places
    found = installed.run("python", "-c", "import importlib.util as u; print(u.find_spec('flows'), u.find_spec('tests'), u.find_spec('defaults'))")
    assert found.split() == ["None"] * 3, "no module beside everybody's own"
    declared = ROOT / "pyproject.toml"
    assert f'version = "{installed.run("penumbra", "--version").split()[-1]}"' in declared.read_text(encoding="utf-8")


def test_a_department_runs_asks_serves_changes_and_runs_again(installed: Installed) -> None:
    installed.run("python", "-c", COHORT, str(installed.folder / "cohort"))
    installed.run("penumbra", "init", "my-department")
    project = installed.folder / "my-department"
    params = project / "params.yaml"
    text = params.read_text(encoding="utf-8")
    for before, after in SHORT.items():
        assert before in text, before
        text = text.replace(before, after)
    params.write_text(text, encoding="utf-8")
    below = project / "notes"
    below.mkdir()
    installed.run("penumbra", "run", "--cohort", str(installed.folder / "cohort"), place=below)
    assert (project / "data" / "store").is_dir()
    findings = json.loads(installed.run("penumbra", "doctor", "--format", "json", place=below))
    assert [finding for finding in findings if finding["state"] == "BAD"] == []
    assert any("that the package declares are installed, each in its range" in finding["found"] for finding in findings)

    def sql(statement: str) -> Any:
        return json.loads(installed.run("penumbra", "sql", statement, "--format", "json", place=below))

    rois = {row["roi"] for row in sql("SELECT DISTINCT roi FROM radiomics")}
    assert rois == {"gtv", "ring_3mm", "ring_6mm", "ring_9mm"}
    answer = json.loads(installed.run("penumbra", "predict", str(installed.folder / "cohort" / "east" / "E001"), "--format", "json", place=below))
    assert 0.0 < answer["survival"]["2y"] < 1.0
    loaded = json.loads(installed.run("python", "-c", LOADED, str(project / "data"), place=below))
    assert loaded["version"] == 1
    assert loaded["log_risk"] != 0.0
    assert _served(installed, loaded, project) == pytest.approx(loaded["log_risk"], abs=1e-9)

    rois_file, controls = project / "features" / "rois.yaml", project / "models" / "controls.yaml"
    for file, before, after in ((rois_file, "margins_mm: [3, 6, 9]", "margins_mm: [3, 6, 12]"), (controls, *COVARIATE)):
        assert before in file.read_text(encoding="utf-8")
        file.write_text(file.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")
    installed.run("penumbra", "run", place=project)
    assert {row["roi"] for row in sql("SELECT DISTINCT roi FROM radiomics")} == {"gtv", "ring_3mm", "ring_6mm", "ring_12mm"}
    assert [row["version"] for row in sql("SELECT version FROM model_versions ORDER BY version")] == ["1", "2"]
    assert (project / "dvc.lock").is_file(), "recorded with DVC"


def _served(installed: Installed, loaded: dict[str, Any], project: Path) -> float:
    """The log risk that `mlflow models serve` answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        installed.environment / "bin" / "python",
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        loaded["folder"],
        "--env-manager",
        "local",
        "--port",
        str(port),
    ]
    server = subprocess.Popen(command, cwd=project, env=installed.variables(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    body = json.dumps({"dataframe_split": {"columns": loaded["columns"], "data": [loaded["row"]]}}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"})
    try:
        for _ in range(240):
            assert server.poll() is None, "the server ended"
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    return float(json.load(response)["predictions"][0]["log_risk"])
            except urllib.error.HTTPError:
                raise
            except OSError:
                time.sleep(0.5)
    finally:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
    raise AssertionError("the server did not answer")
