"""Models that follow the rings: models/*.yaml names no margin, features/rois.yaml does."""

from collections.abc import Mapping, Sequence
from typing import Any

from penumbra.base.blocks import middle_margin

EACH, MIDDLE = "<mm>", "<middle>"  # in an entry of models/*.yaml: it is there once for every margin; the margin of the middle ring


def for_margins(name: str, entry: Any, margins_mm: Sequence[float]) -> dict[str, Any]:
    """Tell what one entry of models/*.yaml declares: one model, or where its name holds `<mm>` one for every ring, in the order of the margins.

    Parameters
    ----------
    name
        Of the entry.
    entry
        Its content.
    margins_mm : mm
        Of the rings.

    Returns
    -------
    dict
        Name of the model -> its content, with the margins filled in.

    Examples
    --------
    >>> from penumbra.fusion import for_margins
    >>> for_margins("Ring<mm>", {"blocks": ["ring_<mm>mm"]}, [3.0, 6.0])
    {'Ring3': {'blocks': ['ring_3mm']}, 'Ring6': {'blocks': ['ring_6mm']}}
    """
    middle = f"{middle_margin(margins_mm):g}"
    margins = [f"{margin:g}" for margin in margins_mm] if EACH in name else [EACH]
    return {_filled(name, margin, middle): _filled(entry, margin, middle) for margin in margins}


def all_for_margins(models: Mapping[str, Mapping[Any, Any]], margins_mm: Sequence[float]) -> dict[str, dict[str, Any]]:
    """Tell what the entries of every file of models/ declare, as `for_margins`.

    Parameters
    ----------
    models
        File name without its ending -> its content.
    margins_mm : mm
        Of the rings.

    Returns
    -------
    dict
        File name -> name of the model -> its content, with the margins filled in.

    Examples
    --------
    >>> from penumbra.fusion import all_for_margins
    >>> all_for_margins({"signatures": {"Ring<mm>": {"blocks": ["ring_<mm>mm"]}}}, [3.0, 6.0])
    {'signatures': {'Ring3': {'blocks': ['ring_3mm']}, 'Ring6': {'blocks': ['ring_6mm']}}}
    """
    return {
        file: {name: entry for pattern, each in content.items() for name, entry in for_margins(str(pattern), each, margins_mm).items()}
        for file, content in models.items()
    }


def _filled(value: Any, margin: str, middle: str) -> Any:
    if isinstance(value, str):
        return value.replace(EACH, margin).replace(MIDDLE, middle)
    if isinstance(value, list):
        return [_filled(entry, margin, middle) for entry in value]
    return {key: _filled(entry, margin, middle) for key, entry in value.items()} if isinstance(value, Mapping) else value
