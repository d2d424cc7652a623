"""Every metric of every model: for training, for each center, and for all external centers pooled (docs/method.md#evaluation); what refitting shows; the gate.

The functions `gate` and `contrasts` are in the modules of their names.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penumbra.evaluate.gate import Contrast as Contrast
    from penumbra.evaluate.gate import Evidence as Evidence
    from penumbra.evaluate.gate import GateLimits as GateLimits
    from penumbra.evaluate.gate import Verdict as Verdict
    from penumbra.evaluate.metrics import evaluate as evaluate
    from penumbra.evaluate.refits import Refits as Refits
    from penumbra.evaluate.refits import Resampling as Resampling
    from penumbra.evaluate.refits import internal_external as internal_external
    from penumbra.evaluate.refits import resampled_fits as resampled_fits
    from penumbra.evaluate.rows import MetricRow as MetricRow
    from penumbra.evaluate.sets import CROSS_FITTED as CROSS_FITTED
    from penumbra.evaluate.sets import EXTERNAL as EXTERNAL
    from penumbra.evaluate.sets import LEFT_OUT as LEFT_OUT
    from penumbra.evaluate.sets import TRAINING as TRAINING
    from penumbra.evaluate.sets import ModelRisk as ModelRisk
    from penumbra.evaluate.sets import clipped as clipped
    from penumbra.evaluate.settings import Evaluating as Evaluating

_HOME = {
    "CROSS_FITTED": "sets",
    "Contrast": "gate",
    "EXTERNAL": "sets",
    "Evaluating": "settings",
    "Evidence": "gate",
    "GateLimits": "gate",
    "LEFT_OUT": "sets",
    "MetricRow": "rows",
    "ModelRisk": "sets",
    "Refits": "refits",
    "Resampling": "refits",
    "TRAINING": "sets",
    "Verdict": "gate",
    "clipped": "sets",
    "evaluate": "metrics",
    "internal_external": "refits",
    "resampled_fits": "refits",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first asked for: rows and limits of the gate alone need no statistics."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
