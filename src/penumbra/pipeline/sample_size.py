"""Gathers what the training patients can carry: who they are, what each declared model tries, and the C seen inside."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from penumbra import fusion, radiomics, store
from penumbra.base.blocks import DEEP, GTV, rois_of
from penumbra.cohort import roi_rules
from penumbra.evaluate.sample_size import Demand, Sample, demands, seen_inside
from penumbra.pipeline import manifests
from penumbra.pipeline.manifests import EvaluateManifest, FuseManifest, IngestManifest, PopulateManifest
from penumbra.pipeline.settings import Settings


def sample_of(home: Path, settings: Settings, centers: Iterable[str] | None = None) -> Sample:
    """The accepted patients of some centers, by default those that train; nobody where nothing was taken in yet."""
    ingested, populated = manifests.earlier(home, IngestManifest), manifests.earlier(home, PopulateManifest)
    chosen = settings.cohort.train_centers if centers is None else tuple(centers)
    refused = set(populated.refused) if populated else set()
    accepted = {patient for patient, (center, _) in (ingested.scans if ingested else {}).items() if center in chosen} - refused
    with store.connect(home, read_only=True) as lake:
        died = [bool(row["event"]) for row in lake.rows("patients") if row["patient"] in accepted]
    return Sample(len(died), sum(died), settings.evaluate.shrinkage)


def demands_of(home: Path, settings: Settings, sample: Sample) -> tuple[Demand, ...]:
    """What every declared model asks of a sample, by what was fitted and seen inside so far."""
    fused, evaluated = manifests.earlier(home, FuseManifest), manifests.earlier(home, EvaluateManifest)
    inside = seen_inside(evaluated.metrics) if evaluated else {}
    sizes, names = block_sizes(home, settings), radiomics.feature_names(settings.radiomics, engine=settings.populate.engine)
    features = names if sizes[GTV] == len(names) else ()  # a store of other features than are declared now
    return demands(fusion.declarations(settings.models), sizes, fused.features if fused else {}, inside, sample, features)


def block_sizes(home: Path, settings: Settings) -> Mapping[str, int]:
    """Block -> features that it offers to a selection: as they were computed, or before that as they are declared."""
    populated = manifests.earlier(home, PopulateManifest)
    features = populated.features if populated else len(radiomics.feature_names(settings.radiomics, engine=settings.populate.engine))
    return {**dict.fromkeys(rois_of(roi_rules(settings.rois).margins_mm), features), DEEP: settings.network.filters[-1]}
