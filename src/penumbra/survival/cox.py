"""The loss of the network: Cox's negative log partial likelihood in pure JAX.

Needs numpy and jax only, so that it imports on a GPU host that has nothing else of the project.

Patients are sorted once from the longest time to the shortest, so that the risk set of a patient is a prefix, and the sum of exp(log_risk)
over every prefix comes from one cumulative log-sum-exp. That costs n log n and never overflows.

Only the order of the times counts, and JAX holds floats in 32 bits by default: days with fractions, or seconds, would be tied. Times
that are known when the loss is called are therefore ranked by numpy, in the precision in which they come. Times that are arguments of a compiled
function have been narrowed by JAX before this module sees them: hand in `ranks(time)` there, as the training does.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

TIES = ("efron", "breslow")
MAX_COMPARED = 1024  # patients on a GPU: up to here one comparison of all pairs is faster than a search, whose steps are kernels of their own
ROUNDING = 1e-12  # times closer than this share of themselves differ by rounding alone: months in days, 0.1 + 0.2 and 0.3


def negative_log_partial_likelihood(
    log_risk: jax.Array,
    time: jax.Array,
    event: jax.Array,
    *,
    ties: str = "efron",
    where: jax.Array | None = None,
) -> jax.Array:
    """Return the negative log partial likelihood, summed over events (not a mean: divide by the number of events for training).

    With R(t) the sum of exp(log_risk) over all with time >= t and, at a time with d deaths, D the same sum over these deaths:

        Breslow  -sum over deaths of log_risk - log R(t)
        Efron    the same with log(R(t) - l/d D) for l = 0 .. d-1 instead of d times log R(t)

    A batch without an event has loss 0 and gradient 0. The order of the patients does not matter.

    Parameters
    ----------
    log_risk : shape (n,)
        Higher = earlier death.
    time : shape (n,), any unit
        Censored at a time of death counts as at risk at it. Concrete times (numpy, or a JAX array outside of a transformation) are compared in their own
        precision, whole numbers exactly; a traced time in the precision in which JAX traces it.
    event : shape (n,), bool or 0/1
        True = died.
    ties
        "efron" or "breslow" (static under jit).
    where : shape (n,), bool
        False rows count as absent, whatever is in them (NaN too).

    Returns
    -------
    array of shape ()
        The sum over events.

    Raises
    ------
    ValueError
        "log_risk, time and event must have the same shape (n,); found ..." / "ties must be one of efron, breslow; found ...".

    References
    ----------
    Cox 1975, Biometrika 62:269; Breslow 1974, Biometrics 30:89; Efron 1977, JASA 72:557.

    Examples
    --------
    >>> from penumbra.survival import cox
    >>> log_risk, time, event = [0.0, 0.0, 0.0], [100, 200, 300], [True, True, False]
    >>> loss = cox.negative_log_partial_likelihood(log_risk, time, event)
    >>> round(float(loss), 4)  # log 3 + log 2
    1.7918
    """
    log_risk, event = jnp.asarray(log_risk), jnp.asarray(event)
    time = jnp.asarray(time if isinstance(time, jax.core.Tracer) else ranks(time))
    if not (log_risk.ndim == 1 and log_risk.shape == time.shape == event.shape):
        raise ValueError(f"log_risk, time and event must have the same shape (n,); found {log_risk.shape}, {time.shape}, {event.shape}")
    if ties not in TIES:
        raise ValueError(f"ties must be one of {', '.join(TIES)}; found {ties!r}")
    if log_risk.shape[0] == 0:
        return jnp.zeros((), log_risk.dtype)

    present = None if where is None else jnp.asarray(where).astype(bool)
    answer: jax.Array = _summed_over_events(log_risk, jax.lax.stop_gradient(time), event.astype(bool), present, ties=ties)
    return answer


def ranks(time: ArrayLike) -> np.ndarray:
    """Return the rank of each time among the distinct times: all that a partial likelihood asks of times.

    Parameters
    ----------
    time : any shape, any unit
        Whole numbers are compared exactly, floats up to ROUNDING. NaN (of a patient who is absent) ranks last.

    Returns
    -------
    array of the same shape, int32
        0 for the shortest time.

    Examples
    --------
    >>> from penumbra.survival import cox
    >>> cox.ranks([300.0, 100.0, 0.1 + 0.2, 0.3])
    array([2, 1, 0, 0], dtype=int32)
    """
    times = np.asarray(time)
    if times.dtype.kind not in "biu":
        times = times.astype(np.float64)
    distinct, rank = np.unique(times, return_inverse=True)
    if distinct.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            joined = np.isfinite(distinct[1:]) & (np.diff(distinct) <= ROUNDING * np.abs(distinct[1:]))
        rank = np.concatenate([[0], np.cumsum(~joined)])[rank] if times.size else rank
    return rank.reshape(times.shape).astype(np.int32)


@functools.partial(jax.jit, static_argnames="ties")
def _summed_over_events(log_risk: jax.Array, time: jax.Array, died: jax.Array, present: jax.Array | None, *, ties: str) -> jax.Array:
    log_risk = log_risk.astype(jnp.result_type(log_risk.dtype, jnp.float32))
    # ranks, not times: a whole number above 2^24 has no float of its own
    place = functools.partial(jnp.searchsorted, method="scan" if jax.default_backend() == "cpu" or len(time) > MAX_COMPARED else "compare_all")
    earlier = -place(jnp.sort(time), time)
    if present is not None:
        # absent rows go behind everybody: no risk set reaches them, and no infinity enters a gradient
        log_risk = jnp.where(present, log_risk, 0.0)
        died = died & present
        earlier = jnp.where(present, earlier, 1)

    order = jnp.argsort(earlier)
    log_risk, died, earlier = log_risk[order], died[order], earlier[order]
    last = place(earlier, earlier, side="right") - 1
    log_at_risk = jax.lax.cumlogsumexp(log_risk)[last]
    if ties == "efron":
        first = place(earlier, earlier, side="left")
        deaths = jnp.cumsum(died)
        deaths_before = deaths[first] - died[first]
        share = (deaths - 1 - deaths_before) / jnp.maximum(deaths[last] - deaths_before, 1)
        # exp(log_risk - log R) is at most 1: no overflow, whatever the spread of log_risk
        tie_share = jax.ops.segment_sum(jnp.where(died, jnp.exp(log_risk - log_at_risk), 0.0), first, num_segments=first.shape[0])[first]
        # 1 - l/d D/R is at least 1/d, so the logarithm is finite
        log_at_risk += jnp.log1p(-jnp.where(died, share, 0.0) * jnp.minimum(tie_share, 1.0))
    return -jnp.sum(jnp.where(died, log_risk - log_at_risk, 0.0))
