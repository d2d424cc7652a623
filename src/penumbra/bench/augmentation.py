"""The seven transforms of training on one simulated tumor, before and after: `python -m penumbra.bench.augmentation FILE.png`."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from penumbra import imaging, network
from penumbra.cohort import small_cohort
from penumbra.cohort.simulate import simulate
from penumbra.network import augment
from penumbra.pipeline.settings import load_settings


def tumor(size: int) -> np.ndarray:
    """The network's input of a simulated patient, (size, size, size)."""
    with tempfile.TemporaryDirectory() as folder:
        simulate(Path(folder), seed=1, centers=[plan for plan in small_cohort(1, refused=False) if plan.name == "north"])
        patient = next(path for path in sorted(Path(folder, "north").iterdir()) if path.is_dir())
        scan = imaging.to_grid(imaging.read_patient(patient), 1.0)
    return network.prepare(scan.image.values, scan.gtv.values, size=size, masked=False)


def sheet(path: Path) -> None:
    """Write the picture: each transform at both ends of its range, in the middle slice."""
    from matplotlib.figure import Figure

    numbers = load_settings("paper").augment
    volume = jnp.asarray(tumor(64))[None]

    def at(value: float) -> jax.Array:
        return jnp.asarray([value], jnp.float32)

    panels: list[tuple[str, jax.Array]] = [("as it is", volume)]
    transforms: tuple[tuple[str, tuple[float, float], Callable[[jax.Array, jax.Array], jax.Array]], ...] = (
        ("contrast x", numbers.contrast_range, augment.contrast),
        ("brightness x", numbers.brightness_range, augment.brightness),
        ("gamma ", numbers.gamma_range, augment.gamma),
        ("noise, variance ", numbers.noise_variance_range, lambda v, x: augment.noise(v, x, key=jax.random.key(0))),
        ("blur, sigma ", numbers.blur_sigma_range, augment.blur),
    )
    for name, limits, transform in transforms:
        panels += [(f"{name}{limit:g}", transform(volume, at(limit))) for limit in limits]
    panels += [(f"mirror {axis}", augment.mirror(volume, jnp.asarray([[axis == "z", axis == "y", axis == "x"]]))) for axis in "zyx"]
    panels += [(f"rotation {degrees:g}°", augment.rotate(volume, at(degrees))) for degrees in (30.0, 90.0)]
    figure = Figure(figsize=(8, 8.6), layout="constrained")
    for axes, (title, volumes) in zip(figure.subplots(4, 4).ravel(), panels, strict=True):
        axes.imshow(np.asarray(volumes)[0, 24], cmap="gray", vmin=-2.5, vmax=2.5)
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    figure.savefig(path, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    sheet(Path(sys.argv[1]))
