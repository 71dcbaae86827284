"""Replicate weights: many re-weighted copies of the sample whose spread is the variance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, special

from baserate.stats.arrays import Array, IntArray, finite, one_or_each, probabilities
from baserate.terms.errors import DesignError


@dataclass(frozen=True)
class ReplicateWeights:
    """Weights of R replicates and what each one's squared deviation counts.

    Attributes:
        weights: Shape (n, R).
        scale: Multiplier of each replicate's squared deviation, shape (R,).
        method: What made them.
    """

    weights: Array
    scale: Array
    method: str

    def variance(self, replicates: ArrayLike, estimate: ArrayLike) -> Array:
        r"""Variance (or covariance matrix) of an estimate from its replicates.

        $$ \hat V = \sum_r s_r (\hat\theta_r - \hat\theta)^2 $$

        Args:
            replicates: The estimate under each replicate's weights, shape (R,) or (R, D).
            estimate: The estimate under the full weights, a number or shape (D,).
        Returns: A 0-d array for one estimate, shape (D, D) for D of them.
        Raises: DesignError if there is not one value per replicate.
        """
        values = np.asarray(replicates, dtype=np.float64)
        if values.ndim not in (1, 2) or values.shape[0] != self.scale.size:
            raise DesignError(
                "one estimate per replicate is needed",
                code="shape",
                expected=f"{self.scale.size} rows",
                got=f"shape {values.shape}",
            )
        gap = values - np.asarray(estimate, dtype=np.float64)
        if not np.isfinite(gap).all():
            raise DesignError("a replicate estimate is not finite", code="not_finite")
        if gap.ndim == 1:
            return np.asarray(self.scale @ gap**2)
        return np.asarray((gap * self.scale[:, None]).T @ gap)

    def totals(self, y: ArrayLike) -> Array:
        """Total of y, shape (n,) or (n, D), under every replicate: shape (R,) or (R, D)."""
        return np.asarray(self.weights.T @ np.asarray(y, dtype=np.float64))


def jackknife_weights(
    weight: ArrayLike,
    cluster: ArrayLike,
    stratum: ArrayLike | None = None,
    *,
    sampled_share: ArrayLike | None = None,
) -> ReplicateWeights:
    r"""JKn: leave out one cluster at a time, within strata.

    Replicate (h, c) drops cluster c and multiplies its stratum's others by n_h/(n_h - 1); it
    counts (n_h - 1)/n_h times 1 - f_h.

    Args:
        weight: Full weights, >= 0, shape (n,).
        cluster: First-stage cluster (a unit of its own, if none), shape (n,).
        stratum: Stratum, shape (n,); None: one.
        sampled_share: f_h of each unit's stratum, in [0, 1]; None: 0.
    Bias: for a total equal to the with-replacement linearised variance.
    Raises: DesignError on a stratum with a single cluster.
    References: Rust & Rao (1996); Wolter (2007), ch. 4.
    """
    w, psu, layer, count = _clusters(weight, cluster, stratum)
    share = _share(sampled_share, layer, count.size)
    stratum_of = _first(layer, psu)
    n_psu = stratum_of.size
    weights = np.repeat(w[:, None], n_psu, axis=1)
    for r in range(n_psu):
        inside = layer == stratum_of[r]
        n_h = count[stratum_of[r]]
        weights[inside, r] *= np.where(psu[inside] == r, 0.0, n_h / (n_h - 1.0))
    n_r = count[stratum_of]
    return ReplicateWeights(
        weights, (1.0 - share[stratum_of]) * (n_r - 1.0) / n_r, "jackknife (JKn)"
    )


def brr_weights(
    weight: ArrayLike, cluster: ArrayLike, stratum: ArrayLike, *, fay: float = 0.0
) -> ReplicateWeights:
    r"""Balanced repeated replication: half-samples of two clusters per stratum, by Hadamard.

    Kept clusters are multiplied by 2 - rho, dropped ones by rho (Fay); each replicate counts
    1/(R (1 - rho)^2).

    Args:
        weight: Full weights, >= 0, shape (n,).
        cluster: First-stage cluster, shape (n,).
        stratum: Stratum, shape (n,), each with exactly two clusters.
        fay: rho, in [0, 1); 0.3-0.5 keeps rare domains from vanishing.
    Bias: for a total exactly the linearised variance, by balance.
    Raises: DesignError unless every stratum has two clusters.
    References: McCarthy (1969); Judkins (1990); Wolter (2007), ch. 3.
    """
    if not 0.0 <= fay < 1.0:
        raise DesignError("Fay's factor must lie in [0, 1)", got=repr(fay))
    w, psu, layer, count = _clusters(weight, cluster, stratum)
    if (count != 2).any():
        raise DesignError(
            "balanced repeated replication needs two clusters in every stratum",
            code="not_paired",
            got=f"{int((count != 2).sum())} of {count.size} strata have another number",
            hint="pair the clusters first, or use jackknife_weights",
        )
    size = 1 << int(count.size).bit_length()  # a power of two above H: column 0 is not used
    signs = linalg.hadamard(size)[:, 1 : count.size + 1].astype(np.float64)
    stratum_of = _first(layer, psu)
    second = np.zeros(stratum_of.size)
    second[1:] = stratum_of[1:] == stratum_of[:-1]
    which = np.where(second == 1.0, -1.0, 1.0)  # clusters are numbered stratum by stratum
    kept = signs[:, layer] * which[psu][None, :] > 0.0
    factor = np.where(kept, 2.0 - fay, fay)
    return ReplicateWeights(
        (w * factor).T, np.full(size, 1.0 / (size * (1.0 - fay) ** 2)), "BRR" if fay == 0 else "Fay"
    )


def rao_wu_weights(
    weight: ArrayLike,
    cluster: ArrayLike,
    stratum: ArrayLike | None = None,
    *,
    replicates: int,
    rng: np.random.Generator,
    sampled_share: ArrayLike | None = None,
) -> ReplicateWeights:
    r"""Rao-Wu rescaled bootstrap: n_h - 1 clusters drawn with replacement within strata.

    $$ w^*_i = w_i \Big[1 - \sqrt{1-f_h} + \sqrt{1-f_h}\,\frac{n_h}{n_h - 1} t_i \Big] $$

    with t_i how often the unit's cluster was drawn.

    Args:
        weight: Full weights, >= 0, shape (n,).
        cluster: First-stage cluster, shape (n,).
        stratum: Stratum, shape (n,); None: one.
        replicates: R.
        rng: Where the draws come from.
        sampled_share: f_h of each unit's stratum, in [0, 1]; None: 0.
    Bias: for a total none beyond the linearised variance's; Monte-Carlo error of order 1/sqrt(R).
    Raises: DesignError on a stratum with a single cluster, or no replicates.
    References: Rao & Wu (1988); Rao, Wu & Yue (1992).
    """
    if replicates < 1:
        raise DesignError("a bootstrap needs at least one replicate", got=repr(replicates))
    w, psu, layer, count = _clusters(weight, cluster, stratum)
    root = np.sqrt(1.0 - _share(sampled_share, layer, count.size))
    stratum_of = _first(layer, psu)
    times = np.zeros((stratum_of.size, replicates))
    for h, n_h in enumerate(count):
        drawn = rng.multinomial(n_h - 1, np.full(n_h, 1.0 / n_h), size=replicates)
        times[stratum_of == h] = drawn.T
    factor = (1.0 - root[stratum_of])[:, None] + (
        root[stratum_of] * count[stratum_of] / (count[stratum_of] - 1.0)
    )[:, None] * times
    return ReplicateWeights(
        w[:, None] * factor[psu], np.full(replicates, 1.0 / replicates), "Rao-Wu bootstrap"
    )


def poisson_bootstrap_weights(
    inclusion_prob: ArrayLike, unit_key: ArrayLike, *, replicates: int, salt: int
) -> ReplicateWeights:
    r"""Poisson bootstrap keyed by unit: the same counts on every shard, engine and day.

    $$ w^*_i = \frac{1}{\pi_i}\Big[1 + \sqrt{1-\pi_i}\,(\xi_i - 1)\Big],\qquad
       \xi_i \sim \text{Poisson}(1) $$

    so that the variance of a total has mean sum (1-pi) e^2/pi^2, that of a Poisson sample.

    Args:
        inclusion_prob: pi_i, in (0, 1], shape (n,).
        unit_key: A key of each unit: its permanent random number in (0, 1), or any unsigned
            integer hash, shape (n,). Equal keys get equal counts (pass the cluster's key to
            resample clusters).
        replicates: R.
        salt: Another salt gives another bootstrap.
    Assumes: independent draws; for a fixed-size design it overstates.
    Raises: DesignError if a probability lies outside (0, 1] or the shapes differ.
    References: Chamandy et al. (2012), Estimating uncertainty for massive data streams;
        Beaumont & Patak (2012).
    """
    pi, keys = probabilities("inclusion_prob", inclusion_prob), _integer_keys(unit_key)
    if pi.shape != keys.shape or replicates < 1:
        raise DesignError(
            "one key per unit and at least one replicate are needed",
            code="shape",
            got=f"{pi.size} probabilities, {keys.size} keys, {replicates} replicates",
        )
    counts = keyed_poisson_counts(keys, replicates=replicates, salt=salt)
    factor = 1.0 + np.sqrt(1.0 - pi)[:, None] * (counts - 1.0)
    return ReplicateWeights(
        factor / pi[:, None], np.full(replicates, 1.0 / replicates), "keyed Poisson bootstrap"
    )


def keyed_poisson_counts(unit_key: ArrayLike, *, replicates: int, salt: int) -> Array:
    """Poisson(1) counts, shape (n, R), that depend on the key, the replicate and the salt only.

    Args:
        unit_key: As in :func:`poisson_bootstrap_weights`, shape (n,).
        replicates: R.
        salt: Non-negative integer.
    """
    keys = _integer_keys(unit_key)
    stream = _mix(np.arange(replicates, dtype=np.uint64) + _mix(np.array([salt], np.uint64)))
    mixed = _mix(keys[:, None] ^ stream[None, :])
    u = ((mixed >> np.uint64(12)).astype(np.float64) + 0.5) / 2.0**52
    steps = special.pdtr(np.arange(19.0), 1.0)  # P(count <= k); above it 1 to double precision
    return np.searchsorted(steps, u.ravel(), side="left").reshape(u.shape).astype(np.float64)


def _mix(
    values: np.ndarray[tuple[int, ...], np.dtype[np.uint64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    """SplitMix64's finaliser (Steele, Lea & Flood 2014): scatters 64 bits; arithmetic wraps."""
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _integer_keys(unit_key: ArrayLike) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    given = np.asarray(unit_key)
    if np.issubdtype(given.dtype, np.floating):
        u = finite("unit_key", given)
        if u.size and (u.min() < 0.0 or u.max() >= 1.0):
            raise DesignError("a permanent random number lies outside [0, 1)", code="key")
        return (u * 2.0**52).astype(np.uint64)
    if not np.issubdtype(given.dtype, np.integer) or given.ndim != 1:
        raise DesignError("unit_key must be permanent random numbers or integer hashes", code="key")
    return given.astype(np.uint64)


