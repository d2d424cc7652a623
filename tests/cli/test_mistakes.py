"""Mistakes that a person makes at the terminal: each ends the command with one sentence that names the right next step."""

import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from penumbra import registry, store
from penumbra.base import ranges
from penumbra.base.params import project_root, read_yaml, resolve
from penumbra.cli import main
from penumbra.pipeline.definition import image_versions, radiomics_definition
from penumbra.pipeline.settings import load_settings

from ..projects import project_with
from ..registry.small_bundle import METRICS, small_bundle
from ..small_run import small_work

pytestmark = pytest.mark.slow

TOKEN = "a" * 32


@dataclass(frozen=True)
class Mistake:
    """words      typed after `penumbra`; {home}, {cohort}, {files} stand for folders, {port} for one that is taken.
    found, step   what is said of it, and what to do next: regular expressions.
    status        of the exit: 2 for the use of the command line, 1 for all else.
    home          "full": a store with three centers and a champion; "empty": nothing.
    env           variables of the environment.
    """

    words: str
    found: str
    step: str
    status: int = 1
    home: str = "full"
    env: dict[str, str] = field(default_factory=dict)


TABLE = [
    # names of commands and options
    Mistake("comapre", "No such command 'comapre'", r"Did you mean 'compare'\?", 2),
    Mistake("sql --formt json", "No such option.* '?--formt", "--format", 2),
    Mistake("sql|FROM patients|--format|jsn", "'jsn' is not one of", r"Did you mean 'json'\?", 2),
    Mistake("run --profile quik", "'quik' is not one of", r"Did you mean 'quick'\?", 2),
    Mistake("sql|FROM patients|--timeout|soon", "'soon' is not a valid float", "--help", 2),
    Mistake("sql|FROM patients|--timeout|-1", "-1.* is not in the range", "--help", 2),
    Mistake("promote 1", "Missing option '--reason'", "--help", 2),
    # relations, columns, commits
    Mistake("sql|SELECT * FROM patien", "no relation 'patien'", r"Did you mean patients\? SHOW TABLES lists the other \d+"),
    Mistake("sql|SELECT agee FROM patients", "no column 'agee' in patients", r"Did you mean age\?"),
    Mistake("sql|SELECT rule, at FROM rejections", "syntax error", 'Put at in double quotes: "at"'),
    Mistake("sql|DELETE FROM patients", "DELETE is not a question", "Ask with one SELECT"),
    Mistake("sql|FROM patients|--as-of|champio", "no version 'champio' in the store", r"Did you mean champion\? Registered: nsclc-os/1"),
    Mistake("sql|FROM patients|--as-of|999999", "no commit 999999; the newest is", "FROM commits"),
    Mistake("sql|FROM patients|--as-of|2040-13-01", "'2040-13-01' is no date", "Write a day as"),
    Mistake("sql|FROM patients|--as-of|1999-12-31", "no commit by 1999-12-31", "SELECT \\* FROM commits"),
    Mistake("sql|FROM patients|--as-of|yesterday", "no version 'yesterday'", "the number of a commit"),
    # versions
    Mistake("compare champin", "no version or alias 'champin'", r"Did you mean champion\? Registered: 1 \(champion\)"),
    Mistake("compare 7 1", "no version or alias '7'", r"Registered: 1 \(champion\)"),
    Mistake("compare champion", "one version, nsclc-os/1", "penumbra compare shows it"),
    Mistake("compare champion 1", "champion and 1 are both nsclc-os/1", "Name two versions; penumbra models lists them"),
    Mistake("verify nsclc-o/1", "no version or alias 'nsclc-o/1'", r"Did you mean nsclc-os/1\?"),
    Mistake("promote 9 --reason x", "no version or alias '9'", r"Registered: 1 \(champion\)"),
    Mistake("models --model nsclc", "no version of nsclc is registered", "nsclc-os/champion"),
    Mistake("rollback --reason x", "never had another champion", "penumbra models lists the versions"),
    # centers and patients
    Mistake("drift eest", "no features of 'eest'", r"Did you mean east\? Ingested: "),
    Mistake("drift north", "north is the only training center", "params.yaml, cohort.train_centers: east, south"),
    Mistake("baseline north eest", "no center 'eest'", r"Did you mean east\?"),
    Mistake("retrain --center eest", "no center 'eest' in incoming/", r"Did you mean east\?"),
    Mistake("gallery --center eest", "no patient of a center 'eest'", "ingest another first"),
    Mistake("forget E0011 --yes", "no patient 'E0011'", r"Did you mean E0\d\d\?"),
    Mistake("forget E001 --center eest --yes", "no patient 'E001' of eest", "The patient of this name is of east"),
    # folders
    Mistake("predict {files}/nowhere", "nowhere' does not exist", "--help", 2),
    Mistake("predict {files}/a_file", "a_file' is a file", "--help", 2),
    Mistake("predict {files}", "no CT slice among", "Send the DICOM files of the planning CT"),
    Mistake("ingest {cohort}", "FOLDER and --center go together", "penumbra run --cohort", 2),
    Mistake("ingest {cohort} --center all", "no clinical.csv in the folder", r"several centers \(empty, no_patient, no_time\): penumbra run --cohort"),
    Mistake("ingest {cohort}/no_time --center /x", "a center called '/x'", "Use letters, digits"),
    Mistake("run --cohort {cohort}/no_time", "no subfolder with a clinical.csv", "one center: penumbra ingest FOLDER --center NAME"),
    Mistake("run --cohort {files}", "no subfolder with a clinical.csv", "A cohort is <folder>/<center>/clinical.csv"),
    Mistake("rois {cohort}/nothing", "nothing' does not exist", "--help", 2),
    Mistake("import {files}", "no manifest.json", "Name a folder that penumbra export wrote"),
    Mistake("export {files}", "is not empty", "Name a new folder"),
    Mistake("simulate {files}", "the folder is not empty", "Choose another folder"),
    # clinical tables
    Mistake("ingest {cohort}/no_time --center west", "no column for time; found: patient, event", r"\(rule clinical_columns\)", home="empty"),
    Mistake("ingest {cohort}/no_patient --center west", "no column for patient; found: ", r"\(rule clinical_columns\)", home="empty"),
    Mistake("ingest {cohort}/empty --center west", "no rows below a header", r"\(rule clinical_readable\)", home="empty"),
    # an empty state folder
    Mistake("sql|FROM patients", "no feature store", "Run `penumbra run` or `penumbra ingest` first", home="empty"),
    Mistake("predict {files}", "no version of nsclc-os is registered", "Run `penumbra run`", home="empty"),
    Mistake("compare", "no version of nsclc-os is registered", "penumbra run", home="empty"),
    Mistake("rollback --reason x", "no version of nsclc-os is registered", "penumbra run", home="empty"),
    Mistake("populate", "ingest has not run here", "Run penumbra ingest", home="empty"),
    Mistake("ingest", "no center folder in incoming/", "penumbra run --cohort DIR", home="empty"),
    Mistake("run", "no center folder in incoming/", "penumbra run --cohort DIR", home="empty"),
    Mistake("monitor", "no feature store", "Run `penumbra run`", home="empty"),
    Mistake("forget E001 --yes", "no feature store", "Run `penumbra run`", home="empty"),
    # environment
    Mistake("populate", r"PENUMBRA_HOME is '.*', which is a file", "Set PENUMBRA_HOME to a folder", env={"PENUMBRA_HOME": "{files}/a_file"}),
    Mistake("sql|FROM patients", r"PENUMBRA_HOME is '.*', in a_file, which is a file", "Set PENUMBRA_HOME", env={"PENUMBRA_HOME": "{files}/a_file/below"}),
    Mistake("ingest", "the state folder '/proc/nothing' cannot be made", "Set PENUMBRA_HOME", env={"PENUMBRA_HOME": "/proc/nothing"}),
    Mistake("sql|FROM patients", "cannot be used .File name too long", "Set PENUMBRA_HOME", env={"PENUMBRA_HOME": "/tmp/" + "x" * 300}),
    Mistake("populate", r"PENUMBRA_PROJECT is '.*', which has no params.yaml", "that penumbra init made", env={"PENUMBRA_PROJECT": "{files}"}),
    Mistake("populate", "PENUMBRA_PROJECT is '/no/such', there is no such folder", "that penumbra init made", env={"PENUMBRA_PROJECT": "/no/such"}),
    Mistake("serve-sql", "PENUMBRA_SQL_TOKEN is not set", r"Run: export PENUMBRA_SQL_TOKEN=\$\(openssl rand"),
    Mistake("serve-sql", "PENUMBRA_SQL_TOKEN has 5 characters", "openssl rand", env={"PENUMBRA_SQL_TOKEN": "short"}),
    Mistake("serve-sql --port {port}", r"port \d+ of 127.0.0.1 is in use by another program", r"--port \d+", env={"PENUMBRA_SQL_TOKEN": TOKEN}),
    Mistake("serve-sql --port 70000", "70000 is not in the range", "--help", 2, env={"PENUMBRA_SQL_TOKEN": TOKEN}),
    Mistake("serve-sql --host 203.0.113.7", "this machine cannot listen at 203.0.113.7", "127.0.0.1", env={"PENUMBRA_SQL_TOKEN": TOKEN}),
    Mistake("rules gtv_name", "no rule 'gtv_name'", r"Did you mean gtv_named\?"),
]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The folders of the table, made once: no mistake changes them."""
    root = tmp_path_factory.mktemp("mistakes")
    work = small_work(root / "home", features=3)
    weights = root / "weights.safetensors"
    weights.write_bytes(b"weights")
    settings = {"rois": {"margins_mm": [3], "gtv": {"patterns": ["gtv"]}}, "radiomics": {}, "ingest": {"grid_mm": 1.0}, "populate": {"engine": "penumbra"}}
    made = store.version_key(radiomics_definition(settings["radiomics"], settings["rois"], 1.0, "penumbra"))
    bundle = small_bundle(weights)
    lineage = replace(bundle.lineage, image_versions=image_versions())
    registry.register(work.home, replace(bundle, settings=settings, feature_versions=dict.fromkeys(("gtv", "ring_6mm"), made), lineage=lineage), METRICS)
    version = {"model": "nsclc-os", "version": "1", "alias": "champion", "train_centers": ["north"], "digest": "d", "store_commit": 1}
    with store.connect(work.home) as lake:
        lake.write({"model_versions": [version]}, run="test", what="register")
    for center in ("north", "east", "south"):
        (work.home / "incoming" / center).mkdir(parents=True)
    tables = {"no_time": "patient,event\nA,1\n", "no_patient": "time,event\n10,1\n", "empty": ""}
    for center, text in tables.items():
        (root / "cohort" / center / "A").mkdir(parents=True)
        (root / "cohort" / center / "clinical.csv").write_text(text)
    (root / "files").mkdir()
    (root / "files" / "a_file").write_text("no folder\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield {"home": str(work.home), "cohort": str(root / "cohort"), "files": str(root / "files"), "port": str(taken.getsockname()[1])}


def told(words: list[str]) -> tuple[int, list[str]]:
    """Exit status of a command, and the lines that say what is wrong."""
    done = CliRunner().invoke(main, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)
    return done.exit_code, [line for line in done.stderr.splitlines() if line.strip()]


@pytest.mark.parametrize("mistake", TABLE, ids=[f"{row.words} {row.home}" for row in TABLE])
def test_a_mistake_is_one_sentence_with_the_next_step(mistake: Mistake, places: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENUMBRA_SQL_TOKEN", raising=False)
    monkeypatch.setenv("PENUMBRA_HOME", places["home"] if mistake.home == "full" else str(tmp_path / "home"))
    project_with(tmp_path, monkeypatch, lambda text: text.replace("train_centers: [north, maastro]", "train_centers: [north]"))
    for name, value in mistake.env.items():
        monkeypatch.setenv(name, value.format(**places))
    words = [word.format(**places) for word in (mistake.words.split("|") if "|" in mistake.words else mistake.words.split(" "))]
    status, lines = told(words)
    said = "\n".join(lines)
    assert status == mistake.status, said
    assert sum(line.startswith("Error: ") for line in lines) == 1, said
    assert len(lines) == (1 if status == 1 else 3), said
    assert re.search(mistake.found, said), said
    assert re.search(mistake.step, said), said
    error = lines[-1]
    assert "Traceback" not in said
    assert not re.search(r"[!?.;:,][.;:,](?!\.)|\.\. | {2}|\. [a-z](?!enumbra|ncoming)", error.replace("...", "")), error
    assert status == 2 or re.search(r"[.?] \(rule [a-z_]+\)$", error), error
    if mistake.home == "empty":
        assert not (tmp_path / "home" / "store" / "catalog.sqlite").exists() or "ingest" in mistake.words, "a mistake makes no store"


def test_there_are_more_than_forty() -> None:
    assert len(TABLE) > 60


@dataclass(frozen=True)
class Edit:
    """One edit of a file of the project: what stood there, what stands there now, and what is said of it."""

    file: str
    old: str
    new: str
    said: str


EDITS = [
    Edit("params.yaml", "pca_variance: 0.95", "pca_variance: 95", r"pca_variance is 95, out of its range. Give .* above 0 and at most 1; 95 percent is 0.95"),
    Edit("params.yaml", "pca_variance: 0.95", 'pca_variance: "0.95"', r"fuse.pca_variance is '0.95', not a number. Write 0.95, without quotation marks"),
    Edit("params.yaml", "pca_variance: 0.95", "pca_variance: 95%", r"is '95%', not a number. Write 0.95, a share of 1"),
    Edit("params.yaml", "pca_variance: 0.95", "pca_variance: .nan", r"fuse.pca_variance is nan, out of its range"),
    Edit("params.yaml", "pca_variance: 0.95", "pca_variance:", r"fuse.pca_variance is empty, not a number"),
    Edit("params.yaml", "pca_variance: 0.95", "pca_varianc: 0.95", r"unknown parameter fuse.pca_varianc. Did you mean pca_variance\?"),
    Edit("params.yaml", "  pca_variance:", "\tpca_variance:", r"a tab, with which YAML cannot indent. Use spaces"),
    Edit("params.yaml", "  pca_variance:", "<<<<<<< HEAD\n  pca_variance:", r"the mark <<<<<<< of a merge conflict. Keep one of the two sides"),
    Edit("params.yaml", "quick: 6.0e-4", "quick: 6e-4", r"train.learning_rate is '6e-4', not a number. Write 0.0006"),
    Edit("params.yaml", "profile: quick ", "profile: quik ", r"unknown profile 'quik'. Did you mean quick\?"),
    Edit("params.yaml", "\nfuse:", "\nfuze:", r"unknown group fuze in params.yaml. Did you mean fuse\?"),
    Edit("params.yaml", "time_unit: days", "time_unit: day", r"cohort.time_unit is 'day'. Did you mean days\?"),
    Edit("params.yaml", "train_centers: [north, maastro]", "train_centers: []", "cohort.train_centers is empty, so that no center trains"),
    Edit("params.yaml", 'retrain_cron: "0 3 * * 0"', 'retrain_cron: "often"', "serve.retrain_cron is 'often', not the five fields of cron"),
    Edit("params.yaml", "ties: efron  ", "ties: efrom  ", "train.ties is 'efrom'. Did you mean efron"),
    Edit("params.yaml", "quick: auto, best: auto}  # which", "quick: Combine, best: auto}  # which", r"register.served is 'Combine'.*Did you mean Combined\?"),
    Edit("params.yaml", "histologies: null", "histologies: [sqaumous]", r"'sqaumous' is not a known histology. Use adenocarcinoma"),
    Edit("params.yaml", "input_size: {paper: 64, quick: 32, best: 32}", "input_size: 30", r"network.input_size is 30. Required: .* multiple of 4"),
    Edit("models/se_resnet.yaml", "kernel: 3", "kernal: 3", r"unknown parameter network.kernal. Did you mean kernel\?"),
    Edit("models/signatures.yaml", "blocks: [gtv]", "block: [gtv]", r"Rad has no key 'block'. Did you mean blocks\?"),
    Edit("models/signatures.yaml", "blocks: [ring_<mm>mm]", "blocks: [ring_<mm>m]", r"Rad_3mm names the block 'ring_3m'.* Did you mean ring_3mm\?"),
    Edit("models/signatures.yaml", "blocks: [deep]", "blocks: deep", r"blocks of DL is 'deep', not a list of names"),
    Edit("models/controls.yaml", "columns: [gtv.original_shape_MeshVolume]", "columns: [gtv.original_shape_MeshVolum]", "Did you mean gtv.original_shape_Mesh"),
    Edit("models/combined.yaml", "kind: components", "kind: component", r"Combined is of kind 'component'. Did you mean components\?"),
    Edit("features/radiomics.yaml", "Wavelet", "Wavelt", r"unknown image type Wavelt. Did you mean Wavelet\?"),
    Edit("features/radiomics.yaml", "binWidth", "binWidht", r"unknown setting binWidht. Did you mean binWidth\?"),
    Edit("features/rois.yaml", "margins_mm: [3, 6, 9]", "margins_mm: [3, 6, -9]", r"margins_mm is \[3, 6, -9\], not a list of positive numbers"),
    Edit("features/rois.yaml", "several: first", "several: frist", r"gtv.several is 'frist'. Did you mean first\?"),
    Edit("features/rois.yaml", "- 'gtv'\n", "- 'gtv('\n", r"'gtv\(' is not a regular expression"),
]  # fmt: skip


def meets(project: Path, said: str, file: str) -> None:
    """A command ends with the sentence, and doctor has it in a line of its own."""
    status, lines = told(["populate"])
    assert (status, len(lines)) == (1, 1), lines
    assert lines[0].startswith(f"Error: {file}") or file in lines[0]
    assert re.search(said, lines[0]), lines[0]
    assert str(project) not in lines[0], "no path of this machine"
    from penumbra.commands import doctor

    bad = [finding.found for finding in doctor.examine(None, "parameters") if not finding.ok]
    assert any(re.search(said, found) for found in bad), bad


@pytest.mark.parametrize("edit", EDITS, ids=[f"{row.file} {row.new}" for row in EDITS])
def test_a_typing_error_in_a_declaration_is_one_sentence_from_a_command_and_from_doctor(edit: Edit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broke: a traceback, or nothing was said, or it came hours later."""
    project = project_with(tmp_path, monkeypatch)
    monkeypatch.setenv("PENUMBRA_HOME", str(tmp_path / "home"))
    path = project / edit.file
    text = path.read_text(encoding="utf-8")
    assert edit.old in text
    path.write_text(text.replace(edit.old, edit.new, 1), encoding="utf-8")
    meets(project, rf"{re.escape(edit.file)}, line \d+: .*{edit.said}", edit.file)


