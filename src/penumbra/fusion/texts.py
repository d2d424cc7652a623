"""Models by their text: nothing in a model changes, and a program that runs for long asks for the same few again and again, 0.2 s per version."""

from functools import lru_cache
from pathlib import Path

from penumbra.fusion.model import SurvivalModel

ENTRIES = 32  # models, of two versions or so


def read_model(file: Path) -> SurvivalModel:
    """Read the model that a file holds; the same text again gives the same object.

    Raises
    ------
    ValueError
        "not a survival model of format 2: ...".
    """
    return _of_text(file.read_text(encoding="utf-8"))


@lru_cache(maxsize=ENTRIES)
def _of_text(text: str) -> SurvivalModel:
    return SurvivalModel.from_json(text)
