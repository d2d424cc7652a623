"""The reference of the manual, from the program itself: commands, relations, parameters, declarations and the names that Python code may import.

`make docs` calls it while it builds; nothing of it is kept in the repository. `pages` has every page as Markdown.
"""

import inspect
import re
import tempfile
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import click

from penumbra.base.params import project_root
from penumbra.cli import main, reference_api, sections
from penumbra.cli.reference_text import cell, slug, table

FOLDER = "reference"
MEASURED = "on the simulated cohort (3 centers, 136 patients), two cores of an AMD EPYC, 2026-11-26"


@dataclass(frozen=True)
class Parameter:
    """One number or choice of params.yaml or models/se_resnet.yaml.

    Parameters
    ----------
    name
        As `fuse.alpha`.
    value
        As the file has it.
    meaning
        Its comment: meaning, unit, source.
    allowed
        Its range or its words, in words; "" where any value of its kind will do.
    """

    name: str
    value: str
    meaning: str
    allowed: str


def pages() -> dict[str, str]:
    """Address below the manual -> Markdown, of every page of the reference."""
    return {
        f"{FOLDER}/commands.md": "\n".join(_commands()) + "\n",
        f"{FOLDER}/relations.md": "\n".join(_relations()) + "\n",
        f"{FOLDER}/params.md": "\n".join(_params()) + "\n",
        f"{FOLDER}/declarations.md": "\n".join(_declarations()) + "\n",
        **{f"{FOLDER}/{name}": page for name, page in reference_api.pages().items()},
    }


def _commands() -> Iterator[str]:
    yield from ("# Commands", "")
    yield "`penumbra COMMAND --help` prints the same in a terminal. `penumbra` alone is `penumbra status`. Every command ends with status 0, or with"
    yield "1 or 2 and one sentence that names a [rule](../rules.md)."
    yield f"Costs were measured {MEASURED}."
    listed = dict(sections.SECTIONS)
    others = [name for name in main.commands if sections.about(name) is None and not main.commands[name].hidden]
    for section, names in {**{title: list(about) for title, about in listed.items()}, sections.OTHERS: others}.items():
        named = [name for name in names if name in main.commands]
        if named:
            yield from ("", f"## {section}")
            for name in named:
                yield from _command(name, main.commands[name])


