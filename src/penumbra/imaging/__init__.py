"""Volumes: planning CT and GTV from DICOM or NIfTI, the isotropic grid, rings, and the certificate that a mask is right."""

from penumbra.base.blocks import ring_name
from penumbra.imaging.certificate import certify
from penumbra.imaging.contours import Contours, Plane, Region
from penumbra.imaging.figures import Certificate, CertificateLimits, Finding, RoiFigures
from penumbra.imaging.grid import to_grid
from penumbra.imaging.names import GtvNames, Several
from penumbra.imaging.patient import gtv_sources, names_in, read_patient, read_sources, roi_names
from penumbra.imaging.planes import Planes, three_planes
from penumbra.imaging.primary import GTV_PATTERNS
from penumbra.imaging.rings import ring_loss, rings
from penumbra.imaging.saved import load_scan, save_scan
from penumbra.imaging.volume import Mask, Moments, Scan, Volume

__all__ = [
    "GTV_PATTERNS",
    "Certificate",
    "CertificateLimits",
    "Contours",
    "Finding",
    "GtvNames",
    "Mask",
    "Moments",
    "Plane",
    "Planes",
    "Region",
    "RoiFigures",
    "Scan",
    "Several",
    "Volume",
    "certify",
    "gtv_sources",
    "load_scan",
    "names_in",
    "read_patient",
    "read_sources",
    "ring_loss",
    "ring_name",
    "rings",
    "roi_names",
    "save_scan",
    "three_planes",
    "to_grid",
]
