"""Filtered images, bit for bit ITK's and PyWavelets' on the part that is wanted; crops that keep the required margin change nothing."""

import numpy as np
import pytest
import pywt
import SimpleITK as sitk

from penumbra.radiomics.gaussian import laplacian_of_gaussian
from penumbra.radiomics.names import WAVELET_BANDS
from penumbra.radiomics.scratch import Scratch
from penumbra.radiomics.settings import LOG_MARGIN_SIGMAS
from penumbra.radiomics.wavelet import wavelet_bands

from .conftest import simulated_image

pytestmark = pytest.mark.numeric

BOX = np.s_[3:15, 5:20, 7:40]


def itk_log(image: np.ndarray, spacing: tuple[float, float, float], sigma: float) -> np.ndarray:
    picture = sitk.GetImageFromArray(image)
    picture.SetSpacing(spacing[::-1])
    run = sitk.LaplacianRecursiveGaussianImageFilter()
    run.SetNormalizeAcrossScale(True)
    run.SetSigma(sigma)
    return sitk.GetArrayFromImage(run.Execute(picture))


@pytest.mark.parametrize(("spacing", "sigma"), [((1.0, 1.0, 1.0), 1.0), ((1.0, 1.0, 1.0), 5.0), ((2.5, 0.7, 0.8), 3.0)])
def test_laplacian_of_gaussian_is_itks(spacing: tuple[float, float, float], sigma: float) -> None:
    image = simulated_image((20, 33, 41), seed=1).astype(np.float64)
    whole = (slice(0, 20), slice(0, 33), slice(0, 41))
    ours = laplacian_of_gaussian(image, whole, spacing, sigma, BOX, Scratch())
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, itk_log(image, spacing, sigma)[BOX])


def test_the_margin_is_enough() -> None:
    image = simulated_image((60, 62, 64), seed=2).astype(np.float64)
    inner, margin = slice(28, 34), int(LOG_MARGIN_SIGMAS * 2)
    part = slice(28 - margin, 34 + margin)
    ours = laplacian_of_gaussian(image, (part,) * 3, (1.0, 1.0, 1.0), 2.0, (inner,) * 3, Scratch())
    whole = itk_log(image, (1.0, 1.0, 1.0), 2.0)[inner, inner, inner]
    np.testing.assert_allclose(ours, whole, rtol=0, atol=1e-6 * np.abs(whole).max())


@pytest.mark.parametrize("wavelet", ["coif1", "haar", "db2", "bior1.3"])
@pytest.mark.parametrize("shape", [(20, 33, 41), (12, 14, 16)])
def test_wavelet_bands_are_pywavelets(wavelet: str, shape: tuple[int, int, int]) -> None:
    image = simulated_image(shape, seed=3).astype(np.float64)
    padded = np.pad(image, [(0, n % 2) for n in shape], "wrap")
    names = pywt.swtn(padded, wavelet, level=1, start_level=0, axes=(2, 1, 0))[0]
    theirs = {name.replace("a", "L").replace("d", "H"): band[tuple(slice(0, n) for n in shape)] for name, band in names.items()}
    everywhere = (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
    ours = dict(wavelet_bands(image, wavelet, everywhere, WAVELET_BANDS, lambda part: part))
    assert set(ours) == set(theirs)
    scale = np.abs(image).max()
    inside = (slice(0, shape[0] - 8), slice(0, shape[1] - 8), slice(0, shape[2] - 8))
    for band, values in ours.items():
        # at the far border PyWavelets adds the wrapped terms in another order
        np.testing.assert_allclose(values, theirs[band], rtol=0, atol=1e-14 * 8 * scale)
        np.testing.assert_array_equal(values[inside], theirs[band][inside])
