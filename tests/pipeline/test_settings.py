"""params.yaml enters through frozen dataclasses that refuse what does not fit."""

import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from penumbra.base.params import ParamsError, build, project_root, read_yaml, resolve
from penumbra.commands import doctor
from penumbra.pipeline.settings import load_settings

from ..projects import project_with


@dataclass(frozen=True)
class Inner:
    low: float
    high: float


@dataclass(frozen=True)
class Group:
    epochs: int
    rate: float
    centers: tuple[str, ...]
    limits: Inner
    label: str | None = None


GOOD = {"epochs": 3, "rate": 1, "centers": ["north", "east"], "limits": {"low": 0, "high": 2.5}}


def test_a_group_becomes_a_dataclass_with_tuples_and_floats() -> None:
    group = build(Group, GOOD, "train")
    assert group == Group(3, 1.0, ("north", "east"), Inner(0.0, 2.5))
    assert isinstance(group.rate, float)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": 3}, "unknown parameter train.epoch. Did you mean epochs? Known: epochs, rate, centers, limits, label"),
        ({"epochs": "3"}, "train.epochs is '3', not a whole number. Write 3, without quotation marks"),
        ({"epochs": True}, "train.epochs is true, not a whole number"),
        ({"epochs": 3.5}, "train.epochs is 3.5, not a whole number"),
        ({"centers": "north"}, "train.centers is 'north'"),
        ({"limits": {"low": 0, "hihg": 1}}, "unknown parameter train.limits.hihg. Did you mean high? Known: low, high"),
        ({"limits": {"low": 0}}, "parameter train.limits.high is missing"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ParamsError) as error:
        build(Group, GOOD | change, "train")
    assert message in str(error.value)


def test_a_missing_parameter_is_named() -> None:
    with pytest.raises(ParamsError, match=r"parameter train\.rate is missing"):
        build(Group, {name: value for name, value in GOOD.items() if name != "rate"}, "train")


def test_profile_mappings_resolve_at_any_depth() -> None:
    values = {"epochs": {"paper": 100, "quick": 12}, "head": [{"paper": 512, "quick": 8}], "se": True}
    assert resolve(values, "paper") == {"epochs": 100, "head": [512], "se": True}
    assert resolve(values, "quick") == {"epochs": 12, "head": [8], "se": True}
    with pytest.raises(ParamsError, match="no value for profile 'paper'"):
        resolve({"epochs": {"quick": 12}}, "paper")


def test_the_project_s_own_params_are_found() -> None:
    assert read_yaml(project_root() / "params.yaml")["profile"] == "quick"


def test_the_zone_of_the_schedules_is_one_that_exists() -> None:
    """Schedules without a zone mean another hour on another machine."""
    from penumbra.pipeline.settings import Serve, load_settings

    values = asdict(load_settings().serve)
    assert values["timezone"] == "UTC"
    assert build(Serve, values | {"timezone": "Europe/Amsterdam"}, "serve").timezone == "Europe/Amsterdam"
    assert build(Serve, {name: value for name, value in values.items() if name != "timezone"}, "serve").timezone == "UTC"
    for wrong in ("Mars/Olympus", "", "../etc/passwd", "CEST+9x"):
        with pytest.raises(ParamsError, match=r"serve\.timezone is .* is not an IANA time zone\. Use a name such as"):
            build(Serve, values | {"timezone": wrong}, "serve")


