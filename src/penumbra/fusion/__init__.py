"""Selection and fusion (docs/method.md#fusion): from tables of features to one fitted object that holds every learned number.

A model is declared in models/*.yaml and is of one of six kinds:
    signature   z-score, univariate Cox, Lasso-Cox in each block; the linear combination of what is kept
    components  what is kept of each block, together through PCA, then Cox on the components and, where named, on further columns
    cox         a Cox model of named columns
    ridge       a Cox model of all columns of the blocks, with a ridge penalty that cross-validation chooses
    mean        the equal mean of the risks of other models, standardized by what they give patients whom they have not seen
    stacked     a ridge Cox model of the same risks

A name is loaded from its module when it is first used: the numbers of the group fuse need no statistics.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penumbra.fusion.applicability import Applicability as Applicability
    from penumbra.fusion.applicability import Domain as Domain
    from penumbra.fusion.contributions import Contributions as Contributions
    from penumbra.fusion.contributions import contributions_of as contributions_of
    from penumbra.fusion.contributions import explained as explained
    from penumbra.fusion.contributions import rounded_sum as rounded_sum
    from penumbra.fusion.declaration import Block as Block
    from penumbra.fusion.declaration import Declaration as Declaration
    from penumbra.fusion.declaration import check_columns as check_columns
    from penumbra.fusion.declaration import declarations as declarations
    from penumbra.fusion.fitting import fit as fit
    from penumbra.fusion.fitting import fit_all as fit_all
    from penumbra.fusion.harmonize import Harmonizer as Harmonizer
    from penumbra.fusion.harmonize import harmonized_blocks as harmonized_blocks
    from penumbra.fusion.model import NothingRetained as NothingRetained
    from penumbra.fusion.model import SurvivalModel as SurvivalModel
    from penumbra.fusion.parts import Column as Column
    from penumbra.fusion.rings import all_for_margins as all_for_margins
    from penumbra.fusion.rings import for_margins as for_margins
    from penumbra.fusion.selection import BlockSelection as BlockSelection
    from penumbra.fusion.selection import benjamini_hochberg as benjamini_hochberg
    from penumbra.fusion.selection import select as select
    from penumbra.fusion.settings import Applying as Applying
    from penumbra.fusion.settings import Fitting as Fitting
    from penumbra.fusion.settings import StableOnly as StableOnly

_HOME = {
    "Applicability": "applicability",
    "Applying": "settings",
    "Block": "declaration",
    "BlockSelection": "selection",
    "Column": "parts",
    "Contributions": "contributions",
    "Declaration": "declaration",
    "Domain": "applicability",
    "Fitting": "settings",
    "Harmonizer": "harmonize",
    "NothingRetained": "model",
    "StableOnly": "settings",
    "SurvivalModel": "model",
    "all_for_margins": "rings",
    "benjamini_hochberg": "selection",
    "check_columns": "declaration",
    "contributions_of": "contributions",
    "declarations": "declaration",
    "explained": "contributions",
    "fit": "fitting",
    "fit_all": "fitting",
    "for_margins": "rings",
    "harmonized_blocks": "harmonize",
    "rounded_sum": "contributions",
    "select": "selection",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
