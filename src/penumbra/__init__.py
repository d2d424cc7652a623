"""Feature store and model registry for survival prediction from radiotherapy planning CT.

>>> import penumbra
>>> penumbra.read("radiomics", roi="gtv", outcome=True)  # doctest: +SKIP

`read` and `sql` ask the feature store, `load`, `models` and `compare` the registry, and `predict` scores a patient's folder. Importing the package loads none
of the libraries behind them; each is imported on first use.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penumbra.base.refusal import Refusal
    from penumbra.commands.python.frames import read, sql
    from penumbra.commands.python.versions import Prediction, Version, VersionComparison, compare, load, models, predict

__all__ = ["Prediction", "Refusal", "Version", "VersionComparison", "compare", "load", "models", "predict", "read", "sql"]

if not TYPE_CHECKING:  # a type checker that saw it would take every misspelled name for one that is there
    _HOMES = {
        "base.refusal": ("Refusal",),
        "commands.python.frames": ("read", "sql"),
        "commands.python.versions": ("Prediction", "Version", "VersionComparison", "compare", "load", "models", "predict"),
    }

    def __getattr__(name):
        for module, names in _HOMES.items():
            if name in names:
                import importlib

                value = globals()[name] = getattr(importlib.import_module(f"penumbra.{module}"), name)
                return value
        raise AttributeError(f"module 'penumbra' has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__})
