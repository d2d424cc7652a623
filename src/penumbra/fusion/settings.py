"""The numbers of selection and fusion as a frozen dataclass; their values are in params.yaml. Standard library only."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

# What two of them are called in the JSON of a fitted model and in the key of a fit, which stay as they were first written.
STORED_NAMES: Mapping[str, str] = {"lasso_lambda": "penalty", "lasso_patience": "patience"}


@dataclass(frozen=True)
class StableOnly:
    """Which columns of radiomics may be selected, by how stable they are.

    Parameters
    ----------
    min_icc
        The lower limit of a column's ICC must reach it.
    under
        Under each of these perturbations.
    unstable
        The columns that do not reach it, once they are known: "<block>.<feature>".
    """

    min_icc: float
    under: tuple[str, ...]
    unstable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fitting:
    """The group `fuse`, docs/method.md#fusion.

    Parameters
    ----------
    alpha
        A univariate Wald p below this is kept.
    ties
        Of the Cox likelihood; the Lasso uses Breslow's.
    folds
        Of the Lasso's cross-validation; fewer where there are fewer events.
    lasso_lambda
        Which lambda of the path.
    lasso_patience
        The path ends when the deviance has not improved for this many penalties; None: never, as in glmnet.
    pca_variance
        Share of variance that the kept components explain at least.
    ridge
        Penalty of a Cox fit that has no finite maximum without one (separation, more columns than deaths); reported in a remark.
    seed
        Of the folds.
    harmonise
        Of the features between training centers, before selection; a Cox model of named columns takes them as they are.
    unseen_center
        What a center gets that did not train, where features are harmonized.
    stability
        None: every column may be selected.
    """

    alpha: float
    ties: Literal["efron", "breslow"]
    folds: int
    lasso_lambda: Literal["min", "1se"]
    lasso_patience: int | None
    pca_variance: float
    ridge: float
    seed: int
    # defaults: a version registered before there was a choice had none
    harmonise: Literal["none", "combat"] = "none"
    unseen_center: Literal["refuse", "leave", "estimate"] = "refuse"
    stability: StableOnly | None = None

    def stored(self) -> dict[str, Any]:
        """Return the numbers under their stored names.

        Returns
        -------
        dict
            Name -> number, as the JSON of a fitted model has them; `stability` only where it is asked for, since earlier keys have none.
        """
        return {STORED_NAMES.get(name, name): value for name, value in asdict(self).items() if name != "stability" or value is not None}


@dataclass(frozen=True)
class Applying:
    """The group `applicability`: when a patient is within what a model has learned.

    Parameters
    ----------
    low, high
        Percentiles of the training patients between which a column is in range.
    variance
        Share of the variance of the weighted columns that the components of the distance hold.
    folds
        Into which the training patients are divided: each is measured by what was learned without the own fold.
    edge
        Share of the training patients, so measured, that are at most not inside.
    outside
        Share of them that are at most outside.
    seed
        Of the folds.
    """

    low: float
    high: float
    variance: float
    folds: int
    edge: float
    outside: float
    seed: int
