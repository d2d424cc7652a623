"""Registered versions of the survival model: everything needed to score a patient, with its metrics per center and its lineage."""

from penumbra.registry.bundle import Bundle, Lineage, environment, verify
from penumbra.registry.differences import Difference, differences
from penumbra.registry.model import LoadedModel, load, record_metrics, register, unregister
from penumbra.registry.outside import OUTSIDE, Outside, outside
from penumbra.registry.remembered import DELETED, Remembered, remembered
from penumbra.registry.shelf import ForeignVersion, RegisteredVersion, Shelf, shelf
from penumbra.registry.shown import is_published, publish
from penumbra.registry.tracking import logged_metrics
from penumbra.registry.versions import CHALLENGER, CHAMPION, AliasChange, addressed, find, models, promote, tracking_uri, versions

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "DELETED",
    "OUTSIDE",
    "AliasChange",
    "Bundle",
    "Difference",
    "ForeignVersion",
    "Lineage",
    "LoadedModel",
    "Outside",
    "RegisteredVersion",
    "Remembered",
    "Shelf",
    "addressed",
    "differences",
    "environment",
    "find",
    "is_published",
    "load",
    "logged_metrics",
    "models",
    "outside",
    "promote",
    "publish",
    "record_metrics",
    "register",
    "remembered",
    "shelf",
    "tracking_uri",
    "unregister",
    "verify",
    "versions",
]
