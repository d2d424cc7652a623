"""What retrainings decided, as their manifests have it."""

from pathlib import Path

from penumbra.pipeline import arrivals, manifests
from penumbra.pipeline.manifests import SET_ASIDE, DecisionManifest


def manifest_of(center: str) -> str:
    """Name of the manifest that a retraining of a center leaves."""
    return f"retrain-{center}"


def set_aside(home: Path) -> dict[str, str]:
    """Center in incoming/ -> why it is set aside."""
    decisions = (manifests.read(home, DecisionManifest, path.stem) for path in sorted((home / manifests.FOLDER).glob(f"{manifest_of('*')}.json")))
    incoming = home / arrivals.INCOMING
    return {decided.center: decided.reason for decided in decisions if decided.decision == SET_ASIDE and (incoming / decided.center).exists()}
