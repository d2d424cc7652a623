"""The gallery: who is shown, in which order, with what, and that a second time draws nothing."""

import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from penumbra.base.refusal import Refusal
from penumbra.commands.gallery import PIXELS, gallery
from penumbra.imaging import Mask, Scan, Volume, rings, three_planes
from penumbra.pipeline import arrivals
from penumbra.pipeline.ingest import ingest
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work

pytestmark = pytest.mark.slow


def write_pair(folder: Path, start: int) -> None:
    """A box of 8 mm from `start` on, in tissue with air next to it."""
    folder.mkdir(parents=True)
    image = np.full((24, 26, 28), 40, dtype=np.int16)
    image[:, :, -1] = -1000
    image[0, 0, 0] = ord(folder.name[-1])  # one scan is one patient's
    mask = np.zeros(image.shape, dtype=np.uint8)
    mask[start : start + 8, 9:17, 9:17] = 1
    sitk.WriteImage(sitk.GetImageFromArray(image), str(folder / "ct.nii.gz"))
    sitk.WriteImage(sitk.GetImageFromArray(mask), str(folder / "gtv.nii.gz"))


@pytest.fixture
def work(tmp_path: Path) -> Work:
    folder = tmp_path / "sent" / "alpha"
    for patient, start in {"A1": 8, "A2": 0, "A3": 8}.items():
        write_pair(folder / patient, start)
    work = Work(tmp_path / "home", load_settings("quick"), "test")
    (folder / "clinical.csv").write_text("patient,time,event\nA1,100,0\nA2,200,1\nA3,,1\n")
    arrivals.take_center(work.home, folder, "alpha")
    ingest(work)
    return work


def test_rejected_first_then_flagged_then_accepted(work: Work) -> None:
    (page,) = gallery(work)
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"<h2>(\w+) <small>([a-z ]+)</small>", text) == [("A3", "rejected"), ("A2", "accepted with remarks"), ("A1", "accepted")]
    assert "<b>No survival time</b>" in text
    assert "<b>GTV at the border of the scan</b>" in text
    sources = re.findall(r'<img loading="lazy"[^>]* src="([^"]+)"', text)
    assert len(sources) == 2
    for source in sources:
        with Image.open(page.parent / source) as picture:
            assert picture.size == (3 * PIXELS, PIXELS)
    assert "://" not in text


def test_a_second_time_draws_nothing_and_a_replaced_scan_is_drawn_anew(work: Work) -> None:
    (page,) = gallery(work)
    drawn = {path.name: path.stat().st_mtime_ns for path in (page.parent / "pictures").iterdir()}
    gallery(work, "alpha")
    assert {path.name: path.stat().st_mtime_ns for path in (page.parent / "pictures").iterdir()} == drawn
    place = arrivals.center_folders(work.home)["alpha"] / "A1"
    (place / "gtv.nii.gz").unlink()
    image = sitk.ReadImage(str(place / "ct.nii.gz"))
    mask = np.zeros(image.GetSize()[::-1], dtype=np.uint8)
    mask[10:16, 9:17, 9:17] = 1
    sitk.WriteImage(sitk.GetImageFromArray(mask), str(place / "gtv.nii.gz"))
    ingest(work)
    gallery(work)
    now = {path.name for path in (page.parent / "pictures").iterdir()}
    assert len(now) == 2
    assert len(now & set(drawn)) == 1


def test_an_unknown_center_is_refused(work: Work) -> None:
    with pytest.raises(Refusal, match=r"no patient of a center 'west'.*\(rule center_in_store\)"):
        gallery(work, "west")


def test_planes_show_the_box_at_its_place_and_scale() -> None:
    """Sides of 8, 12 and 20 mm: as wide and as high in each picture as their outline is, in pixels of known size."""
    values = np.full((40, 60, 60), -800, dtype=np.int16)
    mask = np.zeros((20, 60, 60), dtype=bool)
    mask[8:12, 20:32, 15:35] = True
    spacing = (2.0, 1.0, 1.0)
    scan = Scan(Volume(values[:20], spacing), Mask(mask, spacing))
    scan.image.values[mask] = 50
    planes = three_planes(scan, rings(scan.gtv, (3.0,)), margin_mm=10, pixels=200)
    assert planes.pixel_mm == pytest.approx(40 / 200)
    for axis, (height, width) in enumerate([(12, 20), (8, 20), (8, 12)]):
        rows, columns = np.nonzero(planes.outlines["gtv"][axis])
        assert np.ptp(rows) * planes.pixel_mm == pytest.approx(height, abs=0.6)
        assert np.ptp(columns) * planes.pixel_mm == pytest.approx(width, abs=0.6)
        assert (rows.min() + rows.max()) / 2 == pytest.approx(99.5, abs=1)
        rows, columns = np.nonzero(planes.outlines["ring_3mm"][axis])
        assert np.ptp(columns) * planes.pixel_mm == pytest.approx(width + 6, abs=1.0)
    assert (planes.hu[:, 100, 100] == 50).all()
    assert (planes.hu[:, 3, 3] < -700).all()
