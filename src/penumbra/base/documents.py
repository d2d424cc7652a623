"""JSON documents as frozen dataclasses: what a program leaves for the next one is read by attribute.

A key is the field of its name, NaN is null, a tuple is a list. A key that no field has is passed over: another version of the program wrote it. A field
with a default may be missing: an earlier version did not write it. Standard library only, and little of it: `penumbra status` reads documents.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, Self

from penumbra.base.refusal import Refusal

LEFT_OUT = "left_out"
AS_THEY_ARE = (str, int, bool, type(None))
WORDS: Mapping[Any, str] = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", list: "a list", tuple: "a list"}


class DocumentError(ValueError):
    """A document that is not what it should be; the message is the place and what is wrong there."""


def left_out() -> Any:
    """The default of a field that is left out where it is None; every other None is null."""
    return dataclasses.field(default=None, metadata={LEFT_OUT: True})


class Document:
    """The base of a frozen dataclass that is a JSON object."""

    def to_json(self) -> dict[str, Any]:
        """As `json.dumps` takes it, keys in the order of the fields."""
        content: dict[str, Any] = _plain(self)
        return content

    @classmethod
    def from_json(cls, content: Any) -> Self:
        """What `to_json` gave, this version's or another's.

        Raises
        ------
        DocumentError
            "centers.east.found is missing", "centers.east is 3, not a group".
        """
        document: Self = _built(cls, content, "")
        return document


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in AS_THEY_ARE:
        return value
    if dataclasses.is_dataclass(kind):
        each = ((name, may_lack, getattr(value, name)) for name, may_lack in _written(kind))
        return {name: _plain(entry) for name, may_lack, entry in each if not (entry is None and may_lack)}
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@cache
def _written(kind: Any) -> tuple[tuple[str, bool], ...]:
    """Name of each field of a dataclass, and whether it is left out where it is None."""
    return tuple((field.name, bool(field.metadata.get(LEFT_OUT))) for field in dataclasses.fields(kind))


@cache
def _fields(kind: Any) -> tuple[tuple[str, Any, bool], ...]:
    """Name, type and whether it must be there, of each field of a dataclass."""
    hints = typing.get_type_hints(kind)
    missing = dataclasses.MISSING
    return tuple((field.name, hints[field.name], field.default is missing and field.default_factory is missing) for field in dataclasses.fields(kind))


def _built(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise _wrong(where, value, "a group")
    inside = f"{where}." if where else ""
    arguments = {}
    for name, annotation, required in _fields(kind):
        if name in value:
            arguments[name] = _read(value[name], annotation, f"{inside}{name}")
        elif required:
            raise DocumentError(f"{inside}{name} is missing")
    try:
        return kind(**arguments)
    except (ValueError, Refusal) as error:  # of a dataclass that checks its own values
        raise DocumentError(f"{where or 'it'} does not hold together: {error}") from None


def _read(value: Any, annotation: Any, where: str) -> Any:
    """`value` as a value of the type `annotation`."""
    if annotation is Any:
        return value
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _read(value, next(each for each in arguments if each is not type(None)), where)
    if dataclasses.is_dataclass(annotation):
        return _built(annotation, value, where)
    if origin is typing.Literal and value in arguments:
        return value
    if origin in (tuple, list) and isinstance(value, list):
        return origin(_read(entry, arguments[0], f"{where}[{i}]") for i, entry in enumerate(value))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        if isinstance(value, Mapping):
            return {key: _read(entry, arguments[1], f"{where}.{key}") for key, entry in value.items()}
        raise _wrong(where, value, "a group")
    if annotation is float:
        if value is None:
            return math.nan
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
    elif type(value) is annotation:
        return value
    raise _wrong(where, value, WORDS.get(origin or annotation, "one of its values"))


def _wrong(where: str, value: Any, expected: str) -> DocumentError:
    """Values are not shown: they may name a patient."""
    return DocumentError(f"{where or 'it'} is {_word(value)}, not {expected}")


def _word(value: Any) -> str:
    return "nothing" if value is None else "a group" if isinstance(value, Mapping) else WORDS.get(type(value), type(value).__name__)
