"""The model card: one source for the report, the terminal, programs, and the schema of the Coalition for Health AI, of which every field is there."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from penumbra import registry, store
from penumbra.base.params import project_root, read_yaml
from penumbra.cli import main
from penumbra.commands.card import card
from penumbra.evaluate import MetricRow
from penumbra.pipeline import recording
from penumbra.pipeline.model_card import card_of, subgroups_of, whole_card
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work
from penumbra.registry.versions import quiet_mlflow
from penumbra.report.card import CardCenter, ModelCard, markdown
from penumbra.report.chai import applied_model_card
from penumbra.report.words import NOT_KNOWN

from ..registry.small_bundle import small_bundle

SCHEMA = json.loads((Path(__file__).parents[1] / "reference" / "chai" / "fields.json").read_text(encoding="utf-8"))
DECLARED = read_yaml(project_root() / "models" / "chai.yaml")
ROWS = (
    MetricRow("Combined", "north", "train", "harrell_c", 0.81, 0.75, 0.87, 40, 30),
    MetricRow("Combined", "north", "cross_fitted", "harrell_c", 0.7, 0.6, 0.8, 40, 30),
    MetricRow("Combined", "training", "cross_fitted", "harrell_c", 0.7, 0.6, 0.8, 40, 30),
    MetricRow("Combined", "east", "test", "harrell_c", 0.66, 0.58, 0.74, 36, 21),
    MetricRow("Combined", "east", "test", "calibration_slope", 0.9, 0.5, 1.3, 36, 21),
    MetricRow("Combined", "east", "test", "observed_expected_2y", 1.2, float("nan"), float("nan"), 36, 21),
    MetricRow("Volume", "east", "test", "harrell_c", 0.5, 0.4, 0.6, 36, 21),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Path:
    """Version 1 with its rows in the store, and a report that drew subgroups."""
    home = tmp_path_factory.mktemp("card") / "home"
    shutil.copytree(empty_registry, home)
    (home / "weights").write_bytes(b"weights")
    work = Work(home, load_settings("quick"), "test")
    people = [{"patient": f"N{i:03d}", "center": "north", "model": "nsclc-os", "split": "train"} for i in range(40)]
    with quiet_mlflow(), store.connect(home):
        rows = {"model_metrics": recording.metric_records("nsclc-os", "Combined", ROWS), "model_patients": people}
        recording.registered(work, lambda: registry.register(home, small_bundle(home / "weights", 0.5), ROWS), rows)
    folder = home / "reports" / "nsclc-os-1"
    folder.mkdir(parents=True)
    header = "set,split,subgroup,patients,deaths,too_few,day,c,c_lower,c_upper,observed_expected\n"
    (folder / "subgroup_measures.csv").write_text(
        f"{header}east,test,female,20,12,False,730,0.7,0.6,0.8,1.1\neast,test,male,3,1,True,730,,,,\nnorth,train,all,40,30,False,730,0.8,0.7,0.9,1\n"
    )
    return home


def leaves(element: ElementTree.Element, above: str = "") -> list[tuple[str, str]]:
    """Path without namespaces, and text, of every element that has no element below."""
    found = []
    for child in element:
        path = f"{above}{child.tag.removeprefix('{' + SCHEMA['namespace'] + '}')}"
        found += leaves(child, f"{path}/") if len(child) else [(path, child.text or "")]
    return found


def assert_valid(document: str) -> list[tuple[str, str]]:
    """What the schema asks: root and namespace, every field as often as it may be there, in its order, and none that it does not have."""
    root = ElementTree.fromstring(document)
    assert root.tag == f"{{{SCHEMA['namespace']}}}{SCHEMA['root']}"
    found = leaves(root)
    paths = [path for path, _ in found]
    order = [path for path, _, _ in SCHEMA["fields"]]
    assert set(paths) == set(order), "every field of the schema, the optional ones as well, and none invented"
    once = [path for path, _, most in SCHEMA["fields"] if most == 1]
    assert [path for path in paths if path in once] == once
    assert all(paths.count(path) == 1 for path in once)
    results = [path for path in paths if "MetricResult" in path]
    assert all(pair[0].endswith("Label") and pair[1].endswith("ValueJson") for pair in zip(results[::2], results[1::2], strict=True))
    firsts = list(dict.fromkeys(paths))
    assert firsts == order, "in the order of the schema's sequences"
    assert all(text.strip() for _, text in found), "nothing is left empty"
    return found


def test_the_declared_fields_are_those_of_the_schema() -> None:
    fields = [path.partition("/MetricResult")[0] for path, _, _ in SCHEMA["fields"]]
    assert list(DECLARED["fields"]) == list(dict.fromkeys(fields))
    assert DECLARED["namespace"] == SCHEMA["namespace"]


def test_chai_has_every_field_and_says_what_is_not_known(home: Path) -> None:
    found = assert_valid(card(home, "1", "chai"))
    texts: dict[str, list[str]] = {}
    for path, text in found:
        texts.setdefault(path, []).append(text)
    assert texts["BasicInfo/ModelName"] == ["nsclc-os version 1"]
    assert texts["BasicInfo/ModelDeveloper"] == [NOT_KNOWN]
    assert len(texts["ModelSummary/Keywords/Keyword"]) == 5
    use = "KeyMetrics/UsefulnessUsabilityEfficacy/Results/MetricResult"
    label = "C (Harrell), east, outside (n 36, died 21)"
    value = json.loads(texts[f"{use}/ValueJson"][texts[f"{use}/Label"].index(label)])
    assert (value["kind"], value["estimate"], value["lower"], value["upper"], value["level"]) == ("estimate_ci", 0.66, 0.58, 0.74, 95)
    assert texts["KeyMetrics/FairnessEquity/Results/MetricResult/Label"] == ["C (Harrell), east, female (n 20, died 12)"], "too few to say has no figure"
    safety = [json.loads(text) for text in texts["KeyMetrics/SafetyReliability/Results/MetricResult/ValueJson"]]
    assert {"kind": "single", "value": 1.2, "unit": ""} in safety


def test_a_card_of_which_nothing_is_known_is_valid_too() -> None:
    nothing = ModelCard("nsclc-os", 0, (), "", (), "", 0, "", "")
    found = dict(assert_valid(applied_model_card(nothing, DECLARED)))
    assert found["KeyMetrics/FairnessEquity/Results/MetricResult/Label"] == NOT_KNOWN
    assert found["UsesAndDirections/TargetedPatientPopulation"] == NOT_KNOWN
    assert markdown(nothing).count(f"{NOT_KNOWN}.") >= 4


def test_evidence_inside_comes_first_and_apparent_last(home: Path) -> None:
    shown = card_of(home, registry.find(home, "1"))
    assert [(row.split, row.center) for row in shown.evidence] == [("cross_fitted", "north"), ("test", "east"), ("train", "north")], "one center is its pool"
    assert shown.data == (CardCenter("north", "train", 40, 30), CardCenter("east", "test", 36, 21))
    assert [row.metric for row in shown.calibration] == ["calibration_slope", "observed_expected_2y"]
    text = card(home, "champion")
    assert text.index("inside, cross-fitted") < text.index("outside  ") < text.index("apparent")
    assert "0.660 (0.580 to 0.740)" in text


def test_stability_and_applicability_are_those_of_the_columns_that_the_version_reads(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "home")
    entry = registry.find(tmp_path / "home", "1")
    unmeasured = card_of(tmp_path / "home", entry)
    assert unmeasured.stability == (("Columns it reads", f"{NOT_KNOWN}: penumbra stability measures it"),)
    assert unmeasured.applicability[0][1].startswith(f"{NOT_KNOWN}: registered before versions knew whom they are for")
    version = registry.load(tmp_path / "home").feature_versions["gtv"]
    common = {"version": version, "roi": "gtv", "feature": "original_shape_MeshVolume", "patients": 9, "lower": 0.1, "upper": 1.0}
    with store.connect(tmp_path / "home") as lake:
        lake.write(
            {"feature_stability": [{**common, "perturbation": "noise", "icc": 0.99}, {**common, "perturbation": "mask", "icc": 0.7}]}, run="r", what="icc"
        )
    assert card_of(tmp_path / "home", entry).stability == (
        ("Columns it reads", "0 of 1 have an ICC of at least 0.75 under every perturbation; 0 not measured"),
    ), "the weakest perturbation counts"


def test_json_is_the_typed_card(home: Path) -> None:
    document: dict[str, Any] = json.loads(card(home, "nsclc-os/1", "json"))
    assert ModelCard.from_json(document).to_json() == document == whole_card(home, registry.find(home, "1")).to_json()
    assert document["calibration"][1]["lower"] is None
    assert {row["subgroup"] for row in document["subgroups"]} == {"female", "male"}, "apparent sets are left out"


def test_the_command(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENUMBRA_HOME", str(home))
    shown = CliRunner().invoke(main, ["card", "champion"])
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.startswith("# Model card: nsclc-os/1\n")
    assert "penumbra audit" in shown.stderr
    refused = CliRunner().invoke(main, ["card", "9"])
    assert refused.exit_code == 1
    assert "version_registered" in refused.output


def test_a_single_center_outside_is_listed_once(tmp_path: Path) -> None:
    """The report has subgroups of each center and of the pool: of one center the pool is the same patients again."""
    entry = SimpleNamespace(model="nsclc-os", version=1)
    folder = tmp_path / "reports" / "nsclc-os-1"
    folder.mkdir(parents=True)

    def listed(*sets: tuple[str, str]) -> list[str]:
        lines = ["set,split,subgroup,patients,deaths,c,c_lower,c_upper,observed_expected", *(f"{name},{split},all,9,5,0.6,0.5,0.7,1" for name, split in sets)]
        (folder / "subgroup_measures.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return [row.set for row in subgroups_of(tmp_path, entry)]  # type: ignore[arg-type]

    inside = ("training", "cross_fitted")
    assert listed(inside, ("north", "train"), ("east", "test"), ("external", "test")) == ["training", "east"]
    assert listed(inside, ("east", "test"), ("south", "test"), ("external", "test")) == ["training", "east", "south", "external"]
