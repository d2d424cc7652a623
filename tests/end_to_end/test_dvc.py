"""DVC decides whether a stage must run: nothing after a run, and after a changed number only what depends on it.

Looked at with a stand-in for `penumbra` that rewrites a stage's manifest: what is tested is dvc.yaml, and the order in which DVC runs it.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = """#!/bin/sh
stage=$1; if [ "$2" = --arrivals ]; then stage=arrivals; fi
mkdir -p data/manifests plots
echo "$stage" >> ran.txt
if [ -f "same/$stage.json" ]; then cp "same/$stage.json" data/manifests; else date +%N > "data/manifests/$stage.json"; fi
if [ "$stage" = train ]; then printf 'epoch,train_loss,validation_loss\\n1,2.0,2.1\\n2,1.0,1.9\\n' > plots/training.csv; fi
if [ "$stage" = evaluate ]; then
  c=0.7$(date +%N | cut -c1-3)
  printf '{"C_inside": %s1, "C_external": %s2, "C_lowest": %s3, "C_gain": %s4, "slope": %s5, "OE_2y": %s6}\\n' $c $c $c $c $c $c > metrics.json
  printf 'model,center,harrell_c,lower,upper\\nRidge,east,%s,0.6,0.8\\n' $c > plots/models.csv
  printf 'center,harrell_c,lower,upper\\ninside,%s,0.6,0.8\\neast,%s,0.6,0.8\\n' $c $c > plots/harrell_c.csv
  printf 'day,low_risk,high_risk,patients\\n0,1.0,1.0,external\\n30,0.9,%s,external\\n' $c > plots/kaplan_meier.csv
  printf 'predicted,observed,patients\\n0.2,%s,external\\n' $c > plots/calibration.csv
  printf 'false_positive_rate,true_positive_rate,patients\\n0.0,0.1,external\\n1.0,1.0,external\\n' > plots/roc.csv
fi
"""
RECIPE = "dvc exp show --only-changed --drop '.*/.*|Created|slope|OE_.*'"
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
    call(folder, "penumbra", "ingest", "--arrivals")
    for stage in ("ingest", "populate", "train", *BEHIND_FUSE):
        call(folder, "penumbra", stage)
    (folder / ".gitignore").write_text("/bin\n/data\n/same\n/ran.txt\n/.dvc/tmp\n", encoding="utf-8")
    who = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    call(folder, "git", "init", "--quiet")
    call(folder, sys.executable, "-m", "dvc", "init", "--quiet")
    call(folder, sys.executable, "-m", "dvc", "commit", "--force", "--quiet")
    call(folder, "git", "add", "-A")
    call(folder, "git", *who, "commit", "--quiet", "-m", "a run")
    return folder


def call(folder: Path, *command: str, **variables: str) -> str:
    """Run one command in the project with the stand-in on its path; what it printed."""
    here = {**os.environ, "DVC_NO_ANALYTICS": "1", "PYTHONWARNINGS": "ignore", "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", **variables}
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
    (project / "same" / "arrivals.json").write_text("newer tables", encoding="utf-8")
    (project / "data" / "manifests" / "arrivals.json").unlink()
    ran = repro(project)
    assert ran[:2] == ["arrivals", "ingest"]
    assert set(ran[2:4]) == {"populate", "train"}
    assert ran[4:] == BEHIND_FUSE


def test_no_file_that_git_keeps_is_removed_before_a_stage_runs(project: Path) -> None:
    """DVC removes the outputs of a stage that it runs, unless they persist; metrics.json was away for the half minute of an evaluation."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    outs = [each for stage in stages.values() for each in (*stage.get("outs", ()), *stage.get("metrics", ()))]
    assert len(outs) == 15
    for each in outs:
        assert isinstance(each, dict), each
        assert all(facts == {"cache": False, "persist": True} for facts in each.values()), each


def test_metrics_and_experiments_fit_a_terminal_of_100_columns_by_the_recipe_of_the_manual(project: Path) -> None:
    """`dvc metrics show` had 70 columns and `dvc exp show` 200; DVC's tables heed no width, so the recipe has to."""
    call(project, "git", "checkout", "--quiet", ".")  # the numbers of the commit: other tests have left theirs
    call(project, sys.executable, "-m", "dvc", "exp", "run", "-n", "wide", "-S", "fuse.pca_variance=0.8")
    metrics = call(project, sys.executable, "-m", "dvc", "metrics", "show", COLUMNS="100")
    assert max(map(len, metrics.splitlines())) <= 80
    assert "C_external" in metrics
    recipe = shlex.split(RECIPE)
    assert RECIPE in (ROOT / "docs" / "dvc.md").read_text(encoding="utf-8")
    shown = call(project, sys.executable, "-m", *recipe, COLUMNS="100")
    assert "wide" in shown
    assert "fuse.pca_variance" in shown
    assert "C_external" in shown
    assert "cohort.time_unit" not in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_plots_are_drawn_over_revisions(project: Path) -> None:
    """`dvc plots show` had nothing to show."""
    printed = call(project, sys.executable, "-m", "dvc", "plots", "show", COLUMNS="100")
    assert len(printed.splitlines()) == 1
    assert Path(printed.strip().removeprefix("file://")).is_file(), "the terminal has the address of a page"
    plots = json.loads(call(project, sys.executable, "-m", "dvc", "plots", "diff", "HEAD", "wide", "--json"))["data"]
    assert set(plots) == {"C per center", "Kaplan-Meier", "Calibration", "ROC", "Training of the network"}
    for name, drawn in plots.items():
        assert {revision for each in drawn for revision in each["revisions"]} == {"HEAD", "wide"}, name


def test_metrics_compare_with_the_commit(project: Path) -> None:
    (project / "metrics.json").write_text('{"C_external": 0.75}\n', encoding="utf-8")
    printed = call(project, sys.executable, "-m", "dvc", "metrics", "diff")
    assert "C_external" in printed
    assert "0.75" in printed