def _clusters(
    weight: ArrayLike, cluster: ArrayLike, stratum: ArrayLike | None
) -> tuple[Array, IntArray, IntArray, IntArray]:
    """Weights, cluster codes numbered stratum by stratum, stratum codes, clusters per stratum."""
    w = finite("weight", weight)
    psu = np.asarray(cluster)
    layer = np.zeros(w.size, dtype=np.int64) if stratum is None else np.asarray(stratum)
    if not w.shape == psu.shape == layer.shape or w.size == 0:
        raise DesignError("weight, cluster and stratum differ in length", code="shape")
    if w.min() < 0.0:
        raise DesignError("weight must not be negative", code="negative_weight", got=f"{w.min()}")
    strata = np.unique(layer, return_inverse=True)[1].ravel()
    within = np.unique(psu, return_inverse=True)[1].ravel()
    pairs, codes = np.unique(np.stack([strata, within]), axis=1, return_inverse=True)
    count = np.bincount(pairs[0])
    if count.min() < 2:
        raise DesignError(
            "a stratum has a single cluster",
            code="one_unit",
            got=f"{int((count < 2).sum())} of {count.size} strata",
            hint="collapse it with a neighbouring stratum before calling",
        )
    return w, codes.ravel().astype(np.int64), strata.astype(np.int64), count.astype(np.int64)


def _first(layer: IntArray, psu: IntArray) -> IntArray:
    """Stratum of each cluster code."""
    out = np.zeros(int(psu.max()) + 1, dtype=np.int64)
    out[psu] = layer
    return out


def _share(sampled_share: ArrayLike | None, layer: IntArray, n_strata: int) -> Array:
    """f_h of each stratum, from a value per unit or one for all."""
    share = np.zeros(n_strata)
    if sampled_share is not None:
        given = one_or_each("sampled_share", sampled_share, layer.shape)
        if not (np.isfinite(given).all() and given.min() >= 0.0 and given.max() <= 1.0):
            raise DesignError("sampled_share must lie in [0, 1]", code="not_a_probability")
        share[layer] = given
    return share
