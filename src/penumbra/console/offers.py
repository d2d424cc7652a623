"""What can be done about what a page shows: at its end a button for an editor where the console acts, else the command to type."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penumbra.console.kinds import KINDS, Kind, Target
from penumbra.pipeline import asides


@dataclass(frozen=True)
class Offer:
    """One action, on one target."""

    kind: Kind
    target: Target

    @property
    def label(self) -> str:
        return self.kind.label_of(self.target)

    @property
    def command(self) -> str:
        return self.kind.words(self.target)


def offers(home: Path, page: str, path: Mapping[str, Any], query: Mapping[str, str]) -> list[Offer]:
    """What a page offers, by its name and the parts of its address."""
    if page == "model":
        version = f"{query['model']}/{path['version']}" if query.get("model") else str(path["version"])
        return [Offer(KINDS["promote"], {"version": version}), Offer(KINDS["rollback"], {})]
    if page == "models":
        return [Offer(KINDS["rollback"], {})]
    if page in ("center", "decision"):
        target = {"center": str(path["center"])}
        if target["center"] in asides.of(home):
            return [Offer(KINDS["take-back"], target)]
        return [Offer(KINDS["retrain"], target), Offer(KINDS["set-aside"], target)]
    if page == "patient":
        return [Offer(KINDS["withdraw"], {"patient": str(path["patient"])} | ({"center": query["center"]} if query.get("center") else {}))]
    return []
