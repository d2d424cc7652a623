"""Difficult and malformed folders, one file per kind of fault; `case` says what a case is."""

from . import contours, enhanced, files, misleading, mismatches, names, pixels, regressions, segmentations, series, slices  # noqa: F401 each adds its cases
from .case import BALL as BALL
from .case import CASES as CASES
from .case import Case as Case
