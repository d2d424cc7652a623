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
    "candidates: [Volume, Clinical, Ridge, Late, Combined, Combined+Clinical]": "candidates: [Volume, Own]",
}
# Of the department: columns that its tables have, and a model of them, which is served.
COLUMNS = """
ecog:       {type: ordinal, levels: ["0", "1", "2"], known: planning, header: [ECOG PS], meaning: ECOG performance status}
hemoglobin: {type: number, unit: g/dL, range: [3, 25], known: -7, meaning: hemoglobin in the week before the planning CT}
total_dose: {type: number, unit: Gy, range: [0, 100], known: planning, meaning: dose prescribed to the primary tumor}
"""
MODEL = """
Own: {label: "Volume, age, ECOG and hemoglobin", family: control, kind: cox,
      columns: [gtv.original_shape_MeshVolume, clinical.age, clinical.ecog, clinical.hemoglobin],
      log: [gtv.original_shape_MeshVolume], impute: [clinical.age, clinical.ecog, clinical.hemoglobin]}
"""
READ = ["gtv.original_shape_MeshVolume", "clinical.age", "clinical.ecog", "clinical.hemoglobin"]
COHORT = """
import csv, sys
from dataclasses import replace
from pathlib import Path
from penumbra.cohort.simulate import simulate
from penumbra.cohort.simulate_centers import CENTERS
north, east, _ = (replace(center, refused=(), mixed_gaps=False) for center in CENTERS)
simulate(Path(sys.argv[1]), seed=7, centers=[replace(north, patients=30), replace(east, patients=12)], workers=2)
for table in Path(sys.argv[1]).glob("*/clinical.csv"):
    with table.open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    with table.open("w", newline="", encoding="utf-8") as stream:
        write = csv.writer(stream).writerow
        write([*header, "ECOG PS", "hemoglobin", "total dose"])
        column = next(place for place, name in enumerate(header) if name in ("time", "Survival.time"))
        for i, row in enumerate(sorted(rows)):
            days = float(row[column]) if row[column] else 700.0  # what a good prognosis is, up to noise: the model is to beat volume
            ecog = "unknown" if i % 4 == 3 else str(int(days < 900) + int(days < 300))
            write([*row, ecog, round(9 + min(days, 2000) / 400 + i % 3 / 2, 1), 60 + 2 * (i % 4)])
"""
# In Python, from any folder: everyone's risk from a frame, by the version and by MLflow's own way to load it.
LOADED = """
import json
import mlflow, penumbra
version = penumbra.load("champion")
frame = version.read(center="east")
answer = version.predict(frame).set_index("patient")["log_risk"]
mlflow.set_tracking_uri(version.tracking_uri)
served = mlflow.pyfunc.load_model(version.uri).predict(frame[list(version.features)])["log_risk"]
rows = json.loads(frame[list(version.features)].to_json(orient="values"))
ages = penumbra.read("patients", center="east", columns="age").set_index("patient")["age"]
clinical = penumbra.read("clinical", center="east").set_index("patient").join(ages)
print(json.dumps({
    "version": version.version, "uri": version.uri, "tracking": version.tracking_uri, "served": version.served, "columns": list(version.features),
    "patients": frame["patient"].tolist(), "rows": rows, "log_risk": answer.tolist(), "pyfunc": served.tolist(),
    "clinical": json.loads(clinical[["age", "ecog", "hemoglobin"]].to_json(orient="index")),
}))
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
    (project / "features" / "clinical.yaml").write_text(COLUMNS, encoding="utf-8")
    controls = project / "models" / "controls.yaml"
    controls.write_text(controls.read_text(encoding="utf-8") + MODEL, encoding="utf-8")
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
    loaded = json.loads(installed.run("python", "-c", LOADED, place=below))
    assert (loaded["version"], loaded["served"], loaded["columns"]) == (1, "Own", READ)
    risks = dict(zip(loaded["patients"], loaded["log_risk"], strict=True))
    assert len(set(loaded["log_risk"])) > 5
    assert loaded["pyfunc"] == pytest.approx(loaded["log_risk"], rel=1e-12)
    assert _served(installed, loaded, project) == pytest.approx(loaded["log_risk"], rel=1e-9), "a missing ECOG is null in JSON"

    known = {patient: facts for patient, facts in loaded["clinical"].items() if patient in risks and None not in facts.values()}
    patient, facts = next(iter(known.items()))
    given = ("--age", str(facts["age"]), "--clinical", f"ecog={facts['ecog']}", "--clinical", f"hemoglobin={facts['hemoglobin']}")
    folder = str(installed.folder / "cohort" / "east" / patient)
    predicted = json.loads(installed.run("penumbra", "predict", folder, *given, "--format", "json", place=below))
    assert predicted["log_risk"] == pytest.approx(risks[patient], rel=1e-9)
    assert 0.0 < predicted["survival"]["2y"] < 1.0
    without = json.loads(installed.run("penumbra", "predict", folder, *given[:4], "--format", "json", place=below))
    assert any(remark.startswith("hemoglobin is not given: taken as ") for remark in without["remarks"])

    rois_file = project / "features" / "rois.yaml"
    for file, before, after in (
        (rois_file, "margins_mm: [3, 6, 9]", "margins_mm: [3, 6, 12]"),
        (controls, "clinical.ecog", "clinical.total_dose"),
    ):
        assert before in file.read_text(encoding="utf-8")
        file.write_text(file.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")
    installed.run("penumbra", "run", place=project)
    assert {row["roi"] for row in sql("SELECT DISTINCT roi FROM radiomics")} == {"gtv", "ring_3mm", "ring_6mm", "ring_12mm"}
    assert [row["version"] for row in sql("SELECT version FROM model_versions ORDER BY version")] == ["1", "2"]
    second = "import penumbra; version = penumbra.load(2); print(*version.features); print(len(version.predict(version.read())))"
    names, count = installed.run("python", "-c", second, place=below).splitlines()
    assert names.split() == [name.replace("ecog", "total_dose") for name in READ]
    assert int(count) == 42
    assert (project / "dvc.lock").is_file(), "recorded with DVC"


def _served(installed: Installed, loaded: dict[str, Any], project: Path) -> list[float]:
    """The log risks that `mlflow models serve` answers."""
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
        loaded["uri"],
        "--env-manager",
        "local",
        "--port",
        str(port),
    ]
    server = subprocess.Popen(
        command,
        cwd=project,
        env={**installed.variables(), "MLFLOW_TRACKING_URI": loaded["tracking"]},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    body = json.dumps({"dataframe_split": {"columns": loaded["columns"], "data": loaded["rows"]}}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"})
    try:
        for _ in range(240):
            assert server.poll() is None, "the server ended"
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    return [float(row["log_risk"]) for row in json.load(response)["predictions"]]
            except urllib.error.HTTPError:
                raise
            except OSError:
                time.sleep(0.5)
    finally:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
    raise AssertionError("the server did not answer")
