"""How many candidate parameters a sample can carry, and how many patients a model needs: the criteria of Riley et al. for time-to-event outcomes."""

from __future__ import annotations

import math

from penumbra.survival.outcome import Undefined

CHANCE = 0.5


def explained_variation(concordance: float, events: float, patients: float) -> float:
    """Return the Cox-Snell R2 that a C-index stands for, in a sample of this size.

    C becomes Royston's D (Jinks), D becomes R2_D, R2_D becomes O'Quigley's R2, and that, with the events, the likelihood ratio.

    Parameters
    ----------
    concordance
        Harrell's C of a model on patients that it was not fitted on. At 0.5 or below nothing is explained.
    events, patients
        Deaths, and patients.

    Returns
    -------
    float
        R2, from 0 on.

    Raises
    ------
    ValueError
        "a sample has patients, and at most as many deaths; found ...".

    References
    ----------
    Riley et al. 2019, Stat Med 38:1276, section 5.2; Jinks et al. 2015, BMC Med Res Methodol 15:82 (C to D); O'Quigley et al. 2005, Stat Med 24:479.

    Examples
    --------
    >>> from penumbra.survival import explained_variation
    >>> round(explained_variation(0.61, 85, 131), 4)
    0.0868
    """
    if not 0 <= events <= patients or patients <= 0:
        raise ValueError(f"a sample has patients, and at most as many deaths; found {events:g} deaths of {patients:g} patients")
    beyond_chance = max(0.0, concordance - CHANCE)
    d = 5.50 * beyond_chance + 10.26 * beyond_chance**3
    signal, noise = d * d * math.pi / 8, math.pi**2 / 6
    royston = signal / (noise + signal)
    o_quigley = -noise * royston / ((1 - noise) * royston - 1)
    likelihood_ratio = -events * math.log1p(-o_quigley)
    return -math.expm1(-likelihood_ratio / patients)


def parameters_allowed(explained: float, patients: float, *, shrinkage: float) -> float:
    """Return how many candidate parameters a sample carries, so that coefficients need to shrink by no more than 1 - shrinkage (criterion 1).

    Parameters
    ----------
    explained
        Cox-Snell R2 that is expected of the model, adjusted for optimism.
    patients
        Of the sample.
    shrinkage
        Expected uniform shrinkage of the coefficients, such as 0.9.

    Returns
    -------
    float
        Parameters, not rounded; 0 where nothing is explained.

    Raises
    ------
    Undefined
        "an R2 of ... leaves nothing to shrink to ...".
    ValueError
        "shrinkage is between 0 and 1; found ...".

    References
    ----------
    Riley et al. 2019, Stat Med 38:1276, criterion 1.

    Examples
    --------
    >>> from penumbra.survival import explained_variation, parameters_allowed
    >>> round(parameters_allowed(explained_variation(0.61, 85, 131), 131, shrinkage=0.9), 1)
    1.3
    """
    return patients * _per_patient(explained, shrinkage)


def patients_needed(parameters: float, explained: float, *, shrinkage: float) -> float:
    """Return how many patients a number of candidate parameters needs (criterion 1).

    Parameters
    ----------
    parameters
        Every column that a selection sees, not only those that it keeps.
    explained
        Cox-Snell R2 that is expected of the model, adjusted for optimism.
    shrinkage
        Expected uniform shrinkage of the coefficients, such as 0.9.

    Returns
    -------
    float
        Patients, not rounded; infinite where nothing is explained.

    Raises
    ------
    Undefined
        "an R2 of ... leaves nothing to shrink to ...".
    ValueError
        "shrinkage is between 0 and 1; found ...".

    References
    ----------
    Riley et al. 2019, Stat Med 38:1276, criterion 1.

    Examples
    --------
    >>> import math
    >>> from penumbra.survival import patients_needed
    >>> math.ceil(patients_needed(30, 0.051, shrinkage=0.9))
    5143
    """
    each = _per_patient(explained, shrinkage)
    return parameters / each if each > 0 else math.inf


def patients_for_small_optimism(parameters: float, explained: float, events_per_patient: float, *, difference: float) -> float:
    """Return how many patients keep Nagelkerke's R2 from being overstated by more than a difference (criterion 2).

    Parameters
    ----------
    parameters
        Every column that a selection sees.
    explained
        Cox-Snell R2 that is expected of the model, adjusted for optimism.
    events_per_patient
        Deaths over patients.
    difference
        Between the apparent and the adjusted R2, such as 0.05.

    Returns
    -------
    float
        Patients, not rounded; infinite where nothing is explained.

    Raises
    ------
    Undefined
        "an R2 of ... is beyond the largest of ...".

    References
    ----------
    Riley et al. 2019, Stat Med 38:1276, criterion 2, with the correction of equation 13 (Stat Med 38:5672).

    Examples
    --------
    >>> import math
    >>> from penumbra.survival import patients_for_small_optimism
    >>> math.ceil(patients_for_small_optimism(25, 0.051, 0.13455, difference=0.05))
    866
    """
    largest = -math.expm1(2 * (events_per_patient * math.log(events_per_patient) - events_per_patient))
    if explained > largest:
        raise Undefined(f"an R2 of {explained:.3g} is beyond the largest of {largest:.3g}, at {events_per_patient:.3g} deaths per patient")
    return patients_needed(parameters, explained, shrinkage=explained / (explained + difference * largest)) if explained > 0 else math.inf


def patients_for_overall_risk(rate: float, horizon: float, follow_up: float, *, margin: float, confidence: float = 0.95) -> float:
    """Return how many patients give the overall risk at a horizon within a margin (criterion 3).

    Survival is taken as exponential, as in the criterion; the upper limit of the risk is the margin above it.

    Parameters
    ----------
    rate
        Deaths per unit of time followed.
    horizon, follow_up
        The time of the risk, and the mean follow-up, in the same unit.
    margin
        Of the risk, such as 0.05.
    confidence
        Of the interval of the rate.

    Returns
    -------
    float
        Patients, not rounded.

    Raises
    ------
    Undefined
        "any number of patients does: ...".

    References
    ----------
    Riley et al. 2019, Stat Med 38:1276, criterion 3.

    Examples
    --------
    >>> import math
    >>> from penumbra.survival import patients_for_overall_risk
    >>> math.ceil(patients_for_overall_risk(0.065, 2, 2.07, margin=0.05))
    141
    """
    from scipy.special import ndtri

    alive = math.exp(-rate * horizon)
    if margin >= alive:
        raise Undefined(f"any number of patients does: the risk of {1 - alive:.3g} can rise by no more than {alive:.3g}")
    higher_rate = -math.log((alive - margin) / alive) / horizon
    return rate * (float(ndtri(0.5 + 0.5 * confidence)) / higher_rate) ** 2 / follow_up


def _per_patient(explained: float, shrinkage: float) -> float:
    """Parameters that one patient carries."""
    if not 0 < shrinkage < 1:
        raise ValueError(f"shrinkage is between 0 and 1; found {shrinkage:g}")
    if explained >= shrinkage:
        raise Undefined(f"an R2 of {explained:.3g} leaves nothing to shrink to {shrinkage:g}")
    return (shrinkage - 1) * math.log1p(-max(explained, 0.0) / shrinkage)
