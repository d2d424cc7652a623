"""Who raises which rule: read from the syntax trees of the program itself, so that no list of them can become outdated."""

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
RAISING = frozenset(("Refusal", "Unusable", "ParamsError", "Finding", "Contradiction"))
RULE_LIKE = re.compile(r"[a-z]+(_[a-z0-9]+)*")


def sources() -> list[Path]:
    """Every module of the program, the flows with it."""
    folders = (PACKAGE, PACKAGE / "flows")  # the second may be a link, which rglob does not follow
    paths = {path for folder in folders for path in folder.rglob("*.py")}
    return sorted(path for path in paths if "bench" not in path.parts and path.name != "doctor.py")


@functools.cache
def raised() -> dict[str, list[str]]:
    """Rule -> the modules that raise it, such as penumbra.cohort.sheet."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sources()}
    constants = {_module(path): _constants(tree) for path, tree in trees.items()}
    takes = _takers(trees)
    rules: dict[str, set[str]] = defaultdict(set)
    for path, tree in trees.items():
        texts = {**constants[_module(path)], **_imported(tree, constants)}
        for name in _named(tree, texts, takes):
            rules[name].add(_module(path))
    return {name: sorted(modules) for name, modules in sorted(rules.items())}


def _module(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def _named(tree: ast.Module, texts: dict[str, str], takes: dict[str, int]) -> Iterator[str]:
    """Every rule that a module raises, or hands to a function that does."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        place = 0 if called in RAISING else takes.get(called)
        if place is None:
            continue
        argument = next((word.value for word in node.keywords if word.arg == "rule"), node.args[place] if len(node.args) > place else None)
        yield from _values(argument, texts)
        if called in RAISING and isinstance(argument, ast.Name) and argument.id not in texts:  # decided in the function, among the constants of the module
            yield from _local(tree, node)


def _values(argument: ast.expr | None, texts: dict[str, str]) -> Iterator[str]:
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and RULE_LIKE.fullmatch(argument.value):
        yield argument.value
    elif isinstance(argument, ast.Name) and argument.id in texts:
        yield texts[argument.id]
    elif isinstance(argument, ast.IfExp):
        yield from _values(argument.body, texts)
        yield from _values(argument.orelse, texts)


def _local(tree: ast.Module, call: ast.Call) -> Iterator[str]:
    """The rules that the variable of a call can hold: what the module's tables map to, where no parameter brings it from elsewhere."""
    function = next((node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and any(part is call for part in ast.walk(node))), None)
    if function is None or any(argument.arg == "rule" for argument in ast.walk(function.args) if isinstance(argument, ast.arg)):
        return
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            yield from (value.value for value in node.value.values if isinstance(value, ast.Constant) and isinstance(value.value, str))
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
            pairs = (pair.elts[0] for pair in node.value.elts if isinstance(pair, ast.Tuple) and pair.elts)
            yield from (first.value for first in pairs if isinstance(first, ast.Constant) and isinstance(first.value, str))


def _takers(trees: dict[Path, ast.Module]) -> dict[str, int]:
    """Functions that raise the rule which their parameter `rule` names -> the place of the parameter."""
    places = {}
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                names = [argument.arg for argument in node.args.args if argument.arg != "self"]
                if "rule" in names and any(isinstance(part, ast.Call) and getattr(part.func, "id", "") in RAISING for part in ast.walk(node)):
                    places[node.name] = names.index("rule")
    return places


def _constants(tree: ast.Module) -> dict[str, str]:
    """Names of a module's texts: RULE = "x", and RULE, ADVICE = "x", "y"."""
    texts = {}
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
        value = getattr(node, "value", None)
        names: list[ast.expr | None] = [target] if isinstance(target, ast.Name) else []
        values: list[ast.expr | None] = [value] if names else []
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            names, values = list(target.elts), list(value.elts)
        for name, text in zip(names, values, strict=False):
            if isinstance(name, ast.Name) and isinstance(text, ast.Constant) and isinstance(text.value, str) and RULE_LIKE.fullmatch(text.value):
                texts[name.id] = text.value
    return texts


def _imported(tree: ast.Module, constants: dict[str, dict[str, str]]) -> dict[str, str]:
    return {
        alias.asname or alias.name: constants[node.module][alias.name]
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module in constants
        for alias in node.names
        if alias.name in constants[node.module]
    }