def test_a_model_that_the_evaluation_needs_cannot_be_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broke: KeyError after the features were computed."""
    project = project_with(tmp_path, monkeypatch)
    monkeypatch.setenv("PENUMBRA_HOME", str(tmp_path / "home"))
    path = project / "models" / "controls.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("\nVolume:", "\nVolum:"), encoding="utf-8")
    meets(project, r"models/controls.yaml, line \d+: the model 'Volum' has nearly the name Volume, .* Call it Volume", "models/controls.yaml")


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "is empty. Restore the file from git"),
    "a list": (lambda path: path.write_text("- a\n"), "holds a list, not names with values"),
    "a text": (lambda path: path.write_text("a\n"), "holds a single value, not names with values"),
    "not UTF-8": (lambda path: path.write_bytes(path.read_bytes() + b"# caf\xe9\n"), r"line \d+: a byte \(0xe9\) that is not UTF-8 text"),
    "a zero byte": (lambda path: path.write_bytes(path.read_bytes() + b"\x00"), "a character that YAML does not allow"),
    "missing": (lambda path: path.unlink(), "there is no .* in the project. Restore the file from git"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "is a folder, not a file"),
}


@pytest.mark.parametrize("file", ["models/signatures.yaml", "features/rois.yaml"])
def test_a_file_that_is_none_is_one_sentence(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = project_with(tmp_path, monkeypatch)
    monkeypatch.setenv("PENUMBRA_HOME", str(tmp_path / "home"))
    kept = (project / file).read_bytes()
    for spoil, said in HOSTILE.values():
        spoil(project / file)
        meets(project, said, file)
        if (project / file).is_dir():
            (project / file).rmdir()
        (project / file).write_bytes(kept)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("models/paper.yaml", "harrell_c:", "harell_c:", r"models/paper.yaml, line \d+: unknown key metrics.Rad.harell_c. Did you mean harrell_c\?"),
        ("models/checklist.yaml", "question:", "qestion:", r"models/checklist.yaml, line \d+: unknown key .*qestion. Did you mean question\?"),
        (
            "models/learning.yaml",
            "network.se:",
            "network.sse:",
            r"models/learning.yaml, line \d+: .* changes network.sse, which is not a parameter. Did you mean",
        ),
        ("features/catalogue.csv", "feature,family", "feature,famly", r"features/catalogue.csv, line 1: not the columns"),
    ],
)
def test_what_only_the_report_reads_is_found_before_a_run(
    file: str, old: str, new: str, said: str, places: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broke: KeyError at the end of the run."""
    project = project_with(tmp_path, monkeypatch, lambda text: text.replace("train_centers: [north, maastro]", "train_centers: [north]"))
    monkeypatch.setenv("PENUMBRA_HOME", places["home"])
    path = project / file
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    status, lines = told(["run"])
    assert (status, len(lines)) == (1, 1), lines
    assert re.search(said, lines[0]), lines[0]


