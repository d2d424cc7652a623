"""Tests use a module as its callers do: no test reaches a name that begins with an underscore in another module or object."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
PUBLIC = {"os._exit"}  # documented in spite of its name
PATCHING = {"setattr", "delattr", "getattr"}


def private(name: str) -> bool:
    last = name.rpartition(".")[2]
    return last.startswith("_") and not last.endswith("__") and last != "_"


def reached(source: str) -> Iterator[str]:
    """Each private name that the program takes from elsewhere, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names if private(alias.name)]
        elif isinstance(node, ast.Attribute) and private(node.attr):
            whole = ast.unparse(node)
            names = [] if whole in PUBLIC or whole.partition(".")[0] in ("self", "cls") else [whole]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in PATCHING:
            words = [argument.value for argument in node.args[:2] if isinstance(argument, ast.Constant) and isinstance(argument.value, str)]
            names = [word for word in words if private(word)]
        else:
            continue
        yield from (f"line {node.lineno}: {name}" for name in names)


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: path.relative_to(TESTS).as_posix())
def test_no_private_name_of_another_module(path: Path) -> None:
    assert list(reached(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("line", ["from penumbra.store import _lock", "store._lock(1)", "monkeypatch.setattr(store, '_lock', 1)", "setattr(store, '_lock', 1)"])
def test_each_way_is_seen(line: str) -> None:
    assert list(reached(line)) != []


@pytest.mark.parametrize("line", ["os._exit(7)", "self._lock = 1", "from .plain import lock", "store.__doc__", "monkeypatch.setattr(store, 'lock', 1)"])
def test_what_is_public_or_its_own_is_not(line: str) -> None:
    assert list(reached(line)) == []
