"""What retrainings decided, as their manifests have it."""

from pathlib import Path
from typing import Final

from penumbra.pipeline import arrivals
from penumbra.pipeline.workspace import read_manifest

SET_ASIDE: Final = "set aside"  # the decision on a center whose retraining was killed too often


def manifest_of(center: str) -> str:
    """Name of the manifest that a retraining of a center leaves."""
    return f"retrain-{center}"


def set_aside(home: Path) -> dict[str, str]:
    """Center in incoming/ -> why it is set aside."""
    decided_so = (read_manifest(home, path.stem) for path in sorted((home / "manifests").glob(f"{manifest_of('*')}.json")))
    there = home / arrivals.INCOMING
    return {content["center"]: content["reason"] for content in decided_so if content["decision"] == SET_ASIDE and (there / content["center"]).exists()}
