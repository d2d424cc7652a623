"""Which columns of radiomics may be selected, where `fuse.stability` asks for stable ones: from the relation feature_stability, without any outcome.

The sample it was measured on may hold patients of the fold that a cross-fit leaves out: nothing of their outcomes is in it.
"""

from collections.abc import Iterable
from dataclasses import replace

from penumbra import store
from penumbra.base.blocks import DEEP, column
from penumbra.base.refusal import Refusal
from penumbra.fusion import Declaration, Fitting
from penumbra.pipeline.dataset import Dataset
from penumbra.pipeline.workspace import Work


def with_unstable(work: Work, data: Dataset, numbers: Fitting, declared: Iterable[Declaration]) -> Fitting:
    """The numbers of a fit with the columns that are not stable named in them; the numbers as they are where none is asked for.

    Parameters
    ----------
    declared
        The models; their blocks of radiomics must have been measured.

    Raises
    ------
    Refusal
        "stability_measured".
    """
    rule = numbers.stability
    if rule is None:
        return numbers
    blocks = sorted({block for model in declared for each in (model, *model.members) for block in each.blocks if block in data.versions and block != DEEP})
    versions = {data.versions[block] for block in blocks}
    with store.connect(work.home, read_only=True) as lake:
        rows = [row for row in lake.rows("feature_stability") if row["version"] in versions and row["perturbation"] in rule.under]
    measured = {(row["roi"], row["perturbation"]) for row in rows}
    lacking = [f"{perturbation} of {block}" for block in blocks for perturbation in rule.under if (block, perturbation) not in measured]
    if lacking:
        fault = f"fuse.stability asks for stable features, and the ICC under {lacking[0]} is not measured for the current definition"
        raise Refusal("stability_measured", fault, "run penumbra stability, or set fuse.stability: null in params.yaml")
    unstable = {column(row["roi"], row["feature"]) for row in rows if row["roi"] in blocks and (row["lower"] is None or row["lower"] < rule.min_icc)}
    return replace(numbers, stability=replace(rule, unstable=tuple(sorted(unstable))))
