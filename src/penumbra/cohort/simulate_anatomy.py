"""A simulated thorax around one tumor: an exact shape, known textures, and a scanner that blurs and samples them.

Everything is built on a fine grid of 1 mm and then seen through a scanner: averaged over the slice thickness, blurred and
sampled in the plane. What the scanner does to the textures is therefore part of the simulation, as in life.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

FINE_MM = 1.0
TUMOR_HU, LUNG_HU, WALL_HU = 25.0, -830.0, 45.0
WALL_MM = 47.0  # from the image center to the chest wall on one side, to the mediastinum on the other
SHELL_MM, SHELL_FADE_MM = 5.0, 2.0  # infiltration is full up to 5 mm from the tumor and gone at 7 mm
INSIDE_SIGMA_MM, SHELL_SIGMA_MM = 2.5, 2.2  # width of the Gaussian that correlates each texture


@dataclass(frozen=True)
class Tumor:
    """A star-shaped body: radius(u) = scale * exp(sum_k amplitudes[k] * cos(waves[k] . u + phases[k])) along the unit vector u.

    Parameters
    ----------
    center : mm, (z, y, x)
    stretch
        Factors along (z, y, x); their product is 1, so that they keep the volume.
    waves : shape (k, 3)
        Radians per unit length.
    """

    center: np.ndarray
    stretch: np.ndarray
    scale: float
    waves: np.ndarray
    amplitudes: np.ndarray
    phases: np.ndarray

    def shape_factor(self, directions: np.ndarray) -> np.ndarray:
        """Radius along unit vectors (..., 3), relative to `scale`."""
        exponent = np.zeros(directions.shape[:-1], dtype=directions.dtype)
        for wave, amplitude, phase in zip(self.waves, self.amplitudes, self.phases, strict=True):
            exponent += amplitude * np.cos(directions @ wave.astype(directions.dtype) + directions.dtype.type(phase))
        return np.asarray(np.exp(exponent))

    def outside_mm(self, z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Distance beyond the surface along the ray from the center, negative inside; axes in mm, result (z, y, x)."""
        grid = np.meshgrid(z - self.center[0], y - self.center[1], x - self.center[2], indexing="ij")
        points = np.stack([axis / s for axis, s in zip(grid, self.stretch, strict=True)], axis=-1).astype(np.float32)
        radius = np.sqrt((points**2).sum(axis=-1))
        directions = points / np.maximum(radius, np.float32(1e-3))[..., None]
        return np.asarray(radius - np.float32(self.scale) * self.shape_factor(directions))

    def reach_mm(self) -> float:
        """Largest distance of the surface from the center."""
        directions, _ = sphere_quadrature()
        radius = self.scale * self.shape_factor(directions)
        return float((radius * np.sqrt(((directions * self.stretch) ** 2).sum(axis=-1))).max())


