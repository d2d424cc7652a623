"""From a declaration and the training patients to a fitted model. Nothing here has access to a patient who is not passed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from penumbra.fusion.declaration import OF_MEMBERS, Block, Declaration, by_name
from penumbra.fusion.members import fit_members
from penumbra.fusion.model import SurvivalModel
from penumbra.fusion.patients import Patients
from penumbra.fusion.settings import Fitting
from penumbra.fusion.single import fit_single
from penumbra.survival.outcome import Outcomes


def fit_all(declared: Iterable[Declaration], blocks: Mapping[str, Block] | Iterable[Block], outcomes: Outcomes, numbers: Fitting) -> dict[str, SurvivalModel]:
    """Fit every declared model, harmonizing and selecting each block once.

    Parameters
    ----------
    declared
        What each model is.
    blocks : each (n, p)
        Of the training patients, rows in the order of the outcomes.
    outcomes : n patients
        Event, time in days, and center of the training patients.
    numbers
        The group `fuse` of params.yaml.

    Returns
    -------
    dict
        Name -> fitted model.

    Raises
    ------
    ValueError, Undefined
        As `fit`.

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.fusion import Block, Declaration, Fitting, fit_all
    >>> from penumbra.survival.outcome import Outcomes
    >>> rng = np.random.default_rng(0)
    >>> volume = rng.normal(size=(40, 1))
    >>> block = Block("gtv", ("original_shape_MeshVolume",), np.exp(volume))
    >>> outcomes = Outcomes.of_one_center(np.arange(40) % 3 > 0, rng.exponential(500 * np.exp(-volume[:, 0])))
    >>> numbers = Fitting(alpha=0.05, ties="efron", folds=5, lasso_lambda="min", lasso_patience=None, pca_variance=0.95, ridge=1.0, seed=0)
    >>> column = "gtv.original_shape_MeshVolume"
    >>> declared = Declaration("Volume", "Volume only", "control", "cox", columns=(column,), log=(column,))
    >>> models = fit_all([declared], [block], outcomes, numbers)
    >>> models["Volume"].columns
    ('gtv.original_shape_MeshVolume',)
    """
    patients = Patients(by_name(blocks), outcomes, numbers)
    patients.harmonized  # noqa: B018 - a center that is too small to harmonize is refused whatever the models are
    return {declaration.name: _fitted(declaration, patients) for declaration in declared}


def fit(
    declaration: Declaration,
    blocks: Mapping[str, Block] | Iterable[Block],
    outcomes: Outcomes,
    numbers: Fitting,
    *,
    template: SurvivalModel | None = None,
) -> SurvivalModel:
    """Fit one model on training patients.

    Parameters
    ----------
    declaration
        What the model is.
    blocks : each (n, p)
        Of the training patients, rows in the order of the outcomes.
    outcomes : n patients
        Event, time in days, and center of the training patients.
    numbers
        The group `fuse` of params.yaml.
    template
        A model of the same declaration, of which everything that was tuned is taken: the penalty of each block's Lasso or of the ridge, and what
        standardizes and weighs members. All else is fitted, as on any patients.

    Returns
    -------
    SurvivalModel
        With `retained` false and its reason where no feature is kept; that is not raised.

    Raises
    ------
    ValueError
        "block gtv has values of shape ...; expected ...".
    Unusable
        "model_declared": `Combined needs the block deep; found ...`; "value_missing": `gtv.... is missing for 2 of 30 training patients (model Volume). ...`
    Undefined
        "no event among n patients ...".

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.fusion import Block, Declaration, Fitting, fit
    >>> from penumbra.survival.outcome import Outcomes
    >>> rng = np.random.default_rng(0)
    >>> volume = rng.normal(size=(40, 1))
    >>> block = Block("gtv", ("original_shape_MeshVolume",), np.exp(volume))
    >>> outcomes = Outcomes.of_one_center(np.arange(40) % 3 > 0, rng.exponential(500 * np.exp(-volume[:, 0])))
    >>> numbers = Fitting(alpha=0.05, ties="efron", folds=5, lasso_lambda="min", lasso_patience=None, pca_variance=0.95, ridge=1.0, seed=0)
    >>> column = "gtv.original_shape_MeshVolume"
    >>> declared = Declaration("Volume", "Volume only", "control", "cox", columns=(column,), log=(column,))
    >>> model = fit(declared, [block], outcomes, numbers)
    >>> model.retained, model.training.events
    (True, 26)
    >>> risk = model.log_risk({column: [0.5, 1.0, 2.0]})
    >>> bool(risk[0] < risk[1] < risk[2])
    True
    >>> model.risk_group(risk).tolist()
    ['low', 'high', 'high']
    """
    return _fitted(declaration, Patients(by_name(blocks), outcomes, numbers), template)


def _fitted(declaration: Declaration, patients: Patients, template: SurvivalModel | None = None) -> SurvivalModel:
    if declaration.kind in OF_MEMBERS:
        return fit_members(declaration, patients, template)
    return patients.once(declaration, partial(fit_single, declaration, patients, template))
