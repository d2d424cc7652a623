"""Real patients for measurements, from the data next to the repository."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from penumbra import imaging
from penumbra.base.blocks import GTV, declared_margins
from penumbra.base.params import project_root
from penumbra.base.refusal import Refusal
from penumbra.bench.archives import unpack
from penumbra.imaging import Mask, Scan


def shared_data() -> Path:
    """The folder of public patients next to the repository (docs/method.md#data)."""
    return project_root().parent / "shared" / "data"


def with_rings(scan: Scan) -> tuple[Scan, dict[str, Mask]]:
    """A scan with its GTV and the rings around it."""
    return scan, {GTV: scan.gtv, **imaging.rings(scan.gtv, declared_margins(project_root() / "features"))}


def crops(count: int, data: Path) -> Iterator[tuple[str, Scan, dict[str, Mask]]]:
    """`count` patients of <data>/nsclc/<center>/<patient>, spread evenly over the size of their GTV; those without a GTV are left out."""
    sized = []
    for folder in sorted(data.glob("nsclc/*/*/")):
        try:
            scan = imaging.read_patient(folder)
        except Refusal:
            continue  # an empty mask: nothing to measure
        sized.append((int(np.count_nonzero(scan.gtv.values)), folder))
    sized.sort()
    places = {round(place) for place in np.linspace(0, len(sized) - 1, min(count, len(sized)))}
    for place in sorted(places):
        folder = sized[place][1]
        yield (folder.name, *with_rings(imaging.read_patient(folder)))


def lung1_001(data: Path) -> tuple[Scan, dict[str, Mask], float]:
    """LUNG1-001 from its DICOM files, the whole image on the 1 mm grid, and the core-seconds that reading and resampling took."""
    with tempfile.TemporaryDirectory() as folder:
        unpack(data / "LUNG1-001.tar.xz", Path(folder))
        start = time.process_time()
        scan, masks = with_rings(imaging.to_grid(imaging.read_patient(folder), 1.0))
        return scan, masks, time.process_time() - start