def sphere_quadrature(polar: int = 48, azimuthal: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (n, 3) and weights (n,) that integrate smooth functions over the sphere; the weights add up to 4 pi."""
    cosine, weight = np.polynomial.legendre.leggauss(polar)
    phi = 2 * np.pi * np.arange(azimuthal) / azimuthal
    sine = np.sqrt(1 - cosine**2)
    directions = np.stack([np.repeat(cosine, azimuthal), np.outer(sine, np.sin(phi)).ravel(), np.outer(sine, np.cos(phi)).ravel()], axis=-1)
    return directions, np.repeat(weight * 2 * np.pi / azimuthal, azimuthal)


def grow_tumor(volume_mm3: float, rng: np.random.Generator, *, max_reach_mm: float) -> Tumor:
    """An irregular tumor of exactly `volume_mm3` whose surface stays within `max_reach_mm` of its center."""
    directions, weights = sphere_quadrature()
    lengths = rng.uniform(1.5, 6.0, size=12)
    orientation = rng.standard_normal((12, 3))
    waves = orientation / np.linalg.norm(orientation, axis=1, keepdims=True) * lengths[:, None]
    amplitudes = rng.uniform(0.5, 1.0) * 0.13 * rng.standard_normal(12) / np.sqrt(lengths / 2)
    phases = rng.uniform(0, 2 * np.pi, size=12)
    stretch = np.exp(0.08 * rng.standard_normal(3))
    stretch /= np.cbrt(stretch.prod())
    center = rng.uniform(-2.5, 2.5, size=3)
    calm = 1.0
    while True:  # a surface that reaches too far is made rounder, the volume stays
        rounder = Tumor(center, stretch**calm, 1.0, waves, amplitudes * calm, phases)
        unscaled = float((weights * rounder.shape_factor(directions) ** 3).sum() / 3)
        tumor = Tumor(center, stretch**calm, float(np.cbrt(volume_mm3 / unscaled)), waves, amplitudes * calm, phases)
        if tumor.reach_mm() <= max_reach_mm:
            return tumor
        if calm < 1e-3:
            raise ValueError(f"a tumor of {volume_mm3:.0f} mm3 does not fit within {max_reach_mm} mm")
        calm *= 0.8


def correlated_noise(shape: tuple[int, ...], sigma_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of mean 0 and about unit standard deviation, correlated over `sigma_mm`, on the fine grid."""
    field = gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma_mm / FINE_MM, mode="wrap", truncate=3.0)
    return np.asarray(field / field.std())


