"""The reference of what Python code may import: one page per package, from signatures and docstrings in the sections of numpydoc."""

import inspect
import json
import re
from collections.abc import Iterator
from functools import cached_property
from importlib import import_module
from itertools import groupby
from typing import Any

from penumbra.cli.reference_text import cell, table

PACKAGES = ("", "survival", "radiomics", "imaging", "fusion", "store", "registry", "network", "cohort")
_SECTION = re.compile(r"^([A-Z][A-Za-z ]+)\n-{3,}\n", re.MULTILINE)
HEADS = {"Returns": ("type", "meaning"), "Yields": ("type", "meaning"), "Raises": ("error", "meaning")}
TABLES = ("Parameters", "Returns", "Yields", "Raises", "Attributes", "Other Parameters")


def pages() -> dict[str, str]:
    """Name of the page -> Markdown: an overview, and one page for each package that exports something."""
    packages = {package: dict(exported(package)) for package in PACKAGES}
    named = {package: names for package, names in packages.items() if names}
    return {
        "api.md": "\n".join(_overview(named)) + "\n",
        **{_file(package): "\n".join(_page(package, names)) + "\n" for package, names in named.items()},
    }


def exported(package: str) -> Iterator[tuple[str, Any]]:
    """Dotted name and object of every function and class that a package exports, of the functions of an exported module, and of public methods."""
    home = import_module(_dotted(package))
    public = getattr(home, "__all__", None)
    if public is None:
        public = [] if not package else [name for name, value in vars(home).items() if not (name.startswith("_") or inspect.ismodule(value))]
    for name in public:
        thing = getattr(home, name)
        if inspect.ismodule(thing):
            for part, value in vars(thing).items():
                if getattr(value, "__module__", "") == thing.__name__ and not part.startswith("_"):
                    yield from _with_methods(f"{home.__name__}.{name}.{part}", value)
        else:
            yield from _with_methods(f"{home.__name__}.{name}", thing)


def _with_methods(dotted: str, thing: Any) -> Iterator[tuple[str, Any]]:
    if inspect.isclass(thing):
        yield dotted, thing
        for member, value in vars(thing).items():
            method = isinstance(value, property | cached_property | classmethod | staticmethod) or inspect.isfunction(value)
            if method and not member.startswith("_"):
                yield f"{dotted}.{member}", getattr(thing, member)
    elif inspect.isroutine(inspect.unwrap(thing)):
        yield dotted, thing


def _dotted(package: str) -> str:
    return f"penumbra.{package}" if package else "penumbra"


def _file(package: str) -> str:
    return f"api_{package or 'penumbra'}.md"


