"""Which model is served, by the evidence inside the training centers; nothing here has access to another patient."""

from functools import partial

from penumbra import fusion
from penumbra.base.refusal import Refusal
from penumbra.evaluate import MetricRow
from penumbra.evaluate.choice import CONTROLS, choose, examine
from penumbra.evaluate.chosen import Choice
from penumbra.evaluate.inside import Inside, inside_rows
from penumbra.pipeline.crossfit import CrossFitted
from penumbra.pipeline.falsifiers import falsifiers_of
from penumbra.pipeline.groups import AUTO
from penumbra.pipeline.manifests import EvaluateManifest
from penumbra.pipeline.settings import Settings
from penumbra.survival.outcome import Outcomes


def evidence_inside(settings: Settings, outcomes: Outcomes, crossed: CrossFitted) -> tuple[list[MetricRow], Choice]:
    """Rows of the cross-fitted risks of every model, and the choice of what is served.

    Parameters
    ----------
    outcomes : n patients
        Of the training centers.
    crossed : (draws, n)
        Their risks.
    """
    declared = [name for name in fusion.declarations(settings.models) if name in crossed.risks]
    ranks = {name: crossed.ranks(name) for name in declared if crossed.gives(name)}
    register, gate = settings.register, settings.retrain.gate
    inside = Inside.of(ranks, outcomes, resamples=gate.resamples, seed=gate.seed)
    rows = list(inside_rows(inside, {name: crossed.log_risk(name) for name in declared}, settings.evaluate, CONTROLS))
    beat = partial(falsifiers_of, crossed=crossed, centers=outcomes.centers, seed=settings.crossfit.seed)
    if register.served == AUTO:
        return rows, choose(inside, ranks, register.candidates, beat, gate)
    return rows, examine(inside, ranks, register.served, register.candidates, beat, gate, noise=register.noise)


def served_by(evaluated: EvaluateManifest) -> str:
    """The model that evaluate chose to be served.

    Raises
    ------
    Refusal
        "stage_is_current" where it was left by a program that did not choose.
    """
    if evaluated.choice is None:
        raise Refusal("stage_is_current", "evaluate was made by another version of the program", "run penumbra evaluate, or penumbra run for all stages")
    return evaluated.choice.served
