"""What somebody does in MLflow's pages to model, version, alias, tag, run, logged model and experiment: recognized through its database and through its
server, told in a sentence, recorded, and never repaired by a guess."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from penumbra import registry, store
from penumbra.base.refusal import Refusal
from penumbra.commands import doctor, monitor, sql
from penumbra.commands import models as models_command
from penumbra.commands import predict as predict_command
from penumbra.evaluate import MetricRow
from penumbra.pipeline import aliases
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work
from penumbra.registry import find, noted, outside, shelf, tracking_uri
from penumbra.registry.database import client, quiet_mlflow

from ..mlflow_server import serving
from ..registry.small_bundle import METRICS, small_bundle

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = pytest.mark.slow

MODEL = "nsclc-os"
LATER = MetricRow("Combined", "west", "test", "harrell_c", 0.66, 0.5, 0.8, 25, 15)


@dataclass
class Home:
    """A state folder with versions 1, 2 and 3, each of which became champion, and MLflow's client on it."""

    folder: Path
    work: Work

    @property
    def mlflow(self) -> "MlflowClient":
        return client(self.folder)

    def entry(self, version: int) -> registry.RegisteredVersion:
        return find(self.folder, version)

    def bundle(self, weight: float) -> registry.Bundle:
        return small_bundle(self.folder / "weights", weight)

    def recorded(self) -> "Recorded":
        with store.connect(self.folder, read_only=True) as lake:
            changes = [row for row in lake.rows("alias_changes") if row["alias"] == "champion"]
            versions = {int(row["version"]): row["alias"] for row in lake.rows("model_versions")}
            commits = lake.newest_commit()
        changes.sort(key=lambda row: (row["commit_id"], row["at"]))
        moves = [(row["version"], row["previous"], "outside" if row["who"] == "outside" else "penumbra") for row in changes]
        return Recorded(moves, versions, commits)

    def note(self) -> None:
        aliases.note(self.folder, MODEL, run="test")


@dataclass(frozen=True)
class Recorded:
    """What the store says: moves of the champion (version, previous, by whom), the aliases of each version, and how many commits there are."""

    moves: list[tuple[int | None, int | None, str]]
    versions: dict[int, str | None]
    commits: int


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    shutil.copytree(empty_registry, folder, dirs_exist_ok=True)
    (folder / "weights").write_bytes(b"weights")
    home = Home(folder, Work(folder, load_settings("quick"), "test"))
    for version, weight in enumerate((0.5, 0.6, 0.7), 1):
        registry.register(folder, home.bundle(weight), METRICS)
        aliases.set_alias(home.work, version, reason=f"better than {version - 1}")
    return folder


@pytest.fixture
def home(kept: Path, tmp_path: Path) -> Iterator[Home]:
    shutil.copytree(kept, tmp_path / "home")
    with quiet_mlflow():
        yield Home(tmp_path / "home", Work(tmp_path / "home", load_settings("quick"), "test"))


FIRST: list[tuple[int | None, int | None, str]] = [(1, None, "penumbra"), (2, 1, "penumbra"), (3, 2, "penumbra")]  # the moves of the kept home


def register_again(home: Home, name: str = MODEL) -> None:
    """The button "Register model" on the page of version 3's logged model."""
    register_logged(home, home.entry(3).model_id, name)


def register_logged(home: Home, model_id: str, name: str = MODEL) -> None:
    import mlflow

    mlflow.set_tracking_uri(tracking_uri(home.folder))
    mlflow.set_registry_uri(tracking_uri(home.folder))
    try:
        mlflow.register_model(f"models:/{model_id}", name)
    finally:  # of this process
        mlflow.set_tracking_uri("")
        mlflow.set_registry_uri("")


def collect_garbage(home: Home) -> None:
    """`mlflow gc`: what was deleted is deleted for good."""
    from click.testing import CliRunner
    from mlflow.cli import cli

    done = CliRunner().invoke(cli, ["gc", "--backend-store-uri", tracking_uri(home.folder), "--tracking-uri", tracking_uri(home.folder)])
    assert done.exit_code == 0, done.output


def experiment(home: Home) -> str:
    found = home.mlflow.get_experiment_by_name(MODEL)
    assert found is not None
    return str(found.experiment_id)


def twice(home: Home, do: str, undo: str, *arguments: str) -> None:
    getattr(home.mlflow, do)(*arguments)
    getattr(home.mlflow, undo)(*arguments)


