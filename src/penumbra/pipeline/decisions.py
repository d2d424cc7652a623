"""What retrainings decided, as their manifests have it."""

from collections.abc import Iterator
from pathlib import Path

from penumbra.pipeline import arrivals, asides, manifests
from penumbra.pipeline.manifests import PROPOSED, SET_ASIDE, DecisionManifest

PAGE = "index.html"


def manifest_of(center: str) -> str:
    """Name of the manifest that a retraining of a center leaves."""
    return f"retrain-{center}"


def page_of(center: str) -> str:
    """The path of the page of a center's retraining below the state folder."""
    return f"reports/retrain-{center}/{PAGE}"


def set_aside(home: Path) -> dict[str, str]:
    """Center in incoming/ -> why it is set aside."""
    incoming, decisions = home / arrivals.INCOMING, (manifests.read(home, DecisionManifest, name) for name in _names(home))
    killed = {decided.center: decided.reason for decided in decisions if decided.decision == SET_ASIDE and (incoming / decided.center).exists()}
    return killed | {center: aside.sentence for center, aside in asides.of(home).items()}


def proposals(home: Path) -> list[DecisionManifest]:
    """The decisions that propose a champion and were not closed yet; one that cannot be read keeps no other from being closed."""
    return [decided for decided in all_of(home) if decided.decision == PROPOSED]


def all_of(home: Path) -> list[DecisionManifest]:
    """Every decision that can be read, in the order of the centers' names."""
    decisions = (manifests.earlier(home, DecisionManifest, name) for name in _names(home))
    return [decided for decided in decisions if decided is not None]


def _names(home: Path) -> Iterator[str]:
    return (path.stem for path in sorted((home / manifests.FOLDER).glob(f"{manifest_of('*')}.json")))
