"""Registered versions of the survival model: everything needed to score a patient, with its metrics per center and its lineage."""

from penumbra.registry.bundle import Bundle, Lineage, environment, verify
from penumbra.registry.compare import ComparisonRow, MetricRow, compare
from penumbra.registry.differences import Difference, differences
from penumbra.registry.gate import Contrast, Evidence, GateLimits, Verdict, gate
from penumbra.registry.model import LoadedModel, load, record_metrics, register, unregister
from penumbra.registry.tracking import logged_metrics
from penumbra.registry.versions import CHALLENGER, CHAMPION, AliasChange, RegisteredVersion, find, models, promote, tracking_uri, versions

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "AliasChange",
    "Bundle",
    "ComparisonRow",
    "Contrast",
    "Difference",
    "Evidence",
    "GateLimits",
    "Lineage",
    "LoadedModel",
    "MetricRow",
    "RegisteredVersion",
    "Verdict",
    "compare",
    "differences",
    "environment",
    "find",
    "gate",
    "load",
    "logged_metrics",
    "models",
    "promote",
    "record_metrics",
    "register",
    "tracking_uri",
    "unregister",
    "verify",
    "versions",
]
