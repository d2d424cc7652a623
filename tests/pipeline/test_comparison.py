"""Two registered versions side by side, many by their C, and patients scored before their outcome was known; on a small store."""

import hashlib
import json
import math
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import penumbra
from penumbra import registry, store, survival
from penumbra.base.params import project_root
from penumbra.base.refusal import Refusal
from penumbra.commands import compare as side_by_side
from penumbra.commands import doctor, monitor
from penumbra.commands.models import model_rows, models, origins
from penumbra.commands.predict import Prediction
from penumbra.pipeline import experiments, prospective
from penumbra.pipeline import register as register_stage
from penumbra.pipeline.comparison import Comparison, compare
from penumbra.pipeline.evaluate import evaluate
from penumbra.pipeline.fuse import fuse
from penumbra.pipeline.register import register
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work

from ..small_run import few_models, small_work

pytestmark = pytest.mark.slow


def trained_on(work: Work, *centers: str) -> Work:
    settings = few_models(work.settings)
    few = replace(settings.evaluate, bootstraps=100, refits=1)
    register = replace(settings.register, served="Volume")  # a control: one version each
    return replace(work, settings=replace(settings, evaluate=few, register=register, cohort=replace(settings.cohort, train_centers=centers)))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Work:
    """Version 1 trained on north, version 2 on north and east."""
    home = tmp_path_factory.mktemp("compared")
    shutil.copytree(empty_registry, home, dirs_exist_ok=True)
    work = trained_on(small_work(home, centers={"north": 40, "east": 24, "south": 24}, features=6), "north")
    weights = home / "networks" / "deep1" / "network.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(register_stage, "learning_curves", lambda weights: {})  # the weights are carried along, not opened here
        patched.setattr(register_stage, "released_network", lambda weights, folder: weights)
        for one in (work, trained_on(work, "north", "east")):
            for stage in (fuse, evaluate, register):
                stage(one)
    return work


def test_both_versions_are_measured_on_the_patients_both_scored(work: Work) -> None:
    found = compare(work.home, ("champion", "2"), work.settings.evaluate)
    assert isinstance(found, Comparison)
    assert {row.center for row in found.paired} == {"north", "east", "south"}
    assert found.fitted == {"east": (False, True), "north": (True, True), "south": (False, False)}
    with store.connect(work.home, read_only=True) as lake:
        stored = {
            (row["version"], row["center"]): row["value"]
            for row in lake.rows("model_metrics")
            if row["metric"] == "harrell_c" and row["model"] == "nsclc-os" and row["split"] != "cross_fitted"
        }
    for row in found.paired:
        if row.metric == "harrell_c":
            assert (row.first, row.second) == pytest.approx((stored["1", row.center], stored["2", row.center]), rel=1e-12)
    assert found.patients == (
        {"center": "east", "first": 0, "second": 24, "added": 24, "removed": 0},
        {"center": "north", "first": 40, "second": 40, "added": 0, "removed": 0},
    )
    south = [row for row in found.reclassified if row.center == "south"]
    assert sum(row.stayed_low + row.raised + row.lowered + row.stayed_high for row in south) == 24
    assert {row.name for row in found.differences if row.aspect == "train_center"} == {"east"}


def test_the_same_question_has_the_same_answer_as_text_as_json_and_as_a_page(work: Work) -> None:
    text = side_by_side.shown(work, ("1", "2"))
    page = Path(text.rsplit("page  ", 1)[1])
    drawn = page.read_bytes()
    assert side_by_side.shown(work, ("1", "2")) == text
    assert page.read_bytes() == drawn
    html = drawn.decode()
    assert html.count("<svg") == 1 + 3 * 3  # differences; ROC, calibration and survival for each center
    assert "http://" not in html.replace("http://www.w3.org", "")
    document = json.loads(side_by_side.shown(work, ("1", "2"), "json"))
    assert {"differences", "paired", "reclassified", "calibration", "patients", "first", "second"} <= document.keys()
    assert document["second"]["train_centers"] == ["east", "north"]