COMPARE = "Compare the line, and the one above, with the lines around it: its indentation, brackets and quotation marks. (rule yaml_readable)"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "p.yaml has the key a twice, on lines 1 and 3. Keep one of them. (rule yaml_readable)"),
        ("a: 1\n'a': 1\n", "p.yaml has the key a twice, on lines 1 and 2. Keep one of them. (rule yaml_readable)"),
        ('a: 1\n"\\x61": 1\n', "p.yaml has the key a twice, on lines 1 and 2. Keep one of them. (rule yaml_readable)"),
        ("1: x\n1.0: y\n", "p.yaml has the key 1.0 twice, on lines 1 and 2. Keep one of them. (rule yaml_readable)"),
        ("fuse:\n  alpha: 1\n  folds: 2\n  alpha: 1\n", "p.yaml has the key fuse.alpha twice, on lines 2 and 4. Keep one of them. (rule yaml_readable)"),
        ("fuse: {alpha: 1, alpha: 1}\n", "p.yaml has the key fuse.alpha twice, on line 1. Keep one of them. (rule yaml_readable)"),
        ("fuse:\n  alpha: 1\nother: 2\nfuse:\n  beta: 1\n", "p.yaml has the key fuse twice, on lines 1 and 4. Keep one of them. (rule yaml_readable)"),
        ("rules:\n- {x: 1}\n- x: 1\n  x: 2\n", "p.yaml has the key rules.1.x twice, on lines 3 and 4. Keep one of them. (rule yaml_readable)"),
        ("base: &base\n  x: 1\n  x: 2\nsame: *base\n", "p.yaml has the key base.x twice, on lines 2 and 3. Keep one of them. (rule yaml_readable)"),
        ("a: &a {x: 1}\nb: &b {y: 1}\nc:\n  <<: *a\n  <<: *b\n", "p.yaml has the key c.<< twice, on lines 4 and 5. Keep one of them. (rule yaml_readable)"),
        ("a: &a {x: 1}\nb:\n  <<: *a\n  y: 1\n  y: 2\n", "p.yaml has the key b.y twice, on lines 4 and 5. Keep one of them. (rule yaml_readable)"),
        ("? [1, 2]\n: x\n", f"p.yaml, line 1: not valid YAML: a key that is a list or a mapping. {COMPARE}"),
        ("a: [1, 2\n", f"p.yaml, line 2: not valid YAML: expected ',' or ']', but got '<stream end>'. {COMPARE}"),
        ("a: 1\n---\nb: 2\n", f"p.yaml, line 2: not valid YAML: a second document begins. {COMPARE}"),
        ("- 1\n", "p.yaml holds a list, not names with values. Write name: value, line by line, or restore the file from git. (rule yaml_readable)"),
        ("", "p.yaml is empty. Restore the file from git. (rule yaml_readable)"),
    ],
)
def test_a_file_with_a_key_twice_or_that_is_no_yaml_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "p.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ParamsError) as error:
        read_yaml(tmp_path / "p.yaml")
    assert str(error.value) == said


def test_bytes_that_are_no_text_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_bytes(b"a: \xff\xfe\n")
    with pytest.raises(ParamsError, match=r"p\.yaml, line 1: a byte \(0xff\) that is not UTF-8 text\. Save the file as UTF-8"):
        read_yaml(tmp_path / "p.yaml")