@pytest.mark.parametrize(
    ("centers", "said"),
    [
        ("[nroth]", r"params.yaml, line \d+: cohort.train_centers names 'nroth', .* Did you mean north\? Centers here: east, north, south"),
        ("[north, suoth]", r"cohort.train_centers names 'suoth', .* Did you mean south\?"),
        ("[maastro]", r"cohort.train_centers names 'maastro', and no center of this name has arrived. Centers here: east, north, south"),
    ],
)
def test_a_training_center_that_nobody_sent(centers: str, said: str, places: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broke: the model was fitted on fewer centers, and nobody told."""
    from penumbra.commands import doctor

    project_with(tmp_path, monkeypatch, lambda text: text.replace("train_centers: [north, maastro]", f"train_centers: {centers}"))
    monkeypatch.setenv("PENUMBRA_HOME", places["home"])
    status, lines = told(["run"])
    assert (status, len(lines)) == (1, 1), lines
    assert re.search(said, lines[0]), lines[0]
    assert [bool(re.search(said, finding.found)) for finding in doctor.examine(Path(places["home"]), "training centers")] == [True]


def test_a_training_center_of_another_cohort_is_no_mistake(places: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from penumbra.commands import doctor

    project_with(tmp_path, monkeypatch)
    assert [finding.ok for finding in doctor.examine(Path(places["home"]), "training centers")] == [True]


def test_a_byte_order_mark_and_line_ends_of_another_system_are_no_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = project_with(tmp_path, monkeypatch)
    plain = load_settings()
    for path in (project / "params.yaml", project / "features" / "rois.yaml"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert load_settings() == plain


def test_every_number_has_a_range_that_holds_it() -> None:
    for profile in ("quick", "paper", "best"):
        declared = resolve(read_yaml(project_root() / "params.yaml"), profile)
        network = resolve(read_yaml(project_root() / "models" / "se_resnet.yaml"), profile)["network"]
        declared["network"] |= network
        found = dict(ranges.numbers(declared))
        assert sorted(set(found) - set(ranges.RANGES) - set(ranges.OWN_RULES)) == [], "a number without a range in penumbra/base/ranges.py"
        ranges.check(declared)
    off = {key for key in ranges.RANGES if key not in found}
    nulls = {"cohort.inclusion.minimum_age", "fuse.stability.min_icc", "retrain.recalibrate_from", "stability.patients"}
    assert off == nulls, "null by default; every other range is one of a number that there is"


def test_no_lock_file_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broke: doctor ended with a traceback."""
    from penumbra.commands import doctor

    project = project_with(tmp_path, monkeypatch)
    (project / "requirements.lock").unlink()
    bad = [finding for finding in doctor.examine(None, "packages") if not finding.ok]
    assert [finding.what for finding in bad] == ["requirements.lock"]
    assert "set PENUMBRA_PROJECT to a whole checkout" in bad[0].found
    shutil.rmtree(project / "models")
    assert any("there is no models/" in finding.found for finding in doctor.examine(None, "parameters") if not finding.ok)
    for name, value, what in (("PENUMBRA_PROJECT", "/no/such", "project"), ("PENUMBRA_HOME", str(project / "params.yaml"), "state folder")):
        kept = os.environ.get(name)
        monkeypatch.setenv(name, value)
        assert [(finding.what, finding.ok) for finding in doctor.examine()] == [(what, False)]
        monkeypatch.setenv(name, kept) if kept else monkeypatch.delenv(name)
