"""What defines the features that this program makes, and whether a registered version reads the same ones."""

from collections.abc import Iterable, Mapping
from typing import Any

from penumbra import radiomics, store
from penumbra.base.blocks import CLINICAL, DEEP
from penumbra.base.refusal import Refusal
from penumbra.cohort.rois import RoiRules, roi_rules
from penumbra.imaging.grid import GRID_VERSION
from penumbra.imaging.patient import READER_VERSION
from penumbra.network.inputs import INPUT_VERSION
from penumbra.registry import LoadedModel

FIRST = "1"  # of a version that was registered before these were recorded
WORDS = {"reader": "reads scans with reader", "grid": "resamples with grid", "network_input": "gives the network input"}


def radiomics_definition(settings: Mapping[str, Any], rois: Mapping[str, Any], grid_mm: float, engine: str) -> dict[str, Any]:
    """Everything that decides a radiomics value of this program, as `feature_versions` keeps it.

    Parameters
    ----------
    settings, rois
        The documents features/radiomics.yaml and features/rois.yaml.
    engine
        Its name in params.yaml.
    """
    return {
        "radiomics": dict(settings),
        "margins_mm": list(roi_rules(rois).margins_mm),
        "grid_mm": grid_mm,
        "engine": radiomics.engine_version(engine),
    }


def required_margins(rules: RoiRules, radiomics_settings: Mapping[str, Any], grid_mm: float) -> dict[str, float]:
    """What `to_grid` has to keep of the image.

    margin_mm is the outermost ring and the reach of the widest filter around it; periodic_mm the same for the wavelets alone.
    """
    ring = max(rules.margins_mm)
    return {
        "margin_mm": ring + radiomics.required_margin_mm(radiomics_settings, spacing_mm=grid_mm),
        "periodic_mm": ring + radiomics.periodic_margin_mm(radiomics_settings, spacing_mm=grid_mm),
    }


def image_versions() -> dict[str, str]:
    """Versions of the code between a file and a feature: how scans are read, how they are resampled, what the network sees."""
    return {"reader": READER_VERSION, "grid": GRID_VERSION, "network_input": INPUT_VERSION}


def require_same_features(loaded: LoadedModel, blocks: Iterable[str] | None = None) -> None:
    """Refuse to give a version features that this program defines in another way than the ones it was fitted on.

    Parameters
    ----------
    blocks
        Those that are about to be made (ROI or "deep"); None: every one that the version names.

    Raises
    ------
    Refusal
        "same_features" with both keys.
    """
    label = f"{loaded.entry.model}/{loaded.entry.version}"
    names = set(loaded.feature_versions) if blocks is None else set(blocks) - {CLINICAL}
    settings = loaded.settings
    today = store.version_key(radiomics_definition(settings["radiomics"], settings["rois"], settings["ingest"]["grid_mm"], settings["populate"]["engine"]))
    for block in sorted(names - {DEEP}):
        registered = loaded.feature_versions.get(block)
        if registered != today:
            raise _refusal(f"{label} reads features {registered} of {block}, this program makes {today}")
    current = image_versions()
    for part in current if DEEP in names else [name for name in current if name != "network_input"]:
        earlier = loaded.lineage.image_versions.get(part, FIRST)
        if earlier != current[part]:
            raise _refusal(f"{label} was fitted where the program {WORDS[part]} {earlier}, this program has {current[part]}")


def _refusal(fault: str) -> Refusal:
    return Refusal("same_features", fault, "use the program version that registered it, or register a version of today's program first: penumbra run")