HARMLESS: dict[str, Callable[[Home], object]] = {
    "version described": lambda home: home.mlflow.update_model_version(MODEL, "3", "from the tumor board"),
    "version tagged": lambda home: home.mlflow.set_model_version_tag(MODEL, "3", "note", "looked at"),
    "its tag removed": lambda home: home.mlflow.delete_model_version_tag(MODEL, "3", "note"),
    "another alias": lambda home: home.mlflow.set_registered_model_alias(MODEL, "production", "2"),
    "another alias removed": lambda home: home.mlflow.delete_registered_model_alias(MODEL, "production"),
    "stage": lambda home: home.mlflow.transition_model_version_stage(MODEL, "2", "Production", archive_existing_versions=True),
    "model described": lambda home: home.mlflow.update_registered_model(MODEL, "of the clinic"),
    "model tagged": lambda home: home.mlflow.set_registered_model_tag(MODEL, "owner", "physics"),
    "model's tag removed": lambda home: home.mlflow.delete_registered_model_tag(MODEL, "owner"),
    "model renamed and named back": lambda home: [home.mlflow.rename_registered_model(*names) for names in ((MODEL, "other"), ("other", MODEL))],
    "another model": lambda home: home.mlflow.create_registered_model("another"),
    "registered under another name": lambda home: register_again(home, "another"),
    "copied to another name": lambda home: home.mlflow.copy_model_version(f"models:/{MODEL}/3", "production"),
    "another model deleted": lambda home: home.mlflow.delete_registered_model("another"),
    "run tagged and renamed": lambda home: [home.mlflow.set_tag(home.entry(3).run_id, "note", "x"), home.mlflow.update_run(home.entry(3).run_id, name="x")],
    "run deleted and restored": lambda home: twice(home, "delete_run", "restore_run", home.entry(2).run_id),
    "somebody's run": lambda home: home.mlflow.create_run(experiment(home)),
    "logged model tagged": lambda home: home.mlflow.set_logged_model_tags(home.entry(3).model_id, {"note": "x"}),
    "logged model's tag of penumbra removed": lambda home: home.mlflow.delete_logged_model_tag(home.entry(3).model_id, "digest"),
    "experiment renamed and named back": lambda home: (
        [home.mlflow.rename_experiment(experiment(home), name) for name in (MODEL + "x",)]
        and home.mlflow.rename_experiment(str(home.mlflow.get_experiment_by_name(MODEL + "x").experiment_id), MODEL)
    ),  # type: ignore[union-attr]
    "experiment tagged": lambda home: home.mlflow.set_experiment_tag(experiment(home), "owner", "physics"),
    "experiment deleted and restored": lambda home: twice(home, "delete_experiment", "restore_experiment", experiment(home)),
    "another experiment": lambda home: home.mlflow.create_experiment("another"),
}


