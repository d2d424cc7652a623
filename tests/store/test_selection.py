"""Rows as a person chooses them: the statement with parameters, the statement written out and the command give the same rows."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from penumbra import store
from penumbra.base.refusal import Refusal
from penumbra.store import facets
from penumbra.store.columns import Relation, relations
from penumbra.store.in_memory import COMPUTED, computed
from penumbra.store.judging import JUDGE
from penumbra.store.selection import OPERATORS, Selection, condition, for_shell
from tests import example_home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("selection") / "home"
    example_home.fill_store(home)
    with store.connect(home) as lake:
        rows = [{"patient": f"Q{i:03d}", "center": 'O\'Hare "$x"' if i % 2 else "south", "age": 50.0 + i, "sex": None, "time": 9.0 * i} for i in range(120)]
        lake.write({"patients": rows}, run="test", what="patients")
    return home


@pytest.fixture(scope="module")
def lake(home: Path) -> Iterator[store.Store]:
    with store.connect(home, read_only=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def every(lake: store.Store) -> dict[str, Relation]:
    return relations(lake)


def selections(every: dict[str, Relation]) -> Iterator[Selection]:
    patients, commits = every["patients"], every["commits"]
    for name, value in (("age", "60.5"), ("center", 'O\'Hare "$x"'), ("event", "yes"), ("commit_id", "2"), ("center", "`ls` \\ ! ; --")):
        for operator in OPERATORS:
            yield Selection(patients, filters=(condition(patients, name, operator, value),), order=(("time", True),), limit=20, offset=3)
    yield Selection(patients, search="hare", columns=("center", "patient"))
    yield Selection(commits, filters=(condition(commits, "at", ">", "2020-01-01"), condition(commits, "relations", "contains", "patients")))


def test_parameters_text_and_command_give_the_same_rows(home: Path, lake: store.Store, every: dict[str, Relation]) -> None:
    counts = []
    for selection in selections(every):
        here = facets.rows(lake, selection)
        assert here.equals(lake.sql(selection.text)), selection.text
        program, verb, statement, *options = shlex.split(selection.command("champion"))
        assert (program, verb, statement, options) == ("penumbra", "sql", selection.text, ["--as-of", "champion"])
        counts.append(here.num_rows)
    assert max(counts) >= 20
    assert store.query(home, list(selections(every))[1].text).num_rows == 20


def test_every_relation_is_selected_as_it_stands_and_its_statement_passes_the_judge(lake: store.Store, every: dict[str, Relation]) -> None:
    """A name that is a word of the language has to be quoted."""
    for each in every.values():
        for columns in ((), tuple(each.by_name)[:150]):
            selection = Selection(each, columns, limit=5)
            JUDGE.ask(selection.text, every)
            assert facets.rows(lake, selection).column_names == list(selection.shown)
        assert each.comment


def test_pages_neither_repeat_nor_lose_a_row(lake: store.Store, every: dict[str, Relation]) -> None:
    """The order of one column leaves rows that are equal in it in no order."""
    whole = Selection(every["patients"], ("sex", "patient"), order=(("sex", False),))
    rows = facets.rows(lake, whole).to_pylist()
    parts = [facets.rows(lake, Selection(whole.relation, whole.columns, order=whole.order, limit=50, offset=at)).to_pylist() for at in (0, 50, 100)]
    assert [row for part in parts for row in part] == rows
    assert len({row["patient"] for row in rows}) == 122


def test_a_value_that_does_not_fit_is_refused_in_one_sentence(every: dict[str, Relation]) -> None:
    patients = every["patients"]
    for column, operator, value in (
        ("age", ">", "old"),
        ("age", "=", "nan"),
        ("age", "=", "1_0"),
        ("age", "=", "1e999"),
        ("event", "=", "maybe"),
        ("agee", "=", "1"),
        ("age", "; DROP", "1"),
        ("center", "=", "a\0b"),
        ("center", "=", "x" * 2000),
    ):
        with pytest.raises(Refusal) as refusal:
            condition(patients, column, operator, value)
        assert refusal.value.rule in ("filter", "column")
        assert "\n" not in str(refusal.value)
    with pytest.raises(Refusal, match="Did you mean age"):
        condition(patients, "agee", "=", "1")
    with pytest.raises(Refusal, match="is a day or a time"):
        condition(every["commits"], "at", "<", "yesterday")
    with pytest.raises(Refusal, match="holds lists"):
        condition(every["images"], "spacing", "=", "3")
    for wrong in ({"columns": ("nothing",)}, {"order": (("1; DROP TABLE x", False),)}, {"columns": ("age",), "search": "x"}):
        with pytest.raises(Refusal):
            Selection(patients, **wrong)  # type: ignore[arg-type]


def test_facets_are_the_few_values_of_text_and_the_rows_are_counted(lake: store.Store, every: dict[str, Relation]) -> None:
    patients = every["patients"]
    overview = facets.overview(lake, Selection(patients, filters=(condition(patients, "age", ">=", "50"),)), seconds=60)
    assert overview.rows == 122
    assert {facet.column: dict(facet.values) for facet in overview.facets} == {
        "center": {'O\'Hare "$x"': 60, "south": 60, "north": 2},
        "sex": {"female": 1, "male": 1},
    }


def test_what_takes_too_long_is_interrupted_and_refused(lake: store.Store) -> None:
    with pytest.raises(Refusal, match=r"this takes longer\. Narrow it") as refusal, facets.bounded(lake, 0.2, "this takes longer", "narrow it"):
        lake.sql("SELECT sum(a.range * b.range) FROM range(10_000_000) a, range(10_000_000) b")
    assert refusal.value.rule == "sql_timeout"
    assert lake.sql("SELECT count(*) FROM patients").column(0)[0].as_py() == 122  # the connection lives


def test_a_snapshot_answers_as_the_store_does(home: Path, lake: store.Store, every: dict[str, Relation]) -> None:
    assert set(every) >= COMPUTED
    for name in ("coverage", "feature_statistics"):
        selection = Selection(every[name], limit=7, order=((every[name].columns[0].name, True),))
        assert facets.rows(computed(home, name, None), selection).to_pylist() == facets.rows(lake, selection).to_pylist() != []


def test_a_statement_is_one_word_of_a_shell() -> None:
    for statement in ("FROM patients", "SELECT 'it''s' FROM x", 'SELECT "at" FROM commits', "SELECT '$(reboot)`x`\\ !' AS \"n\"", "a\nb"):
        assert shlex.split(for_shell(statement)) == [statement]
