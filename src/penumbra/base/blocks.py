"""The names of blocks of features: of the GTV and of each ring around it, deep, clinical; and the margins of the rings, as features/rois.yaml has them."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

GTV: Final = "gtv"
DEEP: Final = "deep"
CLINICAL: Final = "clinical"
MARGINS: Final = "margins_mm"
_ONE_LINE = re.compile(rf"^{MARGINS}: *\[([\d., ]+)\] *(?:#.*)?$", re.MULTILINE)


def ring_name(margin_mm: float) -> str:
    """Name a ring: `ring_3mm` for 3.

    Parameters
    ----------
    margin_mm : mm
        Its outer margin.

    Returns
    -------
    str
        As the ROI is called everywhere.

    Examples
    --------
    >>> from penumbra.imaging import ring_name
    >>> ring_name(3.0), ring_name(4.5)
    ('ring_3mm', 'ring_4.5mm')
    """
    return f"ring_{margin_mm:g}mm"


def ring_margin(ring: str) -> float:
    """The margin of a ring by its name: 3 for `ring_3mm`."""
    return float(ring.removeprefix("ring_").removesuffix("mm"))


def rois_of(margins_mm: Iterable[float]) -> tuple[str, ...]:
    """The GTV and its rings."""
    return (GTV, *map(ring_name, margins_mm))


def middle_margin(margins_mm: Sequence[float]) -> float:
    """The margin of the one ring that is taken where only one can be: the middle one, the smaller of two."""
    return sorted(margins_mm)[(len(margins_mm) - 1) // 2]


def declared_margins(features: Path) -> tuple[float, ...]:
    """The margins in rois.yaml of the folder `features`.

    A question to the store asks for them: a list on one line is read without the parser of YAML, which takes longer than the question.
    """
    written = _ONE_LINE.search((features / "rois.yaml").read_text(encoding="utf-8"))
    if written is not None:
        return tuple(float(margin) for margin in written[1].split(",") if margin.strip())
    from penumbra.base.yaml_files import read_yaml

    return tuple(float(margin) for margin in read_yaml(features / "rois.yaml")[MARGINS])


def deep_names(count: int) -> tuple[str, ...]:
    """The names of the deep features of a network with `count` channels in its last block: `deep_000` and so on."""
    return tuple(f"{DEEP}_{place:03d}" for place in range(count))


def column(block: str, feature: str) -> str:
    """The name of a feature where those of several blocks are together."""
    return f"{block}.{feature}"


def block_and_feature(column: str) -> tuple[str, str]:
    """The two parts of such a name; no feature has a dot in its name, `ring_4.5mm` has."""
    block, _, feature = column.rpartition(".")
    return block, feature