def _command(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=f"penumbra {name}", parent=None)
    yield from ("", f"### penumbra {name} {{#{name}}}", "")
    about = sections.about(name)
    if about is not None:
        yield from (about.says, "")
    yield from ("```text", " ".join(f"penumbra {name} {' '.join(command.collect_usage_pieces(context))}".split()), "```", "")
    yield from (line for line in inspect.cleandoc((command.help or "").replace("\b", "")).splitlines())
    rows = [_option(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
    if rows:
        yield from ("", *table(("argument or option", "meaning", "default"), rows))
    if about is not None:
        yield from ("", *table(("reads", "writes", "costs"), [(about.reads, about.writes, about.costs)]))
    example = (command.epilog or "").removeprefix("Example:").strip()
    if example:
        yield from ("", "Example:", "", "```console", example, "```")


def _option(parameter: click.Parameter) -> tuple[str, str, str]:
    kind = f" {'|'.join(map(str, parameter.type.choices))}" if isinstance(parameter.type, click.Choice) else ""
    if isinstance(parameter, click.Option):
        named = ", ".join(f"`{each}`" for each in (*parameter.opts, *parameter.secondary_opts))
        plain = not parameter.is_flag and parameter.default is not None and not callable(parameter.default) and "Sentinel" not in repr(parameter.default)
        default = f"`{parameter.default}`" if plain else ""
        kind = kind or ("" if parameter.is_flag else f" {parameter.type.name.upper()}")
        return f"{named} {cell(kind)}".strip(), cell(parameter.help or ""), default
    return f"`{parameter.human_readable_name}` {cell(kind)}".strip(), "required" if parameter.required else "optional", ""


def _relations() -> Iterator[str]:
    from penumbra import store
    from penumbra.store.meanings import meaning
    from penumbra.store.views import EVERY, relation_names

    names = relation_names(None)
    yield from ("# Relations", "")
    yield "What `penumbra sql` can query, column by column; `DESCRIBE patients` shows the same for one relation. Worked queries are in [Ask in"
    yield "SQL](../sql.md). A relation whose name ends in `_all` has the same columns and holds every definition of the features; the one without it"
    yield "holds the current definition. Times are UTC."
    with tempfile.TemporaryDirectory() as folder:
        with store.connect(folder):
            pass
        with store.connect(folder, read_only=True) as opened:
            for name in names:
                rows = opened.sql(f"DESCRIBE {name}").to_pylist()
                comments = opened.sql(f"SELECT column_name, comment FROM duckdb_columns() WHERE schema_name = 'main' AND table_name = '{name}'").to_pylist()  # noqa: S608
                says = {row["column_name"]: row["comment"] for row in comments}
                base = name.removesuffix(EVERY)
                yield from ("", f"## {name} {{#{slug(name)}}}", "")
                yield f"{cell(meaning(name))}{' (every definition)' if base != name else ''}."
                columns = [
                    (f"`{row['column_name']}`", f"`{row['column_type']}`", cell(says.get(row["column_name"]) or ""))
                    for row in rows
                    if not DEEP_FEATURE.fullmatch(row["column_name"])
                ]
                yield from ("", *table(("column", "type", "meaning"), columns))
                if base in WIDE:
                    yield from ("", WIDE[base])


DEEP_FEATURE = re.compile(r"deep_\d{3}")  # 512 columns that one line explains
WIDE = {
    "radiomics": "In a store with features, one further column for each of the 1316 features; `catalogue` says what each is.",
    "deep": "In a store with deep features, one further column for each of them: `deep_000` and so on.",
    "predictions": "Every day of `evaluate.horizons_days`, these three or others, has a row of its own in `prediction_horizons`.",
}


def parameters(root: Path | None = None) -> list[Parameter]:
    """Every parameter of params.yaml and models/se_resnet.yaml, with its meaning and what it may be.

    Parameters
    ----------
    root
        Folder of a project.
    """
    from penumbra.base.ranges import RANGES

    home = root or project_root()
    words = _words()
    rows = []
    for file in (home / "params.yaml", home / "models" / "se_resnet.yaml"):
        for name, value, comment in _commented(file.read_text(encoding="utf-8")):
            if value:
                limits = RANGES.get(name)
                rows.append(Parameter(name, value, comment, str(limits) if limits else words.get(name, "")))
    return rows


def _commented(text: str) -> Iterator[tuple[str, str, str]]:
    """(key, value, comment) of every line with a key; comments of the lines below that have nothing else belong to it."""
    entries: list[list[str]] = []
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        code, _, comment = _split(line)
        if not code.strip():
            if comment and entries and line.startswith(" "):
                entries[-1][2] = f"{entries[-1][2]} {comment}".strip()
            continue
        indent = len(code) - len(code.lstrip())
        key, _, value = code.strip().partition(":")
        while above and above[-1][0] >= indent:
            above.pop()
        above.append((indent, key))
        entries.append([".".join(part for _, part in above), value.strip(), comment])
    yield from ((name, value, comment) for name, value, comment in entries)


def _split(line: str) -> tuple[str, str, str]:
    """A line of YAML, its mark and its comment; a # within quotes or a word is none."""
    quote = ""
    for place, letter in enumerate(line):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter == "#" and (place == 0 or line[place - 1] == " "):
            return line[:place], "#", line[place + 1 :].strip()
    return line, "", ""


def _words() -> dict[str, str]:
    """Parameter -> the words that its dataclass allows, where it allows some."""
    from penumbra.pipeline import settings

    allowed: dict[str, str] = {}
    for group, kind in settings.GROUPS.items():
        allowed |= dict(_literals(group, kind))
    return allowed


def _literals(name: str, kind: Any) -> Iterator[tuple[str, str]]:
    hints = typing.get_type_hints(kind)
    for each in fields(kind):
        hint = hints[each.name]
        parts = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
        for part in parts:
            if typing.get_origin(part) is typing.Literal:
                yield f"{name}.{each.name}", " or ".join(f"`{word}`" for word in typing.get_args(part))
            elif part is bool:
                yield f"{name}.{each.name}", "`true` or `false`"
            elif is_dataclass(part):
                yield from _literals(f"{name}.{each.name}", part)


def _params() -> Iterator[str]:
    yield from ("# Parameters", "")
    yield "Every number of `params.yaml`, and of `models/se_resnet.yaml` (group `network`), as this project is delivered. `{paper: ..., quick: ...,"
    yield "best: ...}` depends on the profile."
    yield '"paper" in the meaning: the number is given in the paper; "ours": it is not. A value out of its range is refused with file, line and value'
    yield "(rule `parameters`)."
    groups: dict[str, list[Parameter]] = {}
    for parameter in parameters():
        groups.setdefault(parameter.name.split(".")[0], []).append(parameter)
    abouts = _group_comments()
    for group, rows in groups.items():
        yield from ("", f"## {group}", "")
        if abouts.get(group):
            yield from (cell(abouts[group]), "")
        yield from table(
            ("parameter", "value", "meaning, unit, source", "may be"),
            [(f'<a id="{row.name}"></a>`{row.name}`', f"`{row.value.replace('|', '/')}`", cell(row.meaning), cell(row.allowed)) for row in rows],
        )


def _group_comments() -> dict[str, str]:
    lines = _commented((project_root() / "params.yaml").read_text(encoding="utf-8"))
    return {name: comment for name, value, comment in lines if not value and "." not in name}


def _declarations() -> Iterator[str]:
    root = project_root()
    yield from ("# Declarations", "")
    yield "What a feature is (`features/`) and what a model is (`models/`), each file as it is delivered, with its own explanation."
    yield "[Change](../change.md) shows how to edit them."
    for folder, what in (("features", "Features"), ("models", "Models")):
        yield from ("", f"## {what}")
        for file in sorted((root / folder).glob("*.yaml")):
            yield from ("", f"### {folder}/{file.name} {{#{slug(file.name)}}}", "", "```yaml", file.read_text(encoding="utf-8").rstrip(), "```")