def test_an_anchor_used_twice_and_an_override_of_a_merged_key_are_no_second_key(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("base: &base {x: 1, y: 2}\na:\n  <<: *base\n  y: 3\nb: *base\nc: {<<: [*base, {x: 5}]}\n", encoding="utf-8")
    assert read_yaml(tmp_path / "p.yaml") == {"base": {"x": 1, "y": 2}, "a": {"x": 1, "y": 3}, "b": {"x": 1, "y": 2}, "c": {"x": 1, "y": 2}}


@pytest.mark.parametrize(
    ("file", "line", "key"),
    [
        ("params.yaml", "  pca_variance: 0.95 ", "fuse.pca_variance"),
        ("features/radiomics.yaml", "imageType:", "imageType"),
        ("features/rois.yaml", "gtv:", "gtv"),
        ("models/signatures.yaml", "Rad:", "Rad"),
        ("models/combined.yaml", "Combined:", "Combined"),
        ("models/controls.yaml", "Volume:", "Volume"),
        ("models/se_resnet.yaml", "network:", "network"),
        ("models/paper.yaml", "metrics:", "metrics"),
        ("models/checklist.yaml", "TRIPOD+AI:", "TRIPOD+AI"),
        ("dvc.yaml", "stages:", "stages"),
    ],
)
def test_a_key_twice_in_any_file_of_the_project_is_found(file: str, line: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a merge leaves it: the same line again at the end of its group. Doctor names it; what reads the file refuses it."""
    project = project_with(tmp_path, monkeypatch)
    text = (project / file).read_text(encoding="utf-8")
    assert text.count(f"\n{line}") + text.startswith(line) == 1, "the line that is to be there once"
    at = text.index(line)
    again = "  pca_variance: 0.8\n" if key.startswith("fuse.") else ""
    (project / file).write_text(text[:at] + again + text[at:] if again else f"{text}\n{line} {{}}\n", encoding="utf-8")
    first = (text[:at] + again).count("\n") + 1
    bad = [finding for finding in doctor.examine(tmp_path / "home") if finding.what == file]
    assert len(bad) == 1
    assert (bad[0].ok, bad[0].found.split(" twice")[0]) == (False, f"{file} has the key {key}")
    assert f"lines {first - 1 if again else first} and" in bad[0].found
    if file.split("/")[-1] not in ("paper.yaml", "checklist.yaml", "dvc.yaml"):  # read by the report, and by DVC
        with pytest.raises(ParamsError, match="twice"):
            load_settings("quick")


def test_a_command_meets_a_key_twice_as_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = project_with(tmp_path, monkeypatch, params=lambda text: text + "\nfuse: {}\n")
    monkeypatch.setenv("PENUMBRA_HOME", str(tmp_path / "home"))
    done = subprocess.run([sys.executable, "-m", "penumbra.cli", "fuse"], capture_output=True, text=True, cwd=project)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip().startswith("Error: params.yaml has the key fuse twice, on lines ")
    assert len(done.stderr.strip().splitlines()) == 1


def test_margins_of_an_earlier_gate_are_refused_with_what_replaces_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A params.yaml from before the gate decided on intervals: its margins would be read by nothing."""
    project_with(tmp_path, monkeypatch, params=lambda text: text.replace("  gate:  ", "  margins:  "))
    place = r"params\.yaml, line \d+: "
    said = r"retrain\.margins in params\.yaml is not read any more, the gate decides on intervals\. Replace it with the group retrain\.gate\."
    with pytest.raises(ParamsError, match=f"^{place}{said}"):
        load_settings("quick")


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ("[730, 365, 1095]", "365 comes after 730. List the days in rising order, each of them once"),
        ("[365, 365]", "365 comes after 365"),
        ("[365, 365.25]", "365 and 365.25 are both called 1y. Keep one of them"),
        ("[-30, 365]", "it holds -30. Every horizon must be a positive, finite number of days"),
        ("[365, .nan]", "it holds nan"),
        ("[365, .inf]", "it holds inf"),
        ("[]", "it holds no day. Name at least one"),
        ("['365', '730']", "evaluate.horizons_days[0] is '365', not a number. Write 365.0, without quotation marks"),
        ("365", "evaluate.horizons_days is 365"),
    ],
)
def test_horizons_that_cannot_be_named_are_refused_when_the_settings_load(days: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unsorted, doubled or negative days were taken, and printed as 1, 2 and 3 years."""
    project_with(tmp_path, monkeypatch, lambda text: text.replace("horizons_days: [365, 730, 1095]", f"horizons_days: {days}"))
    with pytest.raises(ParamsError) as refused:
        load_settings("quick")
    assert said in str(refused.value)
    assert "evaluate.horizons_days" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_any_number_of_rising_horizons_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project_with(tmp_path, monkeypatch, lambda text: text.replace("horizons_days: [365, 730, 1095]", "horizons_days: [90, 182.5, 365, 1826]"))
    assert load_settings("quick").evaluate.horizons_days == (90.0, 182.5, 365.0, 1826.0)
    (tmp_path / "other").mkdir()
    project_with(tmp_path / "other", monkeypatch, lambda text: text.replace("horizon_days: 730.0", "horizon_days: 0.0"))
    with pytest.raises(ParamsError, match=r"drift\.horizon_days is 0: it holds 0"):
        load_settings("quick")
