"""One YAML file as a mapping, or one sentence that locates the error: file, line, key, value, and what to do."""

import copy
import os
import re
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penumbra.base.refusal import Refusal

if TYPE_CHECKING:
    import yaml

RULE = "parameters"  # a value, key or group that cannot be
READABLE = "yaml_readable"  # a file that cannot be read as YAML
MERGE_TAG = "tag:yaml.org,2002:merge"  # of the key `<<`
FOLDERS = ("features", "models")  # of a project, which belong to the name of a file
LONGEST = 60  # characters of a value in a sentence
RESTORE = "Restore the file from git"
CONFLICT = re.compile(r"^(<{7}|={7}|>{7}|\|{7})(\s|$)")


class ParamsError(Refusal, ValueError):
    """A parameter is unknown, missing, of the wrong type or out of its range, or its file cannot be read; the message names it.

    key  the parameter, such as "fuse.alpha"; "" where there is none.
    """

    key = ""

    def located(self, path: Path) -> "ParamsError":
        """The same error with the file and, where it is known, the line of its key."""
        line = line_of(path, self.key) if self.key else 0
        place = f"{name_of(path)}, line {line}: " if line else f"{name_of(path)}: "
        return ParamsError(self.rule, place + self.found, self.advice)


def wrong(key: str, fault: str, advice: str = "", rule: str = RULE) -> ParamsError:
    """The error for the parameter `key`, without its file: see `in_file`."""
    error = ParamsError(rule, fault, advice or f"Correct {key.partition('[')[0]}" if key else advice)
    error.key = key
    return error


@contextmanager
def in_file(path: Path) -> Iterator[None]:
    """An error in a parameter inside is reported with this file and its line."""
    try:
        yield
    except ParamsError as error:
        if not error.key:
            raise
        raise error.located(path) from None


def name_of(path: Path) -> str:
    """A file as its name, and of one of features/ and models/ with its folder: never a path of this machine."""
    return f"{path.parent.name}/{path.name}" if path.parent.name in FOLDERS else path.name


def shown(value: Any) -> str:
    """A value as written in YAML, cut off where it is long."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.10g}"
    text = f"[{', '.join(map(shown, value))}]" if isinstance(value, list | tuple) else repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in one YAML file, in which every key is there once: of two equal keys the parser would take the last and say nothing.

    Keys are equal when Python takes them for the same: alpha and "alpha", 1 and 1.0. A key that overrides one taken over with `<<` is not a duplicate.

    Raises
    ------
    ParamsError
        "yaml_readable": `params.yaml has the key fuse.pca_variance twice, on lines 87 and 88`, `params.yaml, line 12: a tab`, ...
    """
    return copy.deepcopy(_parsed(name_of(path), _text(path)))


@lru_cache(maxsize=32)
def _parsed(name: str, text: str) -> dict[str, Any]:
    """The mapping in a text: a program that runs for long asks for the same few files again and again, and parsing one takes 0.1 s and more."""
    import yaml

    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is not None:
            _require_single_keys(loader, root, name)
        content = None if root is None else loader.construct_document(root)
    except ParamsError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _unreadable(name, text, mark.line + 1 if mark is not None else 0, str(error.problem or error.context)) from None
    except yaml.reader.ReaderError as error:
        fault = f"{name}, line {text.count(chr(10), 0, error.position) + 1}: a character that YAML does not allow (#x{ord(str(error.character)):04x})"
        raise ParamsError(READABLE, fault, "Delete it") from None
    except (yaml.YAMLError, ValueError) as error:  # the second: a date such as 2026-13-45
        raise ParamsError(READABLE, f"{name} is not valid YAML: {str(error).splitlines()[0]}", RESTORE) from None
    except RecursionError:
        raise ParamsError(READABLE, f"{name} is not valid YAML: too deeply nested", RESTORE) from None
    if content is None:
        raise ParamsError(READABLE, f"{name} is empty", RESTORE)
    if not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else "a single value"
        raise ParamsError(READABLE, f"{name} holds {kind}, not names with values", "Write name: value, line by line, or restore the file from git")
    return content


