"""DVC decides whether a stage must run: nothing after a run, and after a changed number only what depends on it.

Looked at with a stand-in for `penumbra` that rewrites a stage's manifest: what is tested is dvc.yaml, and the order in which DVC runs it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = """#!/bin/sh
echo "$1" >> ran.txt
if [ -f "same/$1.json" ]; then cp "same/$1.json" data/manifests; else date +%N > "data/manifests/$1.json"; fi
if [ "$1" = evaluate ]; then date +{\\"Combined\\":{\\"east\\":0.%N}} > metrics.json; fi
"""
BEHIND_FUSE = ["fuse", "evaluate", "register", "report"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The declarations of the checkout with a finished run, recorded as `penumbra run` records it and committed."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, folder)
    for name in ("features", "models"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "data" / "manifests").mkdir(parents=True)
    (folder / "bin").mkdir()
    program = folder / "bin" / "penumbra"
    program.write_text(STAND_IN, encoding="utf-8")
    program.chmod(0o755)
    for stage in ("arrivals", "ingest", "populate", "train", *BEHIND_FUSE):
        call(folder, "penumbra", stage)
    (folder / ".gitignore").write_text("/bin\n/data\n/same\n/ran.txt\n/.dvc/tmp\n", encoding="utf-8")
    who = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    call(folder, "git", "init", "--quiet")
    call(folder, sys.executable, "-m", "dvc", "init", "--quiet")
    call(folder, sys.executable, "-m", "dvc", "commit", "--force", "--quiet")
    call(folder, "git", "add", "-A")
    call(folder, "git", *who, "commit", "--quiet", "-m", "a run")
    return folder


def call(folder: Path, *command: str) -> str:
    """Run one command in the project with the stand-in on its path; what it printed."""
    here = {**os.environ, "DVC_NO_ANALYTICS": "1", "PYTHONWARNINGS": "ignore", "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=here, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr[-3000:]}"
    return done.stdout


def repro(folder: Path) -> list[str]:
    """The stages that `dvc repro` ran, in order."""
    (folder / "ran.txt").write_text("", encoding="utf-8")
    call(folder, sys.executable, "-m", "dvc", "repro")
    return (folder / "ran.txt").read_text(encoding="utf-8").split()


@pytest.mark.parametrize(
    ("number", "changed", "stages"),
    [
        ("  pca_variance: 0.95", "  pca_variance: 0.95", []),
        ("  pca_variance: 0.95", "  pca_variance: 0.9", BEHIND_FUSE),
        ("  patients: 6 ", "  patients: 4 ", ["report"]),
        ("max_rejected: 0.5", "max_rejected: 0.4", []),
        ("noise: 0.10", "noise: 0.05", BEHIND_FUSE[1:]),  # what is served is chosen by it
        ("  repeats: 10 ", "  repeats: 9 ", BEHIND_FUSE),
        ("shift_voxels: [0.4]", "shift_voxels: [0.3]", BEHIND_FUSE),  # stability itself runs on request alone; fuse may ask for stable features
    ],
    ids=["nothing", "fuse.pca_variance", "report.patients", "retrain.max_rejected", "retrain.gate.noise", "crossfit.repeats", "stability.shift_voxels"],
)
def test_a_changed_number_reruns_what_depends_on_it(project: Path, number: str, changed: str, stages: list[str]) -> None:
    params = project / "params.yaml"
    before = params.read_text(encoding="utf-8")
    assert before.count(number) == 1, number
    params.write_text(before.replace(number, changed), encoding="utf-8")
    assert repro(project) == stages


def test_newer_clinical_records_rerun_what_is_fitted_and_measured_on_them(project: Path) -> None:
    """Another age or outcome changes no feature, so that populate and train leave what they left before."""
    (project / "same").mkdir()
    for stage in ("populate", "train"):
        shutil.copy(project / "data" / "manifests" / f"{stage}.json", project / "same")
    (project / "data" / "manifests" / "arrivals.json").write_text("newer tables", encoding="utf-8")
    ran = repro(project)
    assert ran[0] == "ingest"
    assert set(ran[1:3]) == {"populate", "train"}
    assert ran[3:] == BEHIND_FUSE


def test_metrics_compare_with_the_commit(project: Path) -> None:
    (project / "metrics.json").write_text('{"Combined": {"east": 0.75}}\n', encoding="utf-8")
    printed = call(project, sys.executable, "-m", "dvc", "metrics", "diff")
    assert "Combined.east" in printed
    assert "0.75" in printed