def _overview(named: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield from ("# Python", "")
    yield "What Python code may import. Other modules are the program's own and change without notice. Importing a package costs little: names are"
    yield "loaded when they are first used."
    rows = []
    for package, names in named.items():
        about = (import_module(_dotted(package)).__doc__ or "").strip().splitlines()[0]
        tops = [name for name in names if name.removeprefix(f"{_dotted(package)}.").count(".") == 0]
        rows.append((f"[`{_dotted(package)}`]({_file(package)})", cell(about), str(len(tops))))
    yield from ("", *table(("package", "what it is for", "names"), rows))


def _page(package: str, names: dict[str, Any]) -> Iterator[str]:
    home = import_module(_dotted(package))
    yield from (f"# {home.__name__}", "", *_prose(inspect.cleandoc(home.__doc__ or "")))
    for dotted, thing in names.items():
        inner = dotted.removeprefix(f"{home.__name__}.")
        is_member = _is_member(dotted, names)
        yield from ("", f"{'###' if is_member else '##'} {inner} {{#{dotted}}}", "")
        yield from _entry(dotted, thing)


def _is_member(dotted: str, names: dict[str, Any]) -> bool:
    return inspect.isclass(names.get(dotted.rpartition(".")[0]))


def _entry(dotted: str, thing: Any) -> Iterator[str]:
    signature = _signature(thing)
    if signature is not None:
        yield from ("```python", f"{dotted.rpartition('.')[2]}{signature}", "```", "")
    first, *parts = _SECTION.split(inspect.cleandoc(_docstring(thing)))
    yield from _prose(first.strip())
    for title, body in zip(parts[::2], parts[1::2], strict=True):
        yield from ("", f"**{title}**", "")
        if title in TABLES:
            yield from table(HEADS.get(title, ("name", "meaning")), _items(body))
        elif title == "Examples":
            yield from ("```python", body.strip("\n"), "```")
        else:
            yield from _prose(body.strip())


def _docstring(thing: Any) -> str:
    target = thing.fget if isinstance(thing, property) else thing.func if isinstance(thing, cached_property) else thing
    return (inspect.getdoc(target) if not inspect.isclass(target) else target.__doc__) or ""


def _signature(thing: Any) -> str | None:
    if isinstance(thing, property | cached_property):
        return None
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return None
    plain = signature.replace(
        parameters=[one.replace(annotation=_annotation(one.annotation), default=_default(one.default)) for one in signature.parameters.values()],
        return_annotation=_annotation(signature.return_annotation),
    )
    shown = re.sub(r"\b(?:penumbra|numpy|collections\.abc|pathlib|typing|jaxtyping)(?:\.\w+)*\.(?=\w)", "", str(plain))
    if len(shown) <= 100:
        return shown
    return re.sub(r" at 0x[0-9a-f]+", "", "(\n    " + ",\n    ".join(_top_level(shown)) + _tail(shown))


class _Written(str):
    """A part of a signature as it is typed; `inspect` shows its repr."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _annotation(value: Any) -> Any:
    """A type, without the quotes around a name that is loaded later; the words of a Literal keep theirs."""
    if value is inspect.Parameter.empty:
        return value
    shown = value if isinstance(value, str) else inspect.formatannotation(value)
    return _Written(re.sub(r"Literal\[[^]]*\]|'", lambda part: part[0].replace("'", '"') if len(part[0]) > 1 else "", shown))


def _default(value: Any) -> Any:
    """As it is typed; "..." for an object that has no such form."""
    if value is inspect.Parameter.empty:
        return value
    if isinstance(value, str):
        return _Written(json.dumps(value, ensure_ascii=False))
    return _Written("...") if repr(value).startswith("<") else value


def _top_level(signature: str) -> list[str]:
    """The parameters of a signature, split at the commas that are within no bracket."""
    inside, depth, start = [], 0, 1
    for place, letter in enumerate(signature):
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 0 or (depth == 1 and letter == ","):
            inside.append(signature[start:place].strip())
            start = place + 1
            if depth == 0:
                break
    return [part for part in inside if part]


def _tail(signature: str) -> str:
    depth = 0
    for place, letter in enumerate(signature):
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 0:
            return ",\n" + signature[place:]
    return ",\n)"


def _items(body: str) -> Iterator[tuple[str, str]]:
    """(name, description) of a section of numpydoc: a line without indent, and the indented lines below it."""
    name, words = "", list[str]()
    for line in body.splitlines():
        if line and not line.startswith(" "):
            if name:
                yield _named(name), cell(" ".join(words))
            name, words = line.strip(), []
        else:
            words.append(line.strip())
    if name:
        yield _named(name), cell(" ".join(words))


def _named(name: str) -> str:
    """A parameter in type, and behind it what the docstring says of its shape and unit."""
    typed, _, kind = name.partition(" : ")
    return f"`{typed}` {cell(kind)}".strip().replace("|", "\\|") if kind else f"`{typed}`".replace("|", "\\|")


def _prose(text: str) -> Iterator[str]:
    """Lines of a docstring as Markdown; an indented block stays one, and what is typed at a prompt is a block of code."""
    for typed, lines in groupby(text.splitlines(), key=lambda line: line.startswith(">>> ")):
        if typed:
            yield from ("```python", *(line.removeprefix(">>> ").partition("  # doctest:")[0] for line in lines), "```")
        else:
            yield from (line.replace("<", "&lt;") if not line.startswith("    ") else line for line in lines)
