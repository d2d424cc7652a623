"""One scan under two names: in one center, in two centers, or exported again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from penumbra.base.blocks import GTV
from penumbra.base.refusal import Refusal

SAME_SCAN, ALIKE = "scan_once", "figures_alike"
FIGURES = ("volume_mm3", "hu_min", "hu_median", "hu_max")
_DIGITS = 7  # that agree where two figures are the same to 1e-6

Figures = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class KnownScan:
    """An accepted scan.

    Parameters
    ----------
    patient, center
        Names.
    pixels
        Digest of pixels and geometry, see `pixel_digest`; None: read by a program that did not keep it.
    figures
        Of the GTV and its rings, see `figures_of`.
    files
        Digest of its files; None: not asked.
    """

    patient: str
    center: str
    pixels: str | None
    figures: Figures
    files: str | None = None

    @property
    def name(self) -> str:
        """The patient in words, for a refusal of another one."""
        return f"patient {self.patient} of {self.center}"


def figures_of(rois: Iterable[Mapping[str, Any]]) -> Figures:
    """Volume and HU of every ROI to seven digits, in the order of their names, so that equal means equal to 1e-6; () without a GTV.

    Parameters
    ----------
    rois
        Rows of the relation `rois` of one scan.
    """
    rows = sorted((str(row["roi"]), *(f"{float(row[name]):.{_DIGITS - 1}e}" for name in FIGURES)) for row in rois)
    return tuple(rows) if any(row[0] == GTV for row in rows) else ()


class Scans:
    """The scans that are there, and the refusals and remarks of a new one."""

    def __init__(self, accepted: Iterable[KnownScan], center: str) -> None:
        """Begin with the scans of other centers.

        Parameters
        ----------
        accepted
            Accepted scans of all centers.
        center
            The one that arrives: its scans count again as they come.
        """
        accepted = list(accepted)
        self._previous = {scan.patient: scan for scan in accepted if scan.center == center}
        self._pixels = {scan.pixels: scan for scan in accepted if scan.center != center and scan.pixels}
        self._figures = {scan.figures: scan for scan in accepted if scan.center != center and scan.figures}

    def is_stored(self, patient: str) -> bool:
        return patient in self._previous

    def is_as_stored(self, patient: str, pixels: str | None) -> bool:
        """Whether this is the scan by which the patient was accepted before; it goes before others with the same pixels."""
        return pixels is not None and patient in self._previous and self._previous[patient].pixels == pixels

    def arrive(self, scan: KnownScan) -> Refusal | None:
        """Take a scan in; what it resembles, if it does not have the pixels of another one.

        Raises
        ------
        Refusal
            `scan_once: the scan is that of patient P1 of north. ...`.
        """
        original = self._pixels.get(scan.pixels) if scan.pixels else None
        if original is not None:
            advice = "Leave one of the two out, row and folder, or send this patient's own scan"
            raise Refusal(SAME_SCAN, f"the scan is that of {original.name}", advice)
        alike = self._figures.get(scan.figures) if scan.figures else None
        if scan.pixels:
            self._pixels[scan.pixels] = scan
        if scan.figures:
            self._figures.setdefault(scan.figures, scan)
        if alike is None:
            return None
        return Refusal(ALIKE, f"volume and HU of the GTV and its rings are those of {alike.name}", "Look whether both are one person, and leave one out if so")


def groups(scans: Iterable[KnownScan]) -> list[list[KnownScan]]:
    """Scans that are one by their pixels, files or figures, two or more together, in the order in which they came."""
    parent: dict[int, int] = {}
    entries = list(scans)

    def root(place: int) -> int:
        while parent.get(place, place) != place:
            place = parent[place]
        return place

    first: dict[object, int] = {}
    for place, scan in enumerate(entries):
        for key in (scan.pixels, scan.figures, scan.files):
            if key:
                other_root = root(first.setdefault(key, place))
                if other_root != root(place):
                    parent[root(place)] = other_root
    by_root: dict[int, list[KnownScan]] = {}
    for place, scan in enumerate(entries):
        by_root.setdefault(root(place), []).append(scan)
    return [group for group in by_root.values() if len(group) > 1]
