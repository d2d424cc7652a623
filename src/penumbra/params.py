"""params.yaml, features/ and models/ as frozen dataclasses: numbers enter here, once, and nowhere else.

Each room declares the dataclass of its own settings; `build` fills it from a group of a YAML file and refuses what does not fit. A value that
depends on the profile is written as a mapping with one entry per profile, `{paper: 100, quick: 12}`; `resolve` picks the profile's entry.
"""

import dataclasses
import os
import types
import typing
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

if typing.TYPE_CHECKING:
    import yaml
    from _typeshed import DataclassInstance

T = typing.TypeVar("T", bound="DataclassInstance")

PROFILES = ("quick", "paper", "best")
MERGE_TAG = "tag:yaml.org,2002:merge"  # of the key `<<`


class ParamsError(ValueError):
    """A parameter is unknown, missing or of the wrong type; the message names it."""


def project_root() -> Path:
    """The folder that holds params.yaml, features/ and models/: PENUMBRA_PROJECT, or the checkout that this package runs from."""
    chosen = os.environ.get("PENUMBRA_PROJECT")
    root = Path(chosen) if chosen else Path(__file__).resolve().parents[2]
    if not (root / "params.yaml").is_file():
        raise ParamsError(f"no params.yaml in {root}; set PENUMBRA_PROJECT to the folder of the penumbra checkout")
    return root


def state_home() -> Path:
    """The folder of all state (store, images, models, reports): PENUMBRA_HOME, by default `data` in the checkout."""
    chosen = os.environ.get("PENUMBRA_HOME")
    return Path(chosen).resolve() if chosen else project_root() / "data"


def catalog_uri() -> str | None:
    """Where the store's catalog is: PENUMBRA_CATALOG, postgresql://user@host:port/database; None: an SQLite file in the state folder.

    The password stands in PGPASSWORD or ~/.pgpass, as every client of PostgreSQL reads it.
    """
    return os.environ.get("PENUMBRA_CATALOG") or None


def files_uri() -> str | None:
    """Where the store's files are: PENUMBRA_FILES, s3://bucket/folder; None: a folder of the state folder.

    The key stands in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as every client of such storage reads it.
    """
    return os.environ.get("PENUMBRA_FILES") or None


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in one YAML file, in which every key is there once: of two equal keys the parser would take the last and say nothing.

    Keys are equal when Python takes them for the same: alpha and "alpha", 1 and 1.0. A key that overrides one taken over with `<<` is no second one.

    Raises ParamsError: `params.yaml has the key fuse.pca_variance twice, on lines 87 and 88; keep one of them`, `params.yaml is not valid YAML: ...`,
    or `params.yaml is not a mapping of names to values`.
    """
    import yaml

    try:
        with path.open(encoding="utf-8") as stream:
            loader = yaml.SafeLoader(stream)
            root = loader.get_single_node()
            if root is not None:
                _require_single_keys(loader, root, path.name)
            content = None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise ParamsError(f"{path.name} is not valid YAML: {error.problem}{place}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ParamsError(f"{path.name} is not valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise ParamsError(f"{path.name} is not a mapping of names to values")
    return content


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
                    raise ParamsError(f"{file} has the key {'.'.join((*where, str(name)))} twice, on {lines_of_both}; keep one of them")
                lines[name] = line
                look(value, (*where, str(name)))

    look(root, ())


def model_name() -> str:
    """The name in the registry that params.yaml gives (register.model): the model that is meant where none is named.

    Raises ParamsError when params.yaml gives none.
    """
    declared = read_yaml(project_root() / "params.yaml")
    group = resolve(declared.get("register"), str(declared.get("profile")))
    name = group.get("model") if isinstance(group, Mapping) else None
    if not isinstance(name, str):
        raise ParamsError("parameter register.model is missing in params.yaml" if name is None else f"register.model is {name!r}, which is not of type str")
    return name


def resolve(value: Any, profile: str) -> Any:
    """`value` with every mapping over the profiles replaced by the entry of `profile`, at any depth."""
    if isinstance(value, Mapping):
        if value and set(value) <= set(PROFILES):
            if profile not in value:
                raise ParamsError(f"no value for profile {profile!r} in {dict(value)}; give one for each of {', '.join(PROFILES)}")
            return resolve(value[profile], profile)
        return {key: resolve(entry, profile) for key, entry in value.items()}
    if isinstance(value, list):
        return [resolve(entry, profile) for entry in value]
    return value


def build(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """A frozen dataclass `cls` from the mapping `values`; `where` names the group in messages.

    Raises ParamsError: `unknown parameter train.epoch; known: batch_size, epochs, ...`, and likewise for a missing one or one of the wrong type.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ParamsError(f"unknown parameter {where}.{unknown[0]}; known: {', '.join(sorted(fields))}")
    missing = [
        name for name, field in fields.items() if name not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ParamsError(f"parameter {where}.{missing[0]} is missing")
    hints = typing.get_type_hints(cls)
    return cls(**{name: _convert(value, hints[name], f"{where}.{name}") for name, value in values.items()})


def _convert(value: Any, wanted: Any, where: str) -> Any:
    """`value` as the annotated type `wanted`, strictly: an int may become a float, a list a tuple, a mapping a dataclass, nothing else."""
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _convert(value, next(a for a in arguments if a is not type(None)), where)
    if dataclasses.is_dataclass(wanted) and isinstance(value, Mapping):
        return build(typing.cast(type, wanted), value, where)
    if origin is tuple and isinstance(value, list):
        element = [arguments[0]] * len(value) if arguments[1:] == (Ellipsis,) else list(arguments)
        if len(element) != len(value):
            raise ParamsError(f"{where} needs {len(element)} values, found {len(value)}: {value}")
        return tuple(_convert(entry, kind, f"{where}[{i}]") for i, (entry, kind) in enumerate(zip(value, element, strict=True)))
    if origin in (dict, Mapping, types.MappingProxyType) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        if isinstance(value, Mapping):
            return {key: _convert(entry, arguments[1], f"{where}.{key}") for key, entry in value.items()}
    elif origin is typing.Literal:
        if value in arguments:
            return value
        raise ParamsError(f"{where} is {value!r}; allowed: {', '.join(map(repr, arguments))}")
    elif wanted is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif wanted is typing.Any or (isinstance(wanted, type) and type(value) is wanted):
        return value
    raise ParamsError(f"{where} is {value!r}, which is not of type {getattr(wanted, '__name__', wanted)}")
