"""params.yaml, features/ and models/ as frozen dataclasses: numbers enter here, once, and nowhere else.

Each package declares the dataclass of its own settings; `build` fills it from a group of a YAML file and refuses what does not fit. A value that
depends on the profile is written as a mapping with one entry per profile, `{paper: 100, quick: 12}`; `resolve` picks the profile's entry.
The files themselves are read in penumbra.base.yaml_files.
"""

import dataclasses
import os
import types
import typing
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from penumbra.base import project
from penumbra.base.refusal import Refusal, choose
from penumbra.base.yaml_files import ParamsError, read_yaml, shown, wrong

if typing.TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = typing.TypeVar("T", bound="DataclassInstance")

MAX_LETTERS = 120  # of a path in a sentence
PROFILES = ("quick", "paper", "best")
# What a value has to be, in words.
KINDS: dict[type, str] = {float: "a number", int: "a whole number", bool: "true or false", str: "a text", tuple: "a list", dict: "a mapping of names to values"}

__all__ = ["PROFILES", "ParamsError", "build", "catalog_uri", "files_uri", "model_name", "project_root", "read_yaml", "resolve", "state_home"]


def project_root(home: Path | str | None = None) -> Path:
    """The folder that holds params.yaml, features/ and models/.

    The copy that DVC made for an experiment, where the current folder is in one; or PENUMBRA_PROJECT; or the project whose data/ the state folder is; or the
    project around the current folder; or the checkout that this package runs from; or the defaults in the package.

    Parameters
    ----------
    home
        The state folder; None: PENUMBRA_HOME, where it is set.

    Raises
    ------
    ParamsError
        "project_folder": PENUMBRA_PROJECT is not a folder, or not one of a project.
    """
    typed, experiment = os.environ.get("PENUMBRA_PROJECT"), project.experiment()
    if experiment is not None:
        return experiment.copy
    if not typed:
        state = home or os.environ.get("PENUMBRA_HOME")
        return (project.of_state(state) if state else None) or project.enclosing() or project.checkout() or project.DEFAULTS
    root = Path(typed)
    if not os.path.isfile(root / "params.yaml"):  # noqa: PTH113 Path.is_file raises for a folder that may not be read
        advice = "Set PENUMBRA_PROJECT to a folder that penumbra init made, or to the penumbra checkout, which has params.yaml, features/ and models/"
        missing = "there is no such folder" if not os.path.exists(root) else "which is a file" if not os.path.isdir(root) else "which has no params.yaml"  # noqa: PTH110, PTH112
        raise ParamsError("project_folder", f"PENUMBRA_PROJECT is {typed!r}, {missing}", advice)
    return root


def state_home() -> Path:
    """The folder of all state (store, images, models, reports): PENUMBRA_HOME, by default `data` in the project or the checkout.

    An experiment that DVC runs in a copy of the project works on the state of the project.

    Raises
    ------
    ParamsError
        "state_folder": what is there is not a folder, or cannot be read. "project_folder": PENUMBRA_HOME is not set, and there is no project here.
    """
    typed = os.environ.get("PENUMBRA_HOME")
    root = None if typed else project_root()
    if root == project.DEFAULTS:
        advice = "Run penumbra init FOLDER and work from there, or set PENUMBRA_HOME to the folder that keeps the state"
        raise ParamsError("project_folder", "this folder is not in a project", advice)
    experiment = project.experiment()
    home = Path(typed).resolve() if typed else (project_root() if experiment is None else experiment.project) / "data"
    named = f"PENUMBRA_HOME is {typed[:MAX_LETTERS]!r}" if typed else "the state folder is data/ in the project"
    advice = "Set PENUMBRA_HOME to a folder, which may be new"
    place = home
    while True:
        try:
            os.lstat(place)
            break
        except (FileNotFoundError, NotADirectoryError):
            place = place.parent
        except OSError as error:
            raise ParamsError("state_folder", f"{named}, which cannot be used ({os.strerror(error.errno or 0)})", advice) from None
    if not place.is_dir():
        what = "a file" if place == home else f"in {place.name}, which is a file"
        raise ParamsError("state_folder", f"{named}, {'which is ' if place == home else ''}{what}", advice)
    if not os.access(place, os.R_OK | os.X_OK):
        raise ParamsError("state_folder", f"{named}, which this user may not read", "Set PENUMBRA_HOME to a folder of yours, or ask for access")
    return home


def catalog_uri() -> str | None:
    """Where the store's catalog is: PENUMBRA_CATALOG, postgresql://user@host:port/database; None: an SQLite file in the state folder.

    The password is in PGPASSWORD or ~/.pgpass, as every client of PostgreSQL reads it.
    """
    return os.environ.get("PENUMBRA_CATALOG") or None


def files_uri() -> str | None:
    """Where the store's files are: PENUMBRA_FILES, s3://bucket/folder; None: a folder of the state folder.

    The key is in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as every client of such storage reads it.
    """
    return os.environ.get("PENUMBRA_FILES") or None


def model_name(home: Path | str | None = None) -> str:
    """The name in the registry that params.yaml gives (register.model): the model that is meant where none is named.

    Parameters
    ----------
    home
        The state folder, of `project_root`.

    Raises
    ------
    ParamsError
        When params.yaml gives none.
    """
    name = _declared("register", "model", home)
    if not isinstance(name, str):
        error = missing("register.model") if name is None else wrong("register.model", f"register.model is {shown(name)}, not a text")
        raise error.located(project_root(home) / "params.yaml")
    return name