def _text(path: Path) -> str:
    """The text of the file, without a byte order mark, whatever its line ends."""
    name = name_of(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise ParamsError(READABLE, f"there is no {name} in the project", RESTORE) from None
        if isinstance(error, IsADirectoryError):
            raise ParamsError(READABLE, f"{name} is a folder, not a file", f"Move it away, and {RESTORE[0].lower()}{RESTORE[1:]}") from None
        raise ParamsError(READABLE, f"{name} cannot be read ({os.strerror(error.errno or 0)})", "Make it readable for this user") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        fault = f"{name}, line {line}: a byte (0x{raw[error.start]:02x}) that is not UTF-8 text"
        raise ParamsError(READABLE, fault, "Save the file as UTF-8") from None
    for number, each in enumerate(text.splitlines(), 1):
        if CONFLICT.match(each):
            fault = f"{name}, line {number}: the mark {each[:7]} of a merge conflict"
            raise ParamsError(READABLE, fault, "Keep one of the two sides and delete the marks")
    return text


def _unreadable(name: str, text: str, line: int, problem: str) -> ParamsError:
    """What the parser says, in the words of who wrote the line."""
    lines = text.splitlines()
    written = lines[line - 1] if 0 < line <= len(lines) else ""
    if "\t" in written and ("'\\t'" in problem or "tab" in problem or not written.strip("\t ") or written[: len(written) - len(written.lstrip())].count("\t")):
        return ParamsError(READABLE, f"{name}, line {line}: a tab, with which YAML cannot indent", "Use spaces instead of the tab")
    advice = {
        "mapping values are not allowed here": "Indent it as the lines around it, or quote a text that holds a colon",
        "could not find expected ':'": "Write name: value, with a space after the colon",
    }.get(problem, "Compare the line, and the one above, with the lines around it: its indentation, brackets and quotation marks")
    problem = problem.replace("but found another document", "a second document begins")
    place = f"{name}, line {line}: " if line else f"{name}: "
    return ParamsError(READABLE, f"{place}not valid YAML: {problem.replace(chr(10), ' ')}", advice)


def line_of(path: Path, key: str) -> int:
    """The line of a key such as "fuse.alpha" or "Rad.blocks[1]", or of the deepest group on the way to it; 0 where there is none."""
    import yaml

    try:
        node = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except (OSError, ValueError, yaml.YAMLError):
        return 0
    line, remainder = 0, key
    while remainder:
        item = None
        if isinstance(node, yaml.MappingNode):
            names = [(each, value) for each, value in node.value if remainder == str(each.value) or remainder.startswith((f"{each.value}.", f"{each.value}["))]
            item = max(names, key=lambda pair: len(str(pair[0].value)), default=None)
            remainder = remainder[len(str(item[0].value)) :].lstrip(".") if item else ""
        elif isinstance(node, yaml.SequenceNode) and (place := re.match(r"\[?(\d+)\]?\.?", remainder)) and int(place[1]) < len(node.value):
            entry = node.value[int(place[1])]
            item, remainder = (entry, entry), remainder[place.end() :]
        if item is None:
            break
        line, node = item[0].start_mark.line + 1, item[1]
    return line


def _require_single_keys(loader: "yaml.SafeLoader", root: "yaml.Node", file: str) -> None:
    """Refuse two equal keys in a mapping at any depth; an anchored mapping is looked at once, where it is defined."""
    from yaml import MappingNode, Node, SequenceNode
    from yaml.constructor import ConstructorError

    seen: set[int] = set()

    def look(node: Node, where: tuple[str, ...]) -> None:
        if id(node) in seen:
            return
        seen.add(id(node))
        if isinstance(node, SequenceNode):
            for i, entry in enumerate(node.value):
                look(entry, (*where, str(i)))
        elif isinstance(node, MappingNode):
            lines: dict[Any, int] = {}
            for key, value in node.value:
                name = key.value if key.tag == MERGE_TAG else loader.construct_object(key, deep=True)
                line = key.start_mark.line + 1
                if not isinstance(name, Hashable):
                    raise ConstructorError(None, None, "a key that is a list or a mapping", key.start_mark)
                if name in lines:
                    lines_of_both = f"line {line}" if lines[name] == line else f"lines {lines[name]} and {line}"
                    fault = f"{file} has the key {'.'.join((*where, str(name)))} twice, on {lines_of_both}"
                    raise ParamsError(READABLE, fault, "Keep one of them")
                lines[name] = line
                look(value, (*where, str(name)))

    look(root, ())
