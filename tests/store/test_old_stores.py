"""A store written once can always be opened: the kept ones, and one of every earlier schema."""

import contextlib
import json
import shutil
from pathlib import Path

import pytest

from penumbra import store
from penumbra.base.params import project_root
from penumbra.base.refusal import Refusal
from penumbra.bench.archives import unpack
from penumbra.store import session
from penumbra.store.lake import Lake, open_engine, open_for_writing

from .catalogs import Catalogs

pytestmark = pytest.mark.slow

KEPT = sorted((Path(__file__).parents[1] / "reference" / "store").glob("schema_*.tar.xz"))
# Columns that a later migration gave a relation: relation -> number of the migration -> names. A digest of earlier days is one without them.
LIMITS = tuple(f"{name}_{limit}" for name in ("log_risk", "survival_1y", "survival_2y", "survival_3y") for limit in ("lower", "upper"))
APPLICABILITY = tuple(f"applicability{suffix}" for suffix in ("", "_share", "_distance", "_columns", "_reason"))
SINCE = {"predictions": {11: ("limits", *LIMITS), 12: APPLICABILITY}}
SCHEMA = sorted((project_root() / "features" / "schema").glob("*.sql"))


def test_the_newest_schema_is_kept() -> None:
    assert KEPT[-1].name == f"schema_{len(SCHEMA):04d}.tar.xz"


@pytest.mark.parametrize("archive", KEPT, ids=lambda path: path.name.split(".")[0])
def test_a_kept_store_says_what_it_said(archive: Path, tmp_path: Path) -> None:
    home = unpack(archive, tmp_path / "home")
    with store.connect(home) as lake:
        told = json.loads(archive.with_name(archive.name.replace(".tar.xz", ".json")).read_text())
        number = int(archive.name[len("schema_") :][:4])
        later = {relation: [name for since, names in columns.items() if since > number for name in names] for relation, columns in SINCE.items()}
        assert {relation: store.digest(lake, relation, without=later.get(relation, ())) for relation in told} == told
        assert store.check(lake) == []
        commit = lake.newest_commit()
        assert store.read_matrix(lake, "radiomics", "gtv").values.shape == (3, 6)
        lake.write({"patients": [{"patient": "new", "center": "north"}]}, run="r", what="it can be written to")
    with store.connect(home, as_of=1) as earlier:
        assert next(row["age"] for row in earlier.rows("patients") if row["patient"] == "N000") == 60.0
    assert store.query(home, "SELECT count(*) AS n FROM patients", as_of=commit).to_pylist() == [{"n": 3}]


@pytest.mark.parametrize("number", range(1, len(SCHEMA)))
def test_migrated_from_every_earlier_schema(home: Path, catalogs: Catalogs, tmp_path: Path, number: int) -> None:
    early = tmp_path / "features" / "schema"
    early.mkdir(parents=True)
    for file in SCHEMA[:number]:
        shutil.copy(file, early)
    catalogs.begin(home)
    with contextlib.closing(open_engine()) as engine:
        open_for_writing(Lake(home), engine, early)
        engine.execute("INSERT INTO lake.patients (patient, center, age, commit_id) VALUES ('A', 'north', 61, 1)")
        engine.execute("INSERT INTO lake.commits VALUES (1, now(), 'r', 'early', 1, '{\"patients\":1}')")
    with store.connect(home, read_only=True) as lake:
        assert [row["patient"] for row in lake.rows("patients")] == ["A"], "a reader brings the store up to date by itself"
    with store.connect(home) as lake:
        assert [(row["patient"], row["age"]) for row in lake.rows("patients")] == [("A", 61.0)]
        assert lake.sql("SELECT number FROM lake.migrations ORDER BY number").column(0).to_pylist() == list(range(1, len(SCHEMA) + 1))
        assert store.check(lake) == []
        assert lake.write({"withdrawals": [{"withdrawal": "w", "state": "purged"}]}, run="r", what="the newest relation") == 2
    with pytest.raises(Refusal, match="schema_newer"):
        store.connect(home, schema_root=early.parent)


def test_a_score_of_an_earlier_store_belongs_to_the_model_that_had_its_version(tmp_path: Path) -> None:
    home, early = tmp_path / "home", tmp_path / "features" / "schema"
    early.mkdir(parents=True)
    for file in SCHEMA[:5]:
        shutil.copy(file, early)
    with contextlib.closing(open_engine()) as engine:
        open_for_writing(Lake(home, None), engine, early)
        for commit, model, version in ((1, "nsclc-os", "1"), (2, "nsclc-pfs", "2")):
            engine.execute("INSERT INTO lake.commits VALUES (?, now(), 'r', 'early', 1, '{}')", [commit])
            engine.execute("INSERT INTO lake.patients (patient, center, commit_id) VALUES (?, 'north', ?)", [f"P{commit}", commit])
            engine.execute("INSERT INTO lake.model_versions (model, version, commit_id) VALUES (?, ?, ?)", [model, version, commit])
            scored = "INSERT INTO lake.signatures (patient, center, signature, model_version, score, commit_id) VALUES (?, 'north', 's', ?, 0.5, ?)"
            engine.execute(scored, [f"P{commit}", version, commit])
    with store.connect(home) as lake:
        assert lake.sql("SELECT patient, model, model_version FROM signatures_all ORDER BY ALL").to_pylist() == [
            {"patient": "P1", "model": "nsclc-os", "model_version": "1"},
            {"patient": "P2", "model": "nsclc-pfs", "model_version": "2"},
        ]
        again = {"patient": "P1", "center": "north", "signature": "s", "model": "nsclc-os", "model_version": "1", "score": 0.5}
        assert lake.write({"signatures": [again]}, run="r", what="the same score") is None


def test_an_export_of_an_earlier_store_is_as_if_that_store_had_been_migrated(tmp_path: Path) -> None:
    """It was refused: rows have columns by now that the export does not know of."""
    archive = KEPT[0].with_name("export_0005.tar.xz")
    exported, migrated, home = unpack(archive, tmp_path / "exported"), unpack(archive.with_name("schema_0005.tar.xz"), tmp_path / "migrated"), tmp_path / "home"
    manifest = json.loads((exported / "manifest.json").read_text(encoding="utf-8"))
    with store.connect(home) as lake:
        assert store.import_store(lake, exported).digest == manifest["digest"]
        assert store.check(lake) == []
        again = store.export_store(lake, tmp_path / "again")
    with store.connect(migrated) as lake:
        assert store.export_store(lake, tmp_path / "migrated_export") == again
    file = exported / "patients.parquet"
    file.write_bytes(file.read_bytes()[:-1])
    with store.connect(tmp_path / "other") as lake, pytest.raises(Refusal, match="export_unchanged"):
        store.import_store(lake, exported)


def test_an_earlier_store_that_may_not_be_written_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = unpack(KEPT[0], tmp_path / "home")

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(session, "open_for_writing", refused)
    with pytest.raises(Refusal, match=rf"the store has schema 3 of {len(SCHEMA)} and cannot be migrated here.*\(rule schema_older\)"):
        store.connect(home, read_only=True)