def recalibrate_from(home: Path | str | None = None) -> int | None:
    """The deaths from which probabilities are fitted to a center, by params.yaml (retrain.recalibrate_from) of the state folder's project; None: never."""
    deaths = _declared("retrain", "recalibrate_from", home)
    return deaths if isinstance(deaths, int) else None


def _declared(group: str, name: str, home: Path | str | None) -> Any:
    """One value of params.yaml as it stands there, for a command that needs no other; None where there is none."""
    file = project_root(home) / "params.yaml"
    try:
        facts = file.stat()
        declared = _read_once(file, facts.st_mtime_ns, facts.st_size)
    except OSError:  # read_yaml has the sentence for it
        declared = read_yaml(file)
    values = resolve(declared.get(group), str(declared.get("profile")))
    return values.get(name) if isinstance(values, Mapping) else None


@lru_cache(maxsize=4)
def _read_once(file: Path, changed: int, size: int) -> Mapping[str, Any]:
    """A file of parameters, read again only when it has changed: a server asks for one value with every patient, and YAML takes 0.1 s."""
    return read_yaml(file)


def missing(key: str, advice: str = "") -> ParamsError:
    """The error for a parameter that is not there."""
    return wrong(key, f"parameter {key} is missing", advice or "Add it, or restore the file from git")


def resolve(value: Any, profile: str, where: str = "") -> Any:
    """`value` with every mapping over the profiles replaced by the entry of `profile`, at any depth.

    Parameters
    ----------
    where
        The key of `value`, for messages.
    """
    if isinstance(value, Mapping):
        if value and set(value) <= set(PROFILES):
            if profile not in value:
                fault = f"{where or 'a parameter'} has no value for profile {profile!r}, only for {' and '.join(value)}"
                raise wrong(where, fault, f"Give one for each of {', '.join(PROFILES)}, or one value for all")
            return resolve(value[profile], profile, where)
        return {key: resolve(entry, profile, f"{where}.{key}" if where else str(key)) for key, entry in value.items()}
    if isinstance(value, list):
        return [resolve(entry, profile, where) for entry in value]
    return value


def build(cls: type[T], values: Any, where: str) -> T:
    """A frozen dataclass `cls` from the mapping `values`; `where` names the group in messages.

    Raises
    ------
    ParamsError
        `unknown parameter train.epoch. Did you mean epochs?`, and likewise for a missing one or one of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise wrong(where, f"{where} is {shown(values)}, not a group of parameters", "Restore the group from git")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(str(name) for name in set(values) - set(fields))
    if unknown:
        raise wrong(f"{where}.{unknown[0]}", f"unknown parameter {where}.{unknown[0]}", choose(unknown[0], fields))
    lacking = [
        name for name, field in fields.items() if name not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if lacking:
        raise missing(f"{where}.{lacking[0]}")
    hints = typing.get_type_hints(cls)
    converted = {name: _convert(value, hints[name], f"{where}.{name}") for name, value in values.items()}
    try:
        return cls(**converted)
    except ParamsError as error:
        raise (error if error.key else wrong(where, error.found, error.advice, error.rule)) from None
    except Refusal as refusal:
        raise wrong(where, refusal.found, refusal.advice, refusal.rule) from None
    except ValueError as error:  # of a dataclass that checks its own values: "network.kernel is odd and positive; found 4. ..."
        rule, _, value = str(error).partition("; found ")
        key = rule.split(" ")[0]
        if not value or not key.startswith(f"{where}."):
            raise wrong(where, str(error), f"Correct the group {where}") from None
        raise wrong(key, f"{key} is {value.partition('. Correct')[0]}", f"Required: {rule}") from None


def _convert(value: Any, annotation: Any, where: str) -> Any:
    """`value` as a value of the type `annotation`, strictly: an int may become a float, a list a tuple, a mapping a dataclass, nothing else."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _convert(value, next(a for a in arguments if a is not type(None)), where)
    if dataclasses.is_dataclass(annotation):
        return build(typing.cast(type, annotation), value, where)
    if origin is tuple and isinstance(value, list):
        element = [arguments[0]] * len(value) if arguments[1:] == (Ellipsis,) else list(arguments)
        if len(element) != len(value):
            raise wrong(where, f"{where} needs {len(element)} values, found {len(value)}: {shown(value)}")
        return tuple(_convert(entry, kind, f"{where}[{i}]") for i, (entry, kind) in enumerate(zip(value, element, strict=True)))
    if origin in (dict, Mapping, types.MappingProxyType) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        if isinstance(value, Mapping):
            return {key: _convert(entry, arguments[1], f"{where}.{key}") for key, entry in value.items()}
    elif origin is typing.Literal:
        if type(value) in map(type, arguments) and value in arguments:
            return value
        raise wrong(where, f"{where} is {shown(value)}", choose(str(value), map(str, arguments), what="allowed"))
    elif annotation is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif annotation is typing.Any or (isinstance(annotation, type) and type(value) is annotation):
        return value
    raise wrong(where, f"{where} is {shown(value)}, not {KINDS.get(origin or annotation, str(annotation))}", _as_number(value, annotation))


def _as_number(value: Any, annotation: Any) -> str:
    """What to write instead of a text that looks like a number."""
    if annotation not in (int, float) or not isinstance(value, str):
        return ""
    try:
        number = float(value.replace(",", ".").removesuffix("%").strip())
    except ValueError:
        return "Write a number, without a unit"
    if value.strip().endswith("%"):
        return f"Write {number / 100 if number > 1 else number:g}, a share of 1"
    plain = f"{number:.0f}" if annotation is int else repr(number) if "e" not in repr(number) else f"{number:.1e}"
    return f"Write {plain}" + (": YAML takes a number with an exponent and no point for text" if "e" in value.lower() else ", without quotation marks")
