"""Survival statistics: plain functions of `event, time, log_risk` (or of `event, time, X`), in that order.

A name is loaded from its module when it is first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penumbra.survival import cox as cox
    from penumbra.survival.agreement import calibration as calibration
    from penumbra.survival.agreement import calibration_intercept as calibration_intercept
    from penumbra.survival.agreement import calibration_slope as calibration_slope
    from penumbra.survival.baseline import breslow_baseline as breslow_baseline
    from penumbra.survival.benefit import net_benefit as net_benefit
    from penumbra.survival.bootstrap import bootstrap_ci as bootstrap_ci
    from penumbra.survival.bootstrap import harrell_resampled as harrell_resampled
    from penumbra.survival.bootstrap import paired_difference as paired_difference
    from penumbra.survival.brier_score import brier as brier
    from penumbra.survival.brier_score import integrated_brier as integrated_brier
    from penumbra.survival.closed_testing import closed_test as closed_test
    from penumbra.survival.components import principal_components as principal_components
    from penumbra.survival.concordance import compare_c as compare_c
    from penumbra.survival.concordance import concordance_index as concordance_index
    from penumbra.survival.concordance import harrell as harrell
    from penumbra.survival.concordance import uno as uno
    from penumbra.survival.concordance import uno_c as uno_c
    from penumbra.survival.groups import hazard_ratio as hazard_ratio
    from penumbra.survival.groups import kaplan_meier as kaplan_meier
    from penumbra.survival.groups import log_rank as log_rank
    from penumbra.survival.outcome import Undefined as Undefined
    from penumbra.survival.outcome import within_follow_up as within_follow_up
    from penumbra.survival.pooling import pooled as pooled
    from penumbra.survival.pooling import pooled_c as pooled_c
    from penumbra.survival.precision import expected_precision as expected_precision
    from penumbra.survival.regression import cox_fit as cox_fit
    from penumbra.survival.regression import univariate_cox as univariate_cox
    from penumbra.survival.reliability import icc_agreement as icc_agreement
    from penumbra.survival.reliability import icc_consistency as icc_consistency
    from penumbra.survival.ridge import ridge_cox as ridge_cox
    from penumbra.survival.ridge import ridge_cox_cv as ridge_cox_cv
    from penumbra.survival.roc import auc_binary as auc_binary
    from penumbra.survival.roc import auc_ipcw as auc_ipcw
    from penumbra.survival.roc import auc_ipcw_test as auc_ipcw_test
    from penumbra.survival.roc import delong_test as delong_test
    from penumbra.survival.roc import roc_curve as roc_curve
    from penumbra.survival.sample_size import explained_variation as explained_variation
    from penumbra.survival.sample_size import parameters_allowed as parameters_allowed
    from penumbra.survival.sample_size import patients_for_overall_risk as patients_for_overall_risk
    from penumbra.survival.sample_size import patients_for_small_optimism as patients_for_small_optimism
    from penumbra.survival.sample_size import patients_needed as patients_needed
    from penumbra.survival.selection import lasso_cox as lasso_cox
    from penumbra.survival.selection import lasso_cox_cv as lasso_cox_cv
    from penumbra.survival.updating import recalibrate as recalibrate
    from penumbra.survival.within_centers import pairs_within as pairs_within
    from penumbra.survival.within_centers import together as together

_MODULE = {
    "auc_binary": "roc",
    "auc_ipcw": "roc",
    "auc_ipcw_test": "roc",
    "bootstrap_ci": "bootstrap",
    "breslow_baseline": "baseline",
    "brier": "brier_score",
    "calibration": "agreement",
    "calibration_intercept": "agreement",
    "calibration_slope": "agreement",
    "closed_test": "closed_testing",
    "compare_c": "concordance",
    "concordance_index": "concordance",
    "cox_fit": "regression",
    "delong_test": "roc",
    "expected_precision": "precision",
    "explained_variation": "sample_size",
    "harrell": "concordance",
    "harrell_resampled": "bootstrap",
    "hazard_ratio": "groups",
    "icc_agreement": "reliability",
    "icc_consistency": "reliability",
    "integrated_brier": "brier_score",
    "kaplan_meier": "groups",
    "lasso_cox": "selection",
    "lasso_cox_cv": "selection",
    "log_rank": "groups",
    "net_benefit": "benefit",
    "paired_difference": "bootstrap",
    "pairs_within": "within_centers",
    "parameters_allowed": "sample_size",
    "patients_for_overall_risk": "sample_size",
    "patients_for_small_optimism": "sample_size",
    "patients_needed": "sample_size",
    "pooled": "pooling",
    "pooled_c": "pooling",
    "principal_components": "components",
    "ridge_cox": "ridge",
    "ridge_cox_cv": "ridge",
    "roc_curve": "roc",
    "together": "within_centers",
    "Undefined": "outcome",
    "univariate_cox": "regression",
    "uno": "concordance",
    "uno_c": "concordance",
    "recalibrate": "updating",
    "within_follow_up": "outcome",
}

__all__ = sorted([*_MODULE, "cox"])


def __getattr__(name: str) -> Any:
    if name == "cox":
        return import_module("penumbra.survival.cox")
    if name not in _MODULE:
        raise AttributeError(f"penumbra.survival has no {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(f"penumbra.survival.{_MODULE[name]}"), name)
    globals()[name] = value
    return value
