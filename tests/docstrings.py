"""The grammar of docstrings: numpydoc's validation of every exported name. `python -m tests.docstrings` is part of `make lint`.

Ruff reads every docstring of the project; this imports what users import, through each package's `__all__`, and asks more of it: the sections
of numpydoc, complete, with the shape of every array next to its name, and every exception that the function itself raises. Types are in the
annotations alone.
"""

import ast
import contextlib
import doctest
import inspect
import re
import sys
import textwrap
import warnings
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from numpydoc.docscrape import get_doc_object
from numpydoc.validate import Validator, validate

import penumbra

PACKAGES = ("survival", "radiomics", "imaging", "fusion", "store", "registry", "network", "cohort", "")  # "": penumbra itself
WITH_EXAMPLES = PACKAGES[:6]  # of these, every exported function has a runnable example
# numpydoc's checks, but for: an extended summary, a list of what to see also, a type (it is in the annotation), and the mood of a summary (a noun is fine).
ASKED = frozenset(
    [
        *("GL01", "GL02", "GL03", "GL05", "GL06", "GL07", "GL08", "GL10"),
        *("SS01", "SS02", "SS03", "SS04", "SS06"),
        *("PR01", "PR02", "PR03", "PR05", "PR07", "PR08", "PR09", "PR10"),
        *("RT01", "RT02", "RT03", "RT04", "RT05", "YD01"),
    ]
)
ARRAYS = re.compile(r"^(?!Callable).*\b(?:ArrayLike|ndarray|NDArray|Floats|Bools|Array)\b")
SHAPE = re.compile(r"\([^()]*\)|any shape")


def exported(package: str) -> Iterator[tuple[str, Any]]:
    """Dotted name and object of every function and class of a package's `__all__`, of the public functions of an exported module, and of public methods."""
    home = import_module(f"penumbra.{package}" if package else "penumbra")
    for name in getattr(home, "__all__", None) or [name for name, value in vars(home).items() if not (name.startswith("_") or inspect.ismodule(value))]:
        thing = getattr(home, name)
        if inspect.ismodule(thing):
            inside = [(part, value) for part, value in vars(thing).items() if getattr(value, "__module__", "") == thing.__name__ and not part.startswith("_")]
        else:
            inside = [("", thing)]
        for part, value in inside:
            dotted = ".".join(filter(None, (home.__name__, name, part)))
            if inspect.isclass(value):
                yield dotted, value
                yield from ((f"{dotted}.{member}", getattr(value, member)) for member in vars(value) if _is_method(value, member))
            elif inspect.isroutine(inspect.unwrap(value)):
                yield dotted, value


def _is_method(cls: type, name: str) -> bool:
    return not name.startswith("_") and isinstance(vars(cls)[name], property | cached_property | classmethod | staticmethod | type(_is_method))


def needs_example(name: str, thing: Any) -> bool:
    """Whether a thing is an exported function of a package that has examples, or of penumbra itself; classes and methods may have one."""
    _, package, *inside = name.split(".")
    if package in penumbra.__all__:
        return not inside and inspect.isroutine(inspect.unwrap(thing))
    return package in WITH_EXAMPLES and inspect.isroutine(inspect.unwrap(thing)) and (len(inside) == 1 or not inside[0][0].isupper())


def findings(name: str, thing: Any, *, example: bool) -> Iterator[str]:
    """What is wrong with the docstring of one exported thing, one sentence each.

    Parameters
    ----------
    name
        As users write it, for the sentences.
    thing
        A function, class, method or property.
    example
        Whether it needs one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an unknown section, which is a finding
        doc = get_doc_object(thing)
    for code, text in validate(doc)["errors"]:
        if code in ASKED or (code == "EX01" and example):
            yield f"{name}: {code} {text}"
    if not inspect.isfunction(inspect.unwrap(thing)):
        return
    described = {name.strip() for kind, of_kind, words in doc["Raises"] if words for name in (of_kind or kind).split(",")}
    yield from (f"{name}: raises {kind}, which Raises does not describe" for kind in sorted(_raised(thing) - described))
    annotations = {parameter.name: str(parameter.annotation) for parameter in inspect.signature(thing).parameters.values()}
    for parameter, (slot, _) in Validator(doc).doc_all_parameters.items():
        if ARRAYS.search(annotations.get(parameter, "")) and not SHAPE.search(slot):
            yield f"{name}: the array {parameter} has no shape: write it behind the colon, as in `{parameter} : shape (n,), days`"


def has_example(thing: Any) -> bool:
    """Whether a docstring shows code that runs."""
    return ">>>" in (thing.__doc__ or "")


def wrong_examples(name: str, thing: Any, folder: Path, namespace: dict[str, Any]) -> list[str]:
    """What doctest says of the examples of one docstring, where they do not show what they give.

    Parameters
    ----------
    name
        As users write it.
    thing
        A function, class, method or property.
    folder
        In which they run: they may read and write files.
    namespace
        Names that they need not import.
    """
    reported = list[str]()
    test = doctest.DocTestParser().get_doctest(inspect.getdoc(thing) or "", dict(namespace), name, None, None)
    with contextlib.chdir(folder):
        doctest.DocTestRunner(verbose=False).run(test, out=reported.append)
    return reported


def _raised(function: Any) -> set[str]:
    """The classes of what a function itself raises; what others raise for it is theirs to say, and its own to repeat where a user meets it."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = [node.exc.func for node in ast.walk(tree) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    return {call.id for call in calls if isinstance(call, ast.Name) and call.id[0].isupper()}


def all_findings() -> Iterator[str]:
    """What is wrong with the docstrings of all packages."""
    for package in PACKAGES:
        for name, thing in exported(package):
            yield from findings(name, thing, example=needs_example(name, thing))


def main() -> int:
    """Print every finding; the exit status says whether there was one."""
    found = list(all_findings())
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