def test_two_versions_are_read_in_a_terminal_of_80_columns(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """Difference and p were left out there, and registered calibration came as "row 1" to "row 5"."""
    monkeypatch.setenv("COLUMNS", "80")
    for versions in (("1", "2"), ()):
        text = str(side_by_side.shown(work, versions)).partition("\n\npage")[0]
        assert max(map(len, text.splitlines())) <= 80
        assert "row 1" not in text
        assert "more column" not in text
    text = str(side_by_side.shown(work, ("1", "2")))
    found = compare(work.home, ("1", "2"), work.settings.evaluate)
    assert isinstance(found, Comparison)
    blocks = {block.splitlines()[0]: block.splitlines()[3:] for block in text.split("\n\n")}
    for title, metric in (("C", "harrell_c"), ("AUC, 2 years", "auc_2y")):
        expected = [(row.center, f"{row.first:.3f}", f"{row.second:.3f}", f"{row.difference:+.3f}") for row in found.paired if row.metric == metric]
        assert [(line.split()[0], *line.replace(" * ", " ").split()[3:6]) for line in blocks[title]] == expected
    calibration = next(block for block in text.split("\n\n") if block.startswith(" patients of")).splitlines()[2:]
    assert [line.split()[0] for line in calibration if line[1] != " "] == ["east", "external", "north", "south", "training"]
    slopes = {row["center"]: row for row in found.calibration if row["metric"] == "calibration_slope"}
    assert next(line for line in calibration if line.startswith(" south")).split()[-2:] == [f"{slopes['south'][name]:.2f}" for name in ("first", "second")]
    assert str(side_by_side.shown(work, ())).splitlines()[0].split("   ")[-1].strip() == "nsclc-os/2"


def test_python_compares_two_versions_with_the_numbers_of_their_predictions(work: Work) -> None:
    rows = (compared := penumbra.compare(1, penumbra.load(2, home=work.home), home=work.home)).rows
    assert compared.versions == ("nsclc-os/1 (champion)", "nsclc-os/2")
    people = penumbra.read("patients", home=work.home).merge(penumbra.read("predictions", home=work.home), on=["patient", "center"])
    south = people[people["center"] == "south"]
    c = [
        survival.concordance_index(of["event"].to_numpy(dtype=bool), of["time"], of["log_risk"])
        for version in ("1", "2")
        for of in [south[south["version"] == version]]
    ]
    row = rows[(rows["center"] == "south") & (rows["metric"] == "harrell_c")].iloc[0]
    assert [row["first"], row["second"]] == pytest.approx(c, rel=1e-12)
    assert row["difference"] == pytest.approx(c[1] - c[0], rel=1e-9)
    assert row["lower"] < row["difference"] < row["upper"]
    assert 0 < row["p"] <= 1
    assert row["n"] == south["patient"].nunique() == 24
    again = compare(work.home, ("1", "2"), load_settings().evaluate)
    assert isinstance(again, Comparison)
    assert rows["p"].tolist() == pytest.approx([paired.p for paired in again.paired], nan_ok=True), "as the command, resample for resample"
    assert compared.differences[compared.differences["aspect"] == "train_center"]["name"].tolist() == ["east"]
    assert compared.inside["version"].tolist() == [entry.version for entry in again.inside]
    standings = penumbra.compare(home=work.home).rows.set_index(["version", "center"])
    assert standings.loc[(2, "south"), "c"] == pytest.approx(c[1], rel=1e-12)


def test_many_versions_stand_against_the_first(work: Work) -> None:
    table = side_by_side.shown(work, ())
    assert "nsclc-os/1 (champion)" in table
    rows = {(row["version"], row["center"]): row for row in json.loads(side_by_side.shown(work, (), "json"))}
    assert rows[1, "south"]["difference"] == 0
    assert rows[2, "east"]["fitted"]
    assert not rows[1, "east"]["fitted"]
    two = compare(work.home, ("1", "2"), work.settings.evaluate)
    assert isinstance(two, Comparison)
    pair = {row.center: row for row in two.paired if row.metric == "harrell_c"}
    assert (rows[2, "south"]["difference"], rows[2, "south"]["p"]) == (pair["south"].difference, pair["south"].p)


def test_what_is_known_inside_comes_first(work: Work) -> None:
    """Cross-fitted values of both versions: before every value per center, and never taken for one of them; their change is that of their own kind."""
    values = {"1": (0.6123, -0.0211), "2": (0.6456, None)}
    common = {"model": "nsclc-os", "center": "training", "split": "cross_fitted", "n": 40, "events": 25}
    rows = [
        {**common, "version": version, "metric": metric, "value": value, "lower": value - 0.07, "upper": value + 0.07}
        for version, pair in values.items()
        for metric, value in zip(("harrell_c", "delta_c_volume"), pair, strict=True)
        if value is not None
    ]
    with store.connect(work.home) as lake:
        lake.write({"model_metrics": rows}, run="test", what="inside")
    text = models(work.home)
    header, _, first, second = text.splitlines()[1:5]
    assert header.index("C inside") < header.index("C south") < header.index("C north"), "north trained both versions: apparent, and last"
    assert "0.612" in first
    assert "0.646" in second
    answer = model_rows(work.home)
    place = answer.columns.index("split")
    splits = [row[place] for row in answer.rows if row[answer.columns.index("version")] == 2]
    assert splits == sorted(splits, key=("cross_fitted", "test", "train").index), "cross-fitted first, apparent last"
    assert {"cross_fitted", "train"} <= set(splits)

    table = side_by_side.shown(work, ())
    assert isinstance(table, str)
    assert table.index("C inside") < table.index("C south") < table.index("C north")
    shown = side_by_side.shown(work, ("1", "2"))
    assert isinstance(shown, str)
    assert shown.index("0.612 (0.542 to 0.682)") < shown.index("on the patients both scored")
    assert "-0.021 (-0.091 to +0.049)" in shown
    page = Path(shown.rsplit("page  ", 1)[1]).read_text(encoding="utf-8")
    assert page.index("Inside the training centers") < page.index("Who predicts better")
    inside = json.loads(str(side_by_side.shown(work, ("1", "2"), "json")))["inside"]
    assert [row["version"] for row in inside] == [1, 2]
    changes = store.query(
        work.home,
        "SELECT version, change FROM version_metrics WHERE metric = 'harrell_c' AND split = 'cross_fitted' AND center = 'training' AND model = 'nsclc-os'",
    ).to_pylist()
    assert {row["version"]: row["change"] for row in changes}["2"] == pytest.approx(0.0333)


def test_one_version_twice_and_an_unknown_one_are_refused(work: Work) -> None:
    with pytest.raises(Refusal, match=r"champion and 1 are both nsclc-os/1.*\(rule versions_differ\)"):
        side_by_side.shown(work, ("champion", "1"))
    with pytest.raises(Refusal, match="version_registered"):
        side_by_side.shown(work, ("1", "9"))


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    return subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def lock_of(manifest: bytes) -> str:
    """dvc.lock as DVC writes it, of the stage that left `manifest`."""
    return f"stages:\n  register:\n    outs:\n    - path: data/manifests/register.json\n      hash: md5\n      md5: {hashlib.md5(manifest).hexdigest()}\n"


def test_experiments_and_revisions_are_compared_as_the_versions_that_they_registered(work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project whose first commit registered version 1, with an experiment `both` on it that registered version 2, and one whose version is elsewhere."""
    project = tmp_path / "project"
    project.mkdir()
    for name in ("params.yaml", "features", "models"):
        (project / name).symlink_to(project_root() / name)
    monkeypatch.setenv("PENUMBRA_PROJECT", str(project))
    git(project, "init", "--quiet", "--initial-branch", "main")
    kept = sorted((work.home / "manifests").glob("registered-*.json"), key=lambda path: json.loads(path.read_text())["version"])
    manifests = {"first": kept[0].read_bytes(), "both": kept[1].read_bytes(), "elsewhere": b"{}"}
    for name, manifest in manifests.items():
        (project / "dvc.lock").write_text(lock_of(manifest))
        git(project, "add", "-A")
        git(project, "commit", "--quiet", "-m", name)
        if name == "first":
            baseline = git(project, "rev-parse", "HEAD")
        else:  # where `dvc exp run -n NAME` puts it
            git(project, "update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}", "HEAD")
            git(project, "reset", "--quiet", "--hard", baseline)

    found = compare(work.home, ("main", "both"), work.settings.evaluate)
    assert isinstance(found, Comparison)
    assert (found.first.version, found.second.version) == (1, 2)
    assert side_by_side.shown(work, ("main", "both", "1")) == side_by_side.shown(work, ("1", "2", "1"))
    assert experiments.find(work.home, baseline[:10]).version == 1
    assert experiments.names(work.home) == {("nsclc-os", 2): ["both"]}
    listed, rows = models(work.home), model_rows(work.home)
    of = origins(work.home, "nsclc-os")
    assert of[2].shown.endswith("both")
    assert of[1].params == {}, "the champion's own"
    assert of[2].params
    for name, (value, champion) in of[2].params.items():
        assert value != champion
        assert name in listed
    assert "both" in listed
    written = [dict(zip(rows.columns, row, strict=True)) for row in rows.rows]
    assert {row["experiment"] for row in written if row["version"] == 2} == {"both"}
    with pytest.raises(Refusal, match=r"champion and main are both nsclc-os/1.*\(rule versions_differ\)"):
        side_by_side.shown(work, ("champion", "main"))
    with pytest.raises(Refusal, match=r"what the revision elsewhere registered is not in this state folder.*\(rule experiment_registered\)"):
        side_by_side.shown(work, ("main", "elsewhere"))
    with pytest.raises(Refusal, match=r"no version or alias 'none'.*\(rule version_registered\)"):
        side_by_side.shown(work, ("main", "none"))


def test_a_scored_patient_is_measured_once_the_outcome_is_known(work: Work) -> None:
    assert monitor.monitor(work) == [], "outcomes that were there before are not a prospective test"
    random = np.random.default_rng(0)
    risks = random.normal(size=30)
    time, event = np.ceil(random.exponential(900 * np.exp(-risks))) + 1, random.random(30) < 0.8
    for i, risk in enumerate(risks):
        alive = {f"{year}y": math.exp(-0.3 * year * math.exp(risk)) for year in (1, 2, 3)}
        days = {f"{year}y": 365.0 * year for year in (1, 2, 3)}
        prediction = Prediction("nsclc-os", 1, float(risk), 0.0, "high" if risk > 0 else "low", alive, days, {}, 10.0, "i1", "s1", "accepted", ())
        assert monitor.record(work, Path(f"/anywhere/west/W{i:03d}"), "west", prediction) == f"W{i:03d}"
    assert monitor.monitor(work) == [], "no outcome yet"
    patients = [{"patient": f"W{i:03d}", "center": "west", "time": float(time[i]), "event": bool(event[i])} for i in range(30)]
    with store.connect(work.home) as lake:
        lake.write({"centers": [{"center": "west"}], "patients": patients}, run="test", what="outcomes of west")
    found = {row.metric: row for version, row in monitor.monitor(work)}
    assert found["harrell_c"].value == pytest.approx(survival.concordance_index(event, time, risks))
    assert (found["harrell_c"].n, found["harrell_c"].events, found["harrell_c"].split) == (30, int(event.sum()), "live")
    assert found["calibration_slope"].value == pytest.approx(survival.calibration_slope(event, time, risks).value)
    with store.connect(work.home, read_only=True) as lake:
        live = {row["metric"] for row in lake.rows("model_metrics") if row["split"] == "live"}
        commits = lake.newest_commit()
    assert live >= {"harrell_c", "calibration_slope", "observed_expected_2y"}
    monitor.monitor(work)
    with store.connect(work.home, read_only=True) as lake:
        assert lake.newest_commit() == commits, "nothing new, nothing written"
        patients = [{name: value for name, value in row.items() if name != "commit_id"} for row in lake.rows("patients") if row["center"] == "east"]
        assert prospective.unfounded(lake, "nsclc-os") == []
    stale = {"model": "nsclc-os", "version": "1", "center": "east", "split": "live", "metric": "harrell_c", "value": 0.8, "n": 36, "events": 20}
    with store.connect(work.home) as lake:  # as the code before measured once a table was sent again with rounded ages
        lake.write({"model_metrics": [stale], "patients": [{**row, "age": round(row["age"])} for row in patients]}, run="r", what="as it was")
        assert prospective.unfounded(lake, "nsclc-os") == [("1", "east")]
    assert [finding.ok for finding in doctor.examine(work.home) if finding.what == "live metrics"] == [False]
    assert {row.center for _, row in monitor.monitor(work)} == {"west"}
    with store.connect(work.home, read_only=True) as lake:
        assert {row["center"] for row in lake.rows("model_metrics") if row["split"] == "live"} == {"west"}
        assert prospective.unfounded(lake, "nsclc-os") == []
    assert registry.find(work.home).version == 1