def lung_texture(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Parenchyma with vessels, in HU around 0, smooth over about 3 mm; drawn on 3 mm nodes to be quick."""
    nodes = tuple(n // 3 + 4 for n in shape)
    field = rng.standard_normal(nodes, dtype=np.float32)
    for axis, n in enumerate(shape):
        at = (np.arange(n) + 4.5) / 3.0
        weights = np.exp(-0.5 * ((at[:, None] - np.arange(nodes[axis])[None]) / 0.7) ** 2).astype(np.float32)
        weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))
        field = np.moveaxis(np.tensordot(weights, field, axes=(1, axis)), 0, axis)
    return np.asarray(28.0 * field + 260.0 * np.maximum(field - 1.7, 0.0))


def paint(
    tumor: Tumor,
    axes: tuple[np.ndarray, np.ndarray, np.ndarray],
    *,
    inside_hu: float,
    shell_hu: float,
    wall_side: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """HU on the fine grid, float32 (z, y, x).

    Parameters
    ----------
    axes : mm, (z, y, x)
        Step FINE_MM.
    inside_hu
        Standard deviation of the texture inside the tumor.
    shell_hu
        Strength of the strands that infiltrate the lung within SHELL_MM of the surface.
    wall_side
        +1 or -1: side of the chest wall along x.
    """
    z, y, x = axes
    shape = (z.size, y.size, x.size)
    values = np.float32(LUNG_HU + rng.uniform(-20, 20)) + lung_texture(shape, rng)
    wall = x[None, :] * wall_side > WALL_MM - (y[:, None] / 16.0) ** 2 / 2
    mediastinum = x[None, :] * wall_side < -(WALL_MM + 1.0) - 2.0 * np.sin(y[:, None] / 14.0)
    values[:, wall | mediastinum] = WALL_HU

    reach = tumor.reach_mm() + SHELL_MM + SHELL_FADE_MM + 2.0
    box = tuple(slice(int(np.searchsorted(axis, c - reach)), int(np.searchsorted(axis, c + reach))) for axis, c in zip(axes, tumor.center, strict=True))
    crop = values[box]  # a view: painted in place
    outside = tumor.outside_mm(z[box[0]], y[box[1]], x[box[2]])

    strands = np.maximum(correlated_noise(crop.shape, SHELL_SIGMA_MM, rng) + 0.25, 0.0)
    fade = np.clip((SHELL_MM + SHELL_FADE_MM - outside) / SHELL_FADE_MM, 0.0, 1.0)
    in_lung = crop < -500.0
    infiltrated = np.minimum(crop + shell_hu * strands * fade, TUMOR_HU)
    crop[in_lung] = infiltrated[in_lung]

    inside = correlated_noise(crop.shape, INSIDE_SIGMA_MM, rng)
    within = outside < 0
    inside = (inside - inside[within].mean()) / inside[within].std()
    body = np.clip(TUMOR_HU + rng.uniform(-8, 8) + inside_hu * inside, -650.0, 420.0)
    share = np.clip(0.5 - outside / FINE_MM, 0.0, 1.0)  # of the voxel that lies within the surface
    crop += share * (body - crop)
    return values


def sampling_weights(at: np.ndarray, fine: np.ndarray, *, thickness_mm: float, blur_mm: float) -> np.ndarray:
    """Weights (len(at), len(fine)) of a detector of `thickness_mm` at each position, blurred by a Gaussian of `blur_mm`."""
    from scipy.special import erf

    edges = (fine[None, :] - at[:, None])[..., None] + np.array([-0.5, 0.5]) * thickness_mm
    cumulative = 0.5 * (1 + erf(edges / (np.sqrt(2) * max(blur_mm, 1e-3))))
    weights = cumulative[..., 1] - cumulative[..., 0]
    return np.asarray((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))


def acquire(
    fine: np.ndarray,
    fine_axes: tuple[np.ndarray, np.ndarray, np.ndarray],
    axes: tuple[np.ndarray, np.ndarray, np.ndarray],
    *,
    slice_mm: float,
    noise_hu: float,
    offset_hu: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """What the scanner reports: int16 HU (z, y, x) at `axes`, with noise that is correlated in the plane, as after reconstruction."""
    spacing = (slice_mm, axes[1][1] - axes[1][0], axes[2][1] - axes[2][0])
    image = fine
    for axis, blur_mm in ((0, 0.3), (1, 0.6), (2, 0.6)):
        weights = sampling_weights(axes[axis], fine_axes[axis], thickness_mm=spacing[axis], blur_mm=blur_mm)
        image = np.moveaxis(np.tensordot(weights, image, axes=(1, axis)), 0, axis)
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    noise = 0.25 * np.roll(noise, 1, axis=2) + 0.5 * noise + 0.25 * np.roll(noise, -1, axis=2)
    noise = 0.25 * np.roll(noise, 1, axis=1) + 0.5 * noise + 0.25 * np.roll(noise, -1, axis=1)
    return np.asarray(np.round(image + offset_hu + noise_hu / 0.375 * noise)).astype(np.int16)


def outlines(tumor: Tumor, slices_mm: np.ndarray, *, step_mm: float = 1.0) -> list[list[np.ndarray]]:
    """The tumor's closed outlines on each slice plane: arrays (n, 2) of (x, y) in mm, the first point not repeated."""
    import contourpy

    reach = tumor.reach_mm() + 3.0
    y = np.arange(tumor.center[1] - reach, tumor.center[1] + reach, step_mm)
    x = np.arange(tumor.center[2] - reach, tumor.center[2] + reach, step_mm)
    level = tumor.outside_mm(slices_mm, y, x)
    by_slice: list[list[np.ndarray]] = []
    for plane in level:
        contours = contourpy.contour_generator(x, y, plane).lines(0.0) if (plane < 0).any() else []
        lines = [np.asarray(line)[:-1] for line in contours]
        by_slice.append([line for line in lines if len(line) >= 3 and abs(polygon_area(line)) > 1.0])
    return by_slice


def polygon_area(points: np.ndarray) -> float:
    """Signed area of a closed polygon (n, 2), by the shoelace formula."""
    x, y = points[:, 0], points[:, 1]
    return float(0.5 * (x @ np.roll(y, -1) - y @ np.roll(x, -1)))
