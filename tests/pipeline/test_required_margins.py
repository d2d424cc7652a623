"""What is kept of a scan gives the features of the whole scan, also where the tumor lies at the scan's end."""

import numpy as np
import pytest

from penumbra import imaging, radiomics
from penumbra.base.params import project_root, read_yaml
from penumbra.cohort.rois import roi_rules
from penumbra.imaging import Mask, Scan
from penumbra.imaging.volume import Volume
from penumbra.pipeline.definition import required_margins

from ..radiomics.conftest import blob, simulated_image

pytestmark = pytest.mark.slow

WAVELETS = {"setting": {"normalize": True, "normalizeScale": 100, "binWidth": 25}, "imageType": {"Wavelet": {}}, "featureClass": {"firstorder": [], "glcm": []}}


def test_a_tumor_at_the_end_of_the_scan_has_the_features_of_the_whole_scan() -> None:
    """PyRadiomics continues an image periodically for wavelets: a ring on the first slices reads the last ones. A crop without them differed."""
    shape, spacing = (140, 50, 46), (1.0, 1.0, 1.0)
    scan = Scan(Volume(simulated_image(shape, seed=1), spacing), Mask(blob(shape, (8.0, 25.0, 22.0), 6.0, seed=2), spacing))
    rules = roi_rules(read_yaml(project_root() / "features" / "rois.yaml"))
    kept = required_margins(rules, WAVELETS, 1.0)
    whole, part = imaging.to_grid(scan), imaging.to_grid(scan, **kept)
    short = imaging.to_grid(scan, margin_mm=kept["margin_mm"])
    assert part.image.values.shape[0] == 140
    assert short.image.values.shape[0] < 60

    def ring(of: Scan) -> dict[str, float]:
        return radiomics.extract(of, {"ring_9mm": imaging.rings(of.gtv, (9,))["ring_9mm"]}, WAVELETS)["ring_9mm"]

    expected = ring(whole)
    assert ring(part) == expected
    assert max(abs(ring(short)[name] - value) / abs(value) for name, value in expected.items() if value) > 1e-3


def test_a_tumor_in_the_middle_keeps_no_more_than_the_margin() -> None:
    shape, spacing = (140, 60, 60), (1.0, 1.0, 1.0)
    scan = Scan(Volume(np.zeros(shape, np.int16), spacing), Mask(blob(shape, (70.0, 30.0, 30.0), 5.0, seed=2), spacing))
    rules = roi_rules(read_yaml(project_root() / "features" / "rois.yaml"))
    assert imaging.to_grid(scan, **required_margins(rules, WAVELETS, 1.0)).image.values.shape[0] < 60
