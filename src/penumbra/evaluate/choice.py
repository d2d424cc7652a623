"""Which model is served: the simplest whose C inside the training centers lies within one standard error of the best (docs/method.md#served)."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from penumbra.evaluate.chosen import Candidate, Choice
from penumbra.evaluate.contrasts import against
from penumbra.evaluate.gate import Contrast, GateLimits
from penumbra.evaluate.inside import Inside
from penumbra.survival import Undefined
from penumbra.survival.within_centers import Drawn

CONTROLS = {"volume": "Volume", "clinical": "Clinical"}  # what a useful model has to beat: short name in delta_c_<name> -> model
Falsifiers = Callable[[str], Mapping[str, np.ndarray]]  # model -> what it must beat by name, risks (draws, n)


def choose(inside: Inside, ranks: Mapping[str, np.ndarray], candidates: Sequence[str], falsifiers: Falsifiers, limits: GateLimits) -> Choice:
    """Choose the simplest candidate whose C inside lies within one standard error of the paired difference of the best.

    What is no control has to beat every falsifier as the gate asks it of a challenger, at its noise divided by the number of such candidates, since the best of
    them is looked at (Bonferroni). Where the simplest does not, those that do and the controls are what is chosen from.

    Parameters
    ----------
    inside
        Pairs of at least the candidates.
    ranks : each (draws, n)
        Cross-fitted risks of at least the candidates.
    candidates
        Names, the simplest first.
    falsifiers
        What a candidate must beat.
    limits
        Of the gate.

    Returns
    -------
    Choice
        `served` is "" where no candidate gives a risk, or none that does beats every falsifier and no control is among them.
    """
    able = [name for name in candidates if name in inside.names]
    others = [name for name in able if name not in CONTROLS.values()]
    each = replace(limits, noise=limits.noise / max(1, len(others)))
    contrast = {name: _beaten(inside, ranks[name], falsifiers(name), each) for name in others}
    earned = [name for name in able if not unbeaten(contrast.get(name, ()))]
    served = _simplest(inside, able)
    if served not in earned:
        served = _simplest(inside, earned)
    return Choice(
        served=served,
        reason=_chosen(inside, served, able, contrast, limits),
        candidates=_candidates(inside, candidates, contrast),
        named="",
        challenger="",
        falsifiers=contrast.get(served, ()),
    )


def examine(
    inside: Inside, ranks: Mapping[str, np.ndarray], named: str, candidates: Sequence[str], falsifiers: Falsifiers, limits: GateLimits, *, noise: float
) -> Choice:
    """Let a model that was named by hand be served if it is shown to beat every control inside; else the better control is, and the model is challenger.

    Parameters
    ----------
    named
        The model.
    noise
        The lower limit of the one-sided interval at 1 - noise of the difference to each control must be above 0.
    """
    controls = [name for name in CONTROLS.values() if name in inside.names]
    candidates = [*candidates, *(name for name in (*controls, named) if name not in candidates)]
    table = _candidates(inside, candidates, {})
    if named in controls or not controls:
        reason = f"{named} is served, as register.served names it{': it is a control and has nothing to beat' if named in controls else ''}."
        return Choice(named, reason, table, named, "", ())
    if named in inside.names:
        contrast = _beaten(inside, ranks[named], falsifiers(named), replace(limits, noise=noise))
        failed = [row for row in contrast if row.against in controls and not row.lower_one_sided > 0]
        table = _candidates(inside, candidates, {named: contrast})
    else:
        contrast, failed = (), []
    if named in inside.names and not failed:
        beaten = " and ".join(f"{row.against} ({_signed(row.difference)})" for row in contrast if row.against in controls)
        return Choice(named, f"{named} is served, as register.served names it: inside the training centers it beats {beaten}.", table, named, "", contrast)
    better = max(controls, key=lambda name: inside.c(name).value)
    limits_missed = "; ".join(
        f"C {row.challenger:.3f} against {row.other:.3f} of {row.against}, lower {_sure(noise)} limit {_signed(row.lower_one_sided)}" for row in failed
    )
    fault = f"is not shown to beat the controls inside the training centers ({limits_missed})" if failed else "retained no feature inside the training centers"
    return Choice(better, f"{better} is served: {named}, which register.served names, {fault}.", table, named, named, contrast)


def unbeaten(contrast: Sequence[Contrast]) -> tuple[str, ...]:
    """Return what a model is not shown to beat."""
    return tuple(row.against for row in contrast if not row.lower_one_sided > 0)


def _beaten(inside: Inside, ranks: np.ndarray, falsifiers: Mapping[str, np.ndarray], limits: GateLimits) -> tuple[Contrast, ...]:
    """A model against everything that it must beat, as the gate compares a challenger with its baselines."""
    return against(inside.outcomes, ranks, falsifiers, limits)


def _simplest(inside: Inside, names: Sequence[str]) -> str:
    """The first of some models within one standard error of their best; "" where there is none."""
    try:
        best = max(names, key=lambda name: inside.c(name).value)
    except (ValueError, Undefined):  # no model, or no comparable pair
        return next(iter(names), "")
    return next(name for name in names if _behind(inside, best, name).value <= _se(_behind(inside, best, name)))


def _behind(inside: Inside, best: str, name: str) -> Drawn:
    return inside.difference(best, name)


def _se(drawn: Drawn) -> float:
    return float(drawn.resampled.std(ddof=1)) if drawn.resampled.size > 1 else 0.0


def _candidates(inside: Inside, names: Sequence[str], contrast: Mapping[str, Sequence[Contrast]]) -> tuple[Candidate, ...]:
    rows = []
    try:
        best = max((name for name in names if name in inside.names), key=lambda name: inside.c(name).value)
    except (ValueError, Undefined):
        best = ""
    for name in names:
        control = name in CONTROLS.values()
        if not best or name not in inside.names:
            rows.append(Candidate(name, math.nan, math.nan, math.nan, math.nan, control, ()))
            continue
        c, behind = inside.c(name), _behind(inside, best, name)
        rows.append(Candidate(name, c.value, _se(c), behind.value, _se(behind), control, unbeaten(contrast.get(name, ()))))
    return tuple(rows)


def _chosen(inside: Inside, served: str, able: Sequence[str], contrast: Mapping[str, Sequence[Contrast]], limits: GateLimits) -> str:
    """Why a model is served, in one or two sentences."""
    if not served:
        if not able:
            return "Nothing is served: no candidate retained a feature."
        missed = "; ".join(f"{name} is not shown to beat {' and '.join(unbeaten(contrast.get(name, ())))}" for name in able)
        return f"Nothing is served: {missed}, and no control is a candidate. Name Volume or Clinical among register.candidates."
    try:
        c = inside.c(served).value
        best = max(able, key=lambda name: inside.c(name).value)
    except Undefined as undefined:
        return f"{served} is served, the simplest candidate: C inside the training centers is undefined ({undefined})."
    if served in CONTROLS.values():
        others = [name for name in able if name not in CONTROLS.values()]
        if not others:
            return f"{served} is served, C {c:.3f} inside the training centers: there is no other candidate."
        top = max(others, key=lambda name: inside.c(name).value)
        difference, low = inside.difference(top, served), 0.5 * (1 - limits.confidence)
        interval = f"{_signed(difference.limit(low))} to {_signed(difference.limit(1 - low))}"
        least = f"; not shown to beat {' and '.join(unbeaten(contrast[top]))}" if unbeaten(contrast.get(top, ())) else ""
        return (
            f"{served} only: nothing beat it inside the training centers, where its C is {c:.3f}. The best other candidate is {top}, "
            f"{_signed(difference.value)} ({100 * limits.confidence:g} % {interval}{least})."
        )
    simplest = "the best" if best == served else f"the simplest within one standard error of the best ({best}, {inside.c(best).value:.3f}),"
    return f"{served} is served: C {c:.3f} inside the training centers, {simplest} of {len(able)} candidates, and it beats every falsifier."


def _signed(value: float) -> str:
    return f"{round(value, 3) + 0.0:+.3f}"  # never -0.000


def _sure(noise: float) -> str:
    return f"{100 * (1 - noise):g} %"
