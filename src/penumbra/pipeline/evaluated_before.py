"""Evaluations by key, as features, networks and fitted models are kept: going back to numbers that were evaluated before measures nothing again.

`manifests/evaluated-<key>.json` is written whole, after the refits that it names. The newest are kept; an older one is measured again when it is needed.
"""

from pathlib import Path

from penumbra.pipeline import manifests
from penumbra.pipeline.manifests import EvaluateManifest

NAME, REFITS = "evaluated", "refits"  # of the manifests; the folder below the state folder
MAX_EVALUATIONS = 20  # evaluations, half a megabyte each, and 1.5 of their refits


def refits_file(home: Path, key: str) -> Path:
    """The refits of the served model behind the evaluation of one key, see `penumbra.fusion.resampled`."""
    return home / REFITS / f"{key}.npz"


def of(home: Path, key: str) -> EvaluateManifest | None:
    """The evaluation of one key; None where there is none, or not with its refits."""
    by_key, last = manifests.earlier(home, EvaluateManifest, _name(key)), manifests.earlier(home, EvaluateManifest)
    for evaluation in (by_key, last):  # the last one may be of a program that kept none
        if evaluation is not None and evaluation.key == key and (evaluation.refits is None or refits_file(home, key).is_file()):
            return evaluation
    return None


def keep(home: Path, evaluated: EvaluateManifest) -> None:
    """Keep an evaluation under its key as the newest; what is beyond the `MAX_EVALUATIONS` newest goes, with its refits."""
    manifests.write(home, evaluated, _name(evaluated.key))
    newest = sorted((home / manifests.FOLDER).glob(f"{_name('*')}.json"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for file in newest[MAX_EVALUATIONS:]:
        file.unlink(missing_ok=True)
    files = {refits_file(home, file.stem.removeprefix(_name(""))) for file in newest[:MAX_EVALUATIONS]}
    for file in (home / REFITS).glob("*.npz"):
        if file not in files:
            file.unlink(missing_ok=True)


def _name(key: str) -> str:
    return f"{NAME}-{key}"
