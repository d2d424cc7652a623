"""The challenger in the shadow: it scores the patients that the champion scores, under its own version, and is never the answer.

So `penumbra monitor` compares both once the outcomes are known, which no earlier patient can be held against.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from penumbra import registry, store
from penumbra.base.blocks import DEEP
from penumbra.base.refusal import Refusal, reportable
from penumbra.fusion.resampled import band_of
from penumbra.pipeline import applicability, recalibration, recording
from penumbra.pipeline.dataset import Dataset, columns_of, read_dataset
from penumbra.pipeline.definition import require_same_features
from penumbra.pipeline.fuse import risks
from penumbra.pipeline.train import embed
from penumbra.pipeline.workspace import Work
from penumbra.registry import CHALLENGER, CHAMPION, LoadedModel
from penumbra.registry.updates import answered, lines_of


def challenger_of(home: Path, model: str, version: int) -> int | None:
    """The challenger to the version, where that is champion; None where it is not, or there is none."""
    aliases = registry.shelf(home, model).aliases
    challenger = aliases.get(CHALLENGER)
    return challenger if aliases.get(CHAMPION) == version != challenger else None


def predicted(loaded: LoadedModel, data: Dataset, rows: np.ndarray) -> dict[str, recording.Records]:
    """What a registered version says of some patients, (n,) bool, as rows of the store."""
    return recording.of_version(loaded.entry.version, answers(loaded, data, rows))


def answers(loaded: LoadedModel, data: Dataset, rows: np.ndarray) -> dict[str, recording.Records]:
    """The same without the version: `predictions`, `prediction_horizons`, and `recalibrations` where the version has an update for a center."""
    risk, model = risks({loaded.served: loaded.model}, data)[loaded.served].of(rows), loaded.entry.model
    people = [person for person, chosen in zip(recording.people(data), rows, strict=True) if chosen]
    days, groups = loaded.horizons_days, loaded.model.risk_group(risk.log_risk)
    answer = replace(risk, log_risk=answered(loaded.updates, risk.log_risk, data.centers[rows]))
    table = {name: values[rows] for name, values in columns_of(data.blocks).items()}
    band = band_of(loaded.refits, loaded.model, table, risk.log_risk, days, recalibration=lines_of(loaded.updates, data.centers[rows]))
    within = applicability.records(applicability.assessed(loaded.model, applicability.intended_for(loaded.settings), data, rows))
    records = recording.prediction_records(model, people, risk.log_risk, groups, days, 1.0 - answer.death(days), band, within)
    fitted = {center: recalibration.of_update(loaded, center) for center in loaded.updates}
    behind = [recalibration.record(fitted[str(person["center"])], model, person["patient"]) for person in people if person["center"] in fitted]
    return {**records, "recalibrations": behind} if behind else records


def at_center(work: Work, champion: LoadedModel, center: str) -> str:
    """Let the challenger to the champion score the patients of a center; one sentence, "" where there is none. What stops it stops nothing else."""
    model = champion.entry.model
    version = challenger_of(work.home, model, champion.entry.version)
    if version is None:
        return ""
    try:
        loaded = registry.load(work.home, version, model=model)
        require_same_features(loaded)
        if loaded.network_path is None:
            raise Refusal("bundle_readable", "its network is missing", "restore the registry's artifact folder from a back-up")
        embed(work, loaded.feature_versions[DEEP], loaded.network_path)
        data = read_dataset(work, loaded.feature_versions[DEEP])
        records = predicted(loaded, data, data.centers == center)
        with store.connect(work.home) as lake:
            lake.write(records, run=work.run, what=f"{model}/{version} in the shadow at {center}")
    except Exception as error:
        return not_scored(model, version, error)
    return f"the challenger {model}/{version} scored them in the shadow"


def not_scored(model: str, version: int, error: Exception) -> str:
    """Why the challenger has no score, as a sentence."""
    return f"the challenger {model}/{version} has no score in the shadow: {reportable(error).rstrip('.')}"
