"""Variances of a Horvitz-Thompson total of residuals, one per kind of design.

Each takes the residual e that linearises an estimator (its own y for a plain total) and returns
an estimate of V(sum of e_i / pi_i). What is exact, what approximate, is in each docstring.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, IntArray, finite, one_or_each, probabilities
from baserate.stats.phases import stratum_sums
from baserate.terms.errors import DesignError


def poisson_variance(residual: ArrayLike, inclusion_prob: ArrayLike) -> float:
    r"""Units entered independently (Poisson, Bernoulli).

    $$ \hat V = \sum_s (1 - \pi_i)\, e_i^2 / \pi_i^2 $$

    Args:
        residual: e_i, shape (n,).
        inclusion_prob: pi_i, in (0, 1], shape (n,).
    Bias: none.
    Raises: DesignError if a probability lies outside (0, 1] or the shapes differ.
    References: Särndal, Swensson & Wretman (1992), sec. 3.5.
    """
    e, pi = _pair(residual, inclusion_prob)
    return float(((1.0 - pi) * (e / pi) ** 2).sum())


def sen_yates_grundy_variance(
    residual: ArrayLike, inclusion_prob: ArrayLike, joint_prob: ArrayLike
) -> float:
    r"""Fixed-size designs whose joint probabilities are known.

    $$ \hat V = -\tfrac12 \sum_{i \ne j} \frac{\pi_{ij} - \pi_i\pi_j}{\pi_{ij}}
       \Big(\frac{e_i}{\pi_i} - \frac{e_j}{\pi_j}\Big)^2 $$

    Args:
        residual: e_i, shape (n,).
        inclusion_prob: pi_i, in (0, 1], shape (n,).
        joint_prob: pi_ij of the sampled pairs, > 0, shape (n, n); the diagonal is not read.
    Assumes: a fixed sample size.
    Bias: none where every pair of the population has pi_ij > 0. May come out negative for
        designs with some pi_ij > pi_i pi_j.
    Raises: DesignError if a sampled pair has pi_ij <= 0 or above 1.
    References: Sen (1953); Yates & Grundy (1953); Särndal, Swensson & Wretman (1992), sec. 2.8.
    """
    e, pi = _pair(residual, inclusion_prob)
    joint = _joint(joint_prob, pi)
    scaled = e / pi
    gap = scaled[:, None] - scaled[None, :]
    term = (np.outer(pi, pi) - joint) / joint * gap**2
    return float(term.sum() / 2.0)


def horvitz_thompson_variance(
    residual: ArrayLike, inclusion_prob: ArrayLike, joint_prob: ArrayLike
) -> float:
    r"""Any design whose joint probabilities are known, of fixed or random size.

    $$ \hat V = \sum_i \frac{1-\pi_i}{\pi_i^2} e_i^2 + \sum_{i \ne j}
       \frac{\pi_{ij} - \pi_i\pi_j}{\pi_{ij}}\,\frac{e_i}{\pi_i}\frac{e_j}{\pi_j} $$

    Args:
        residual: e_i, shape (n,).
        inclusion_prob: pi_i, in (0, 1], shape (n,).
        joint_prob: pi_ij of the sampled pairs, > 0, shape (n, n); the diagonal is not read.
    Bias: none where every pair has pi_ij > 0. Less stable than Sen-Yates-Grundy at fixed size.
    Raises: DesignError if a sampled pair has pi_ij <= 0 or above 1.
    References: Horvitz & Thompson (1952).
    """
    e, pi = _pair(residual, inclusion_prob)
    joint = _joint(joint_prob, pi)
    scaled = e / pi
    weight = 1.0 - np.outer(pi, pi) / joint
    np.fill_diagonal(weight, 1.0 - pi)
    return float(scaled @ weight @ scaled)


def deville_variance(
    residual: ArrayLike, inclusion_prob: ArrayLike, stratum: ArrayLike | None = None
) -> float:
    r"""Fixed-size designs of high entropy, from first-order probabilities alone.

    $$ \hat V = \frac{1}{1-\sum a_i^2} \sum_s (1-\pi_i)
       \Big(\frac{e_i}{\pi_i} - \sum a_j \frac{e_j}{\pi_j}\Big)^2,\quad
       a_i = \frac{1-\pi_i}{\sum (1-\pi_j)} $$

    within strata. A stratum with one unit that is not a take-all counts uncentred.

    Args:
        residual: e_i, shape (n,).
        inclusion_prob: pi_i, in (0, 1], shape (n,).
        stratum: Stratum of each unit, shape (n,); None: one stratum.
    Assumes: near-maximal entropy (conditional Poisson, Sampford, Pareto, sequential Poisson,
        randomised systematic).
    Bias: none for (stratified) simple random sampling; small for the rest.
    References: Deville (1999); Tillé (2006), sec. 7.5; Matei & Tillé (2005), estimator V_Dev2.
    """
    e, pi = _pair(residual, inclusion_prob)
    return _centred(e / pi, 1.0 - pi, stratum, deville=True)


def hajek_variance(
    residual: ArrayLike, inclusion_prob: ArrayLike, stratum: ArrayLike | None = None
) -> float:
    r"""Hajek's older form of :func:`deville_variance`, with n/(n-1) for the correction.

    $$ \hat V = \frac{n}{n-1} \sum_s (1-\pi_i)\Big(\frac{e_i}{\pi_i} - A\Big)^2 $$

    n counts units that are not take-alls. For equal probabilities the two agree.

    Args:
        residual: e_i, shape (n,).
        inclusion_prob: pi_i, in (0, 1], shape (n,).
        stratum: Stratum of each unit, shape (n,); None: one stratum.
    References: Hájek (1964); Tillé (2006), sec. 7.5.
    """
    e, pi = _pair(residual, inclusion_prob)
    return _centred(e / pi, 1.0 - pi, stratum, deville=False)


def successive_difference_variance(residual: ArrayLike, inclusion_prob: ArrayLike) -> float:
    r"""Systematic samples, whose joint probabilities are partly zero: neighbours compared.

    $$ \hat V = \frac{n}{2(n-1)} \sum_{i=2}^{n} \Big(1 - \frac{\pi_i + \pi_{i-1}}{2}\Big)
       \Big(\frac{e_i}{\pi_i} - \frac{e_{i-1}}{\pi_{i-1}}\Big)^2 $$

    Args:
        residual: e_i in the order of the systematic draw, shape (n,).
        inclusion_prob: pi_i in the same order, in (0, 1], shape (n,).
    Assumes: neighbours in the ordering alike; take-alls left out.
    Bias: no unbiased estimator exists. About right for a random order, conservative for a
        trend, too low for a period that matches the interval.
    Raises: DesignError with fewer than two units.
    References: Wolter (2007), sec. 8.2, estimator v2.
    """
    e, pi = _pair(residual, inclusion_prob)
    if e.size < 2:
        raise DesignError("one unit has no neighbour to compare", code="one_unit", got="n = 1")
    gap, share = np.diff(e / pi), 1.0 - (pi[1:] + pi[:-1]) / 2.0
    return float(e.size / (2.0 * (e.size - 1.0)) * (share * gap**2).sum())


def with_replacement_variance(residual: ArrayLike, draw_prob: ArrayLike) -> float:
    r"""n independent draws with replacement; for the mean of e_j / p_j.

    $$ \hat V = \frac{1}{n(n-1)} \sum_j \Big(\frac{e_j}{p_j} - \hat T\Big)^2 $$

    Args:
        residual: e_j of each draw, shape (n,).
        draw_prob: p_j of one draw, in (0, 1], shape (n,).
    Bias: none.
    Raises: DesignError with fewer than two draws.
    References: Hansen & Hurwitz (1943).
    """
    e, p = _pair(residual, draw_prob)
    if e.size < 2:
        raise DesignError("one draw has no spread to measure", code="one_unit", got="n = 1")
    return float(np.var(e / p, ddof=1) / e.size)


def ultimate_cluster_variance(
    residual: ArrayLike,
    weight: ArrayLike,
    cluster: ArrayLike,
    stratum: ArrayLike | None = None,
    *,
    sampled_share: ArrayLike | None = None,
) -> float:
    r"""Clusters drawn within strata, whatever happened inside them.

    $$ \hat V = \sum_h (1-f_h) \frac{n_h}{n_h-1} \sum_{c} (z_{hc} - \bar z_h)^2,\qquad
       z_{hc} = \sum_{i \in c} w_i e_i $$

    Args:
        residual: e_i, shape (n,).
        weight: w_i = 1/pi_i over all stages, >= 0, shape (n,).
        cluster: First-stage cluster of each unit, shape (n,). Codes may repeat over strata.
        stratum: Stratum of each unit, shape (n,); None: one stratum.
        sampled_share: f_h of each unit's stratum, in [0, 1], shape (n,) or a number: right when
            whole clusters are taken; None: 0, as if drawn with replacement, which overstates a
            little and holds for any further stages.
    Raises: DesignError on a stratum with a single cluster: collapse it with a neighbour first.
    References: Wolter (2007), sec. 1.4; Särndal, Swensson & Wretman (1992), sec. 4.6.
    """
    e, w = finite("residual", residual), finite("weight", weight)
    if w.size and w.min() < 0.0:
        raise DesignError("weight must not be negative", code="negative_weight", got=f"{w.min()}")
    layer = np.zeros(e.size, dtype=np.int64) if stratum is None else np.asarray(stratum)
    if not e.shape == w.shape == np.asarray(cluster).shape == layer.shape:
        raise DesignError("the arrays differ in length", code="shape")
    pairs, code = np.unique(np.stack([_codes(layer), _codes(cluster)]), axis=1, return_inverse=True)
    z = np.bincount(code.ravel(), weights=w * e)
    strata = pairs[0]
    count = np.bincount(strata)
    open_share = 1.0 - _stratum_share(sampled_share, _codes(layer))
    if (open_share[count < 2] > 0.0).any():
        raise DesignError(
            "a stratum has a single cluster",
            code="one_unit",
            got=f"{int((count < 2).sum())} of {count.size} strata",
            hint="collapse it with a neighbouring stratum before calling",
        )
    spread = z - (np.bincount(strata, weights=z) / count)[strata]
    factor = open_share * count / np.maximum(count - 1.0, 1.0)
    return float((factor * np.bincount(strata, weights=spread**2)).sum())


def _stratum_share(sampled_share: ArrayLike | None, strata: IntArray) -> Array:
    """f_h of each stratum, from a value per unit or one for all; 0 if not given."""
    given = 0.0 if sampled_share is None else sampled_share
    share = one_or_each("sampled_share", given, strata.shape)
    if not (np.isfinite(share).all() and share.min() >= 0.0 and share.max() <= 1.0):
        raise DesignError("sampled_share must lie in [0, 1]", code="not_a_probability")
    return np.asarray(np.bincount(strata, weights=share) / np.bincount(strata))


def _codes(values: ArrayLike) -> IntArray:
    return np.unique(np.asarray(values), return_inverse=True)[1].astype(np.int64).ravel()


def _pair(residual: ArrayLike, prob: ArrayLike) -> tuple[Array, Array]:
    e, pi = finite("residual", residual), probabilities("inclusion_prob", prob)
    if e.shape != pi.shape or e.size == 0:
        raise DesignError(
            "a variance needs one probability per residual, and at least one",
            code="shape",
            got=f"{e.size} residuals, {pi.size} probabilities",
        )
    return e, pi


def _joint(joint_prob: ArrayLike, pi: Array) -> Array:
    joint = np.array(joint_prob, dtype=np.float64)
    if joint.shape != (pi.size, pi.size):
        raise DesignError(
            "joint_prob must be square, a row per sampled unit",
            code="shape",
            expected=f"shape ({pi.size}, {pi.size})",
            got=f"shape {joint.shape}",
        )
    np.fill_diagonal(joint, pi)
    if not (np.isfinite(joint).all() and joint.min() > 0.0 and joint.max() <= 1.0):
        raise DesignError(
            "a sampled pair has a joint probability outside (0, 1]",
            code="not_a_probability",
            hint="a design with pi_ij = 0 (systematic) has no unbiased variance: use "
            "deville_variance, and say so",
        )
    return joint


def _centred(scaled: Array, share: Array, stratum: ArrayLike | None, *, deville: bool) -> float:
    codes = np.zeros(scaled.size, dtype=np.int64) if stratum is None else _codes(stratum)
    if codes.shape != scaled.shape:
        raise DesignError("stratum differs in length from the residuals", code="shape")
    plan = stratum_sums(codes)
    total, count = plan.of(share), plan.of((share > 0.0).astype(np.float64))
    safe = np.where(total > 0.0, total, 1.0)
    concentration = plan.of(share**2) / safe**2
    several = (count > 1.0) & (1.0 - concentration > 1e-12)
    correction = 1.0 - concentration if deville else 1.0 - 1.0 / np.where(several, count, 2.0)
    factor = 1.0 / np.where(several, correction, 1.0)
    centre = np.where(several, plan.of(share * scaled) / safe, 0.0)
    return float((plan.spread(factor) * share * (scaled - plan.spread(centre)) ** 2).sum())
