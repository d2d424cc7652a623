"""Simulated scans: noise with structure, an irregular tumor, rings."""

from pathlib import Path

import numpy as np
import pytest

from penumbra.imaging.volume import Mask, Scan, Volume

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"


def simulated_image(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """HU as int16: smooth structure, fine noise, and air in a corner."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(0, 1, shape), 2.5)
    image = 40 + 400 * smooth / smooth.std() + rng.normal(0, 25, shape)
    image[: shape[0] // 5, :, : shape[2] // 4] = -1000
    return np.clip(np.rint(image), -1024, 3071).astype(np.int16)


def blob(shape: tuple[int, int, int], center: tuple[float, float, float], radius: float, seed: int) -> np.ndarray:
    """An irregular solid around a center."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    grid = np.indices(shape) - np.reshape(center, (3, 1, 1, 1))
    bumps = gaussian_filter(rng.normal(0, 1, shape), 2)
    return np.sqrt((grid**2).sum(axis=0)) + radius / 3 * bumps / bumps.std() < radius


def rings(gtv: np.ndarray, spacing: tuple[float, float, float], margins_mm: tuple[float, ...] = (3, 6, 9)) -> dict[str, Mask]:
    """The GTV and the rings around it, clipped to the image."""
    from scipy.ndimage import distance_transform_edt

    distance = distance_transform_edt(~gtv, sampling=spacing)
    masks = {"gtv": Mask(gtv, spacing)}
    masks |= {f"ring_{margin:g}mm": Mask((distance > 0) & (distance <= margin), spacing) for margin in margins_mm}
    return masks


@pytest.fixture(scope="session")
def parameter_file() -> Path:
    return ROOT / "features" / "radiomics.yaml"


@pytest.fixture(scope="session")
def simulated() -> tuple[Scan, dict[str, Mask]]:
    """A small patient whose 9 mm ring touches the border of the image."""
    shape, spacing = (37, 44, 41), (1.0, 1.0, 1.0)
    masks = rings(blob(shape, (17.0, 20.0, 21.0), 9.0, seed=5), spacing)
    return Scan(Volume(simulated_image(shape, seed=4), spacing), masks["gtv"]), masks
