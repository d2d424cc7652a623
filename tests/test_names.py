"""Values have nouns for names. A participle, an adverb or a metaphor says what happened to a value, not what it is, and a reader must look it up.

Read are the names that a program gives: of variables, arguments, attributes, functions and classes; not keys of stored JSON, columns, or texts.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from .english import ROOT

PARTICIPLES = frozenset(("found", "told", "kept", "said", "given", "taken", "left", "wanted", "needed", "known", "gone", "standing", "asked", "meant"))
OTHER_WORDS = frozenset(("beside", "who", "own", "again", "rest", "there", "why"))
METAPHORS = frozenset(("crew", "hire", "journal", "tied", "dealt"))
WHOLE = PARTICIPLES | OTHER_WORDS | METAPHORS  # refused as a whole name
WITHIN = frozenset(("found", "told", "kept", "beside", "said", "gone")) | METAPHORS  # and as one word of it: told_by_catalog
LIMITS = ("most_", "least_", "at_most", "at_least")  # max_, min_

CHECKED = (
    "survival",
    "radiomics",
    "imaging",
    "store",
    "network",
    "cohort",
    "bench",
    "fusion",
    "evaluate",
    "registry",
    "base",
    "retraining",
    "flows",
    "pipeline",
    "report",
    "commands",
    "cli",
)

# Where the name is not this project's to choose, or the field's own.
EXCEPTIONS = {
    "base/refusal.py Refusal.__init__.found": "becomes rejections.found of the store, next to rule and advice",
    "imaging/figures.py Finding.found": "becomes rejections.found of the store, next to rule and advice",
    "cohort/backwards.py Contradiction.found": "becomes rejections.found of the store, next to rule",
    "cohort/record.py Evidence.asked": "key of the record that is stored next to each scan",
    "fusion/selection.py BlockSelection.kept": "key of the JSON of registered versions",
    "pipeline/manifests.py IngestedCenter.found": "key of manifests/ingest.json",
    "pipeline/manifests.py IngestedCenter.kept": "key of manifests/ingest.json",
    "pipeline/manifests.py EvaluateManifest.kept": "key of manifests/evaluate.json",
    "pipeline/manifests.py PendingRegistration.known": "key of manifests/registering.json",
    "registry/noted.py AliasChange.who": "column of the relation alias_changes",
    "commands/dry_run.py Rehearsed.found": "the same name as in manifests/ingest.json, which a dry run foretells",
    "commands/doctor.py Finding.found": "the column found of penumbra doctor, and a key of its JSON",
    "commands/model_service/questions.py Refused.found": "key of the JSON that is answered, next to rule and advice",
    "commands/status_data.py Waiting.why": "key of the JSON of penumbra status",
    "commands/status_data.py Failure.why": "key of the JSON of penumbra status",
    "survival/concordance.py Concordance.tied_risk": "the field's term, as in scikit-survival's concordance_index_censored",
    "survival/concordance.py Concordance.tied_time": "the field's term, as in scikit-survival's concordance_index_censored",
    "survival/concordance.py Concordance.tied_both": "the field's term: R's survival counts tied.x, tied.y and tied.xy",
    "survival/outcome.py tied_times": "the field's term: times made equal before a risk set is formed",
}


def refused(name: str) -> bool:
    plain = name.strip("_").lower()
    return plain in WHOLE or bool(WITHIN & set(plain.split("_"))) or plain.startswith(LIMITS)


def named(tree: ast.AST, scope: str = "") -> Iterator[tuple[int, str]]:
    """Line and qualified name of everything that the program names."""
    for node in ast.iter_child_nodes(tree):
        inner = scope
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{scope}{node.name}."
            yield node.lineno, f"{scope}{node.name}"
        elif isinstance(node, ast.arg):
            yield node.lineno, f"{scope}{node.arg}"
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, f"{scope}{node.id}"
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, f"{scope}{node.attr}"
        elif (isinstance(node, ast.ExceptHandler) and node.name) or (isinstance(node, ast.MatchAs | ast.MatchStar) and node.name):
            yield node.lineno, f"{scope}{node.name}"
        yield from named(node, inner)


def refusals(source: str) -> list[tuple[int, str]]:
    return [(line, name) for line, name in named(ast.parse(source)) if refused(name.rpartition(".")[2])]


def modules() -> list[Path]:
    return sorted(path for package in CHECKED for path in (ROOT / "src" / "penumbra" / package).rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT / "src" / "penumbra").as_posix()


@pytest.mark.parametrize("path", modules(), ids=relative)
def test_names_are_nouns(path: Path) -> None:
    broken = [f"line {line}: {name}" for line, name in refusals(path.read_text(encoding="utf-8")) if f"{relative(path)} {name}" not in EXCEPTIONS]
    assert broken == [], "name what the value is: rows, matches, limits, expected, ..., and max_ or min_ for a limit"


def test_every_package_is_read() -> None:
    assert {relative(path).split("/")[0] for path in modules()} == set(CHECKED)  # penumbra.flows is a link to flows/


def test_every_exception_is_one() -> None:
    there = {f"{relative(path)} {name}" for path in modules() for _, name in refusals(path.read_text(encoding="utf-8"))}
    assert set(EXCEPTIONS) - there == set()


@pytest.mark.parametrize(
    "line",
    [
        "found = 1",
        "found: int = 1",
        "a, (b, known) = c",
        "for left in rows: pass",
        "[kept for kept in rows]",
        "if (given := 1): pass",
        "self._own = 1",
        "def f(wanted): pass",
        "def f(*, most_rows=1): pass",
        "lambda who: 1",
        "def told(): pass",
        "class Crew: pass",
        "MOST_ROWS = 5",
        "with f() as rest: pass",
        "told_by_catalog = 1",
        "try: pass\nexcept E as why: pass",
        "match a:\n    case [found]: pass",
    ],
)
def test_each_way_to_name_is_read(line: str) -> None:
    assert len(refusals(line)) == 1


@pytest.mark.parametrize("line", ["rows = found", "f(found=1)", "row['found'] = 1", "x.found", "import found", "left_out = 1", "outermost = 1", "max_rows = 1"])
def test_what_is_used_or_a_noun_is_not(line: str) -> None:
    assert refusals(line) == []