@pytest.mark.filterwarnings("ignore:.*transition_model_version_stage:FutureWarning")
def test_what_does_not_concern_penumbra_changes_nothing(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    before = [(entry.version, entry.digest) for entry in shelf(home.folder).versions]
    for name, act in HARMLESS.items():
        act(home)
        found = shelf(home.folder)
        assert [(entry.version, entry.digest) for entry in found.versions] == before, name
        assert (found.foreign, found.deleted, found.altered, find(home.folder).version) == ((), (), {}, 3), name
        assert outside(home.folder).sentences == (), name
    with serving(home.folder):
        assert [(entry.version, entry.digest) for entry in shelf(home.folder).versions] == before
        assert (find(home.folder).version, outside(home.folder).sentences) == (3, ())
    home.note()
    assert home.recorded().moves == FIRST
    assert registry.register(home.folder, home.bundle(0.7), [*METRICS, LATER]).version == 3
    assert registry.logged_metrics(home.folder, home.entry(3))["harrell_c/west"] == 0.66
    assert registry.register(home.folder, home.bundle(0.8)).version == 4
    assert home.mlflow.search_runs([experiment(home)], "attributes.status = 'RUNNING'"), "somebody's run is not penumbra's to end"
    assert "outside" not in capfd.readouterr().err


@dataclass(frozen=True)
class Case:
    """What somebody did, and what is right after it.

    versions, foreign   numbers that are penumbra's, and others.
    champion   None: find("champion") is refused by `rule`.
    sentence   reported at every entry point, as a pattern; "" for none.
    move       the row that is recorded: version, previous.
    deleted    numbers marked as deleted in model_versions.
    fresh      what registering a new model gives: a number, or the rule that refuses it; None: as in another case, not tried again.
    """

    act: Callable[[Home], object]
    versions: tuple[int, ...] = (1, 2, 3)
    foreign: tuple[int, ...] = ()
    champion: int | None = 3
    rule: str = ""
    sentence: str = ""
    move: tuple[int | None, int] | None = None
    deleted: tuple[int, ...] = ()
    fresh: int | str | None = None
    altered: dict[int, tuple[str, ...]] = field(default_factory=dict)


def foreign_champion(home: Home) -> None:
    register_again(home)
    home.mlflow.set_registered_model_alias(MODEL, "champion", "4")


def made_anew(home: Home) -> None:
    model_id = home.entry(3).model_id
    home.mlflow.delete_registered_model(MODEL)
    register_logged(home, model_id)


TAGS = ("digest", "model_id", "train_centers", "store_commit", "store_digest", "code_commit")
NONSENSE = {"digest": "0" * 64, "train_centers": "everything", "store_commit": "seven", "model_id": "../../elsewhere"}
LOST = r'no version of nsclc-os is champion: the last was 3, {}; penumbra promote {} --reason "..." .*'

CASES = {
    "champion's alias deleted": Case(
        lambda home: home.mlflow.delete_registered_model_alias(MODEL, "champion"),
        champion=None,
        rule="champion_there",
        sentence=LOST.format("and its alias was removed outside penumbra", "3"),
        move=(None, 3),
        fresh=4,
    ),
    "champion's alias moved": Case(
        lambda home: home.mlflow.set_registered_model_alias(MODEL, "champion", "1"),
        champion=1,
        sentence=r"the alias champion of nsclc-os was moved outside penumbra, from 3 to 1; penumbra promote 3 .* penumbra promote 1 .* confirms it",
        move=(1, 3),
    ),
    "champion deleted": Case(
        lambda home: home.mlflow.delete_model_version(MODEL, "3"),
        versions=(1, 2),
        champion=None,
        rule="champion_there",
        sentence=LOST.format("which was deleted outside penumbra", r"VERSION") + r"\(there are 1, 2\)",
        move=(None, 3),
        deleted=(3,),
        fresh=4,
    ),
    "another version deleted": Case(
        lambda home: home.mlflow.delete_model_version(MODEL, "1"),
        versions=(2, 3),
        sentence="version 1 of nsclc-os was deleted outside penumbra; what the store has of it stays",
        deleted=(1,),
    ),
    "Register model": Case(register_again, foreign=(4,), fresh=5),
    "Register model, and made champion": Case(
        foreign_champion,
        foreign=(4,),
        champion=None,
        rule="registered_by_penumbra",
        sentence="champion of nsclc-os is version 4, which was made in MLflow and not registered by penumbra; penumbra promote 3 .*",
        move=(4, 3),
    ),
    "version copied": Case(lambda home: home.mlflow.copy_model_version(f"models:/{MODEL}/3", MODEL), foreign=(4,)),
    "all tags of penumbra removed": Case(
        lambda home: [home.mlflow.delete_model_version_tag(MODEL, version, tag) for version in ("1", "3") for tag in TAGS], altered={1: TAGS, 3: TAGS}
    ),
    "tags of penumbra changed": Case(
        lambda home: [home.mlflow.set_model_version_tag(MODEL, "3", tag, value) for tag, value in NONSENSE.items()],
        altered={3: ("digest", "model_id", "train_centers", "store_commit")},
    ),
    "registered model renamed": Case(
        lambda home: home.mlflow.rename_registered_model(MODEL, "other"),
        versions=(),
        champion=None,
        rule="model_kept",
        sentence="the registered model nsclc-os was renamed to other outside penumbra; name it nsclc-os again in MLflow",
        move=(None, 3),
        fresh="model_kept",
    ),
    "registered model deleted": Case(
        lambda home: home.mlflow.delete_registered_model(MODEL),
        versions=(),
        champion=None,
        rule="model_kept",
        sentence=r"the registered model nsclc-os was deleted outside penumbra, and the store knows its versions \(1, 2, 3\); bring mlflow/ back .*",
        move=(None, 3),
        deleted=(1, 2, 3),
        fresh="model_kept",
    ),
    "registered model deleted and recreated": Case(
        made_anew,
        versions=(),
        foreign=(1,),
        champion=None,
        rule="champion_there",
        sentence=LOST.format("which was deleted outside penumbra", "VERSION"),
        move=(None, 3),
        deleted=(1, 2, 3),
        fresh="model_kept",
    ),
    "run deleted": Case(lambda home: home.mlflow.delete_run(home.entry(3).run_id)),
    "run deleted for good": Case(lambda home: [home.mlflow.delete_run(home.entry(3).run_id), collect_garbage(home)]),
    "logged model deleted": Case(lambda home: home.mlflow.delete_logged_model(home.entry(3).model_id)),
    "logged model deleted for good": Case(lambda home: [home.mlflow.delete_logged_model(home.entry(3).model_id), collect_garbage(home)]),
    "experiment deleted": Case(lambda home: home.mlflow.delete_experiment(experiment(home)), fresh="experiment_there"),
    "experiment deleted for good": Case(lambda home: [home.mlflow.delete_experiment(experiment(home)), collect_garbage(home)], fresh=4),
    "experiment renamed": Case(lambda home: home.mlflow.rename_experiment(experiment(home), "other"), fresh=4),
}


@pytest.mark.parametrize("name", CASES)
def test_every_button(home: Home, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    case = CASES[name]
    case.act(home)
    lost = 3 not in case.versions

    def look() -> tuple[str, ...]:
        found = shelf(home.folder)
        assert tuple(entry.version for entry in found.versions) == case.versions
        assert tuple(entry.version for entry in found.foreign) == case.foreign
        assert found.altered == case.altered
        assert {entry.train_centers for entry in found.versions} <= {("north",)}
        if case.champion is None:
            with pytest.raises(Refusal) as refused:
                find(home.folder)
            assert refused.value.rule == case.rule
            with pytest.raises(Refusal, match=case.rule):
                predict_command.predict(home.folder, home.folder)
        else:
            assert find(home.folder).version == case.champion
        for number in case.foreign:
            with pytest.raises(Refusal, match=rf"nsclc-os/{number} was made in MLflow.*\(rule registered_by_penumbra\)"):
                find(home.folder, number)
        return outside(home.folder).sentences

    sentences = look()
    with serving(home.folder):
        assert look() == sentences
    assert bool(sentences) == bool(case.sentence)
    if case.sentence:
        assert re.fullmatch(case.sentence, sentences[0])
    findings = doctor.examine(home.folder, "registry")
    assert [finding.found for finding in findings if finding.found in sentences] == list(sentences)
    if case.versions:
        listed = models_command.models(home.folder)
        assert all(f"{number}: not registered by penumbra" in listed for number in case.foreign)

    home.note()
    told = capfd.readouterr().err
    assert all(sentence in told for sentence in sentences)
    recorded = home.recorded()
    assert recorded.moves == [*FIRST, *([(*case.move, "outside")] if case.move else [])]
    renamed = name == "registered model renamed"  # its versions are not deleted, they are elsewhere
    assert [number for number, alias in recorded.versions.items() if alias == "champion"] == ([case.champion] if case.champion else [3] if renamed else [])
    assert tuple(number for number, alias in sorted(recorded.versions.items()) if alias == "deleted") == case.deleted
    home.note()
    assert home.recorded().commits == recorded.commits, "what is recorded is not recorded again"

    again = None if lost else registry.register(home.folder, home.bundle(0.7), [*METRICS, LATER])
    assert again is None or (again.version, shelf(home.folder).altered) == (3, {})
    if isinstance(case.fresh, str):
        with pytest.raises(Refusal, match=case.fresh):
            registry.register(home.folder, home.bundle(0.8), METRICS)
    elif case.fresh:
        assert registry.register(home.folder, home.bundle(0.8), METRICS).version == case.fresh
    assert shelf(home.folder).aliases.get("champion") == (case.foreign[-1] if case.rule == "registered_by_penumbra" else case.champion), "no alias is guessed"
    if again is not None:
        assert registry.load(home.folder, 3).model == home.bundle(0.7).models["Combined"]


def test_rollback_goes_to_what_was_champion_before_by_the_record(home: Home) -> None:
    home.mlflow.set_registered_model_alias(MODEL, "champion", "1")  # a click: 3 -> 1
    assert aliases.rollback(home.work, reason="undo").version == 3
    home.mlflow.delete_registered_model_alias(MODEL, "champion")
    assert aliases.rollback(home.work, reason="lost").version == 3
    home.mlflow.delete_model_version(MODEL, "3")
    assert aliases.rollback(home.work, reason="deleted").version == 1
    assert aliases.rollback(home.work, reason="and back").version == 2
    after = [(1, 3, "outside"), (3, 1, "penumbra"), (None, 3, "outside"), (3, None, "penumbra"), (None, 3, "outside"), (1, None, "penumbra")]
    assert home.recorded().moves == [*FIRST, *after, (2, 1, "penumbra")]
    home.mlflow.delete_model_version(MODEL, "1")
    with pytest.raises(Refusal, match=r"nsclc-os never had another champion.*\(rule earlier_champion\)"):
        aliases.rollback(home.work, reason="none left")


def test_a_champion_moved_outside_is_confirmed_by_promoting_it(home: Home) -> None:
    home.mlflow.set_registered_model_alias(MODEL, "champion", "1")
    assert len(outside(home.folder).sentences) == 1
    aliases.set_alias(home.work, 1, reason="agreed")
    assert home.recorded().moves == [*FIRST, (1, 3, "outside"), (1, 1, "penumbra")]
    assert outside(home.folder).sentences == ()
    aliases.set_alias(home.work, 1, reason="agreed again")
    assert len(home.recorded().moves) == 5


def test_a_move_of_penumbras_own_that_the_store_lacks_is_not_outside(home: Home) -> None:
    """A call that was killed between MLflow and the store, or Python that calls registry.promote."""
    registry.promote(home.folder, 2, reason="from Python")
    assert outside(home.folder).sentences == ()
    home.note()
    assert home.recorded().moves == [*FIRST, (2, 3, "penumbra")]
    left = noted.read(home.folder, MODEL)
    never = registry.AliasChange(MODEL, "champion", 1, 2, None, "killed before MLflow had it", "somebody", home.entry(3).created_at)
    noted.write(home.folder, MODEL, noted.Noted(left.state, left.stamp, (never,)))
    assert outside(home.folder).sentences == ()
    home.note()
    assert home.recorded().moves == [*FIRST, (2, 3, "penumbra")]


def test_sql_shows_what_mlflow_has_now(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    home.note()
    commits = home.recorded().commits
    sql.note_changes(home.folder)
    assert home.recorded().commits == commits
    home.mlflow.delete_model_version(MODEL, "3")
    sql.note_changes(home.folder)
    found = store.query(home.folder, "SELECT version, alias FROM model_versions ORDER BY version").to_pylist()
    assert [(row["version"], row["alias"]) for row in found] == [("1", None), ("2", None), ("3", "deleted")]
    assert "the last was 3, which was deleted outside penumbra" in capfd.readouterr().err
    assert store.commit_of(home.folder, "nsclc-os/3") == 7
    with pytest.raises(Refusal, match="version_registered"):
        store.commit_of(home.folder, "nsclc-os/deleted")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"nsclc-os": 3}', '{"nsclc-os": {"pending": [{"at": "noon"}]}}'])
def test_a_note_that_cannot_be_read_is_none(home: Home, text: str) -> None:
    (home.folder / "mlflow" / "noted.json").write_text(text)
    assert noted.read(home.folder, MODEL) == noted.Noted()
    sql.note_changes(home.folder)
    assert outside(home.folder).sentences == ()
    assert find(home.folder).version == 3


def test_a_home_from_before_this_was_noted_knows_its_champion_by_the_store(home: Home) -> None:
    (home.folder / "mlflow" / "noted.json").unlink()
    home.mlflow.delete_registered_model_alias(MODEL, "champion")
    with pytest.raises(Refusal, match=r".* the last was 3.*\(rule champion_there\)"):
        find(home.folder)
    assert registry.register(home.folder, home.bundle(0.7)).aliases == ()
    home.note()
    assert home.recorded().moves == [*FIRST, (None, 3, "outside")]


def test_a_deleted_version_is_named_as_such_and_ends_no_monitoring(home: Home, capfd: pytest.CaptureFixture[str]) -> None:
    person = {"patient": "W001", "center": "west"}
    with store.connect(home.folder) as lake:
        lake.write({"predictions": [{**person, "model": MODEL, "version": "1", "log_risk": 0.1, "risk_group": "low"}]}, run="test", what="scored")
        lake.write({"centers": [{"center": "west"}], "patients": [{**person, "time": 300.0, "event": True}]}, run="test", what="the outcome")
    home.mlflow.delete_model_version(MODEL, "1")
    with pytest.raises(Refusal, match=r"nsclc-os/1 was deleted outside penumbra\. Registered: 2, 3 \(champion\).*\(rule version_registered\)"):
        find(home.folder, "nsclc-os/1")
    assert monitor.monitor(home.work) == []
    assert "nsclc-os/1 was deleted outside penumbra" in capfd.readouterr().err
