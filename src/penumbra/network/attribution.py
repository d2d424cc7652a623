"""Where in the box a network looks: how much its log_risk changes when a part of the box is hidden."""

from collections.abc import Iterator

import numpy as np

from penumbra.network.compilation import one_thread
from penumbra.network.ensemble import Ensemble, alone
from penumbra.network.trained import Trained, check_volumes
from penumbra.network.trained import embed as embed_one


def occlusion(trained: Ensemble | Trained, volume: np.ndarray, *, edge: int, stride: int) -> np.ndarray:
    """Map where a network looks: log_risk of the volume minus log_risk with a cube around the voxel hidden.

    Above 0 what is seen there raises the risk, below 0 it lowers it. A cube is hidden by 0, the mean of a z-scored volume; a voxel has the
    mean over all cubes that cover it. All members of an ensemble are asked, those included that the patient trained.

    Parameters
    ----------
    trained
        An ensemble, or one network.
    volume : shape (s, s, s)
        As `prepare` makes it.
    edge
        Of the hidden cube, voxels.
    stride
        Voxels between cubes; the last one ends at the border.

    Returns
    -------
    array of shape (s, s, s), float32
        The change of log_risk at each voxel.

    Raises
    ------
    ValueError
        "volumes must have shape (n, s, s, s) ..." / "edge and stride must be within 1 and s = ...; found ...".

    References
    ----------
    Zeiler and Fergus 2014 (arXiv 1311.2901), section 2.1, with every cube's effect spread over its voxels.
    """
    one_thread()
    whole = alone(trained) if isinstance(trained, Trained) else trained
    check_volumes(volume[None], whole.network.input_size)
    size = len(volume)
    if not (1 <= edge <= size and 1 <= stride <= size):
        raise ValueError(f"edge and stride must be within 1 and s = {size}; found {edge} and {stride}")
    cubes = list(_cubes(size, edge, stride))
    masked_volumes = np.repeat(volume[None], len(cubes) + 1, axis=0)
    for i, cube in enumerate(cubes):
        masked_volumes[i][cube] = 0.0
    log_risk = np.mean([embed_one(member, masked_volumes)[0] for member in whole.members], axis=0)
    effect, covered = np.zeros(volume.shape), np.zeros(volume.shape)
    for i, cube in enumerate(cubes):
        effect[cube] += log_risk[-1] - log_risk[i]
        covered[cube] += 1
    return (effect / covered).astype(np.float32)


def _cubes(size: int, edge: int, stride: int) -> Iterator[tuple[slice, slice, slice]]:
    starts = sorted({*range(0, size - edge + 1, stride), size - edge})
    for z in starts:
        for y in starts:
            for x in starts:
                yield slice(z, z + edge), slice(y, y + edge), slice(x, x + edge)
