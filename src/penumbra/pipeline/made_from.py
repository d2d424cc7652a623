"""What every manifest of a stage says of its origin."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penumbra.base.documents import Document, left_out


@dataclass(frozen=True)
class Origin(Document):
    """What a manifest was made from: fingerprints of the data by name, the value of every parameter that decides it, and the profile."""

    data: Mapping[str, str]
    numbers: Mapping[str, Any]
    profile: str


@dataclass(frozen=True, kw_only=True)
class Manifest(Document):
    """made_from: None in a manifest of an earlier version, which did not write it."""

    made_from: Origin | None = left_out()
