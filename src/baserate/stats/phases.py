"""Phases of a sample, and what each phase adds to a variance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from baserate.stats.arrays import Array, BoolArray, IntArray, probabilities
from baserate.terms.errors import DesignError

AnyArray: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Phase:
    """One phase of a sample, told as arrays over the phase-1 sample s1.

    Args:
        inclusion_prob: Probability of each unit to be in this phase given that it was in the
            phases before, shape (n,), in (0, 1]. Read only where the unit was selected.
        selected: Whether the unit is in this phase's sample, shape (n,). None: every unit.
        fixed_size: Whether the number drawn was fixed in advance (within ``stratum``, if given):
            simple random, Pareto, sequential Poisson, Sampford, conditional Poisson. False for
            Poisson and Bernoulli draws, whose units enter independently.
        stratum: Stratum of each unit in this phase, shape (n,). Only a fixed-size phase reads it.
        cluster: Cluster (session, user) of each unit, shape (n,), if this phase drew clusters
            whole: their units share probability and stratum, and the variance is the clusters'.
    """

    inclusion_prob: ArrayLike
    selected: ArrayLike | None = None
    fixed_size: bool = False
    stratum: ArrayLike | None = None
    cluster: ArrayLike | None = None


class Clusters(NamedTuple):
    """Clusters that one phase drew, C of them, with or without a unit in the last phase.

    ``codes`` gives the cluster of each unit of s1, shape (n,), -1 where the phase did not select
    it; ``prob`` and ``strata`` (None for independent draws) are the clusters', shape (C,).
    """

    codes: IntArray
    prob: Array
    strata: IntArray | None


class TopSample(NamedTuple):
    """The units that reached the last phase, with their chain of probabilities.

    ``rows`` are positions in s1, shape (m,); ``conditional_prob`` has shape (K, m): row k is the
    probability of phase k given the phases before; ``strata`` holds, per phase, codes 0..H-1 of
    shape (m,) or None for a phase of independent draws; ``clusters`` those of phases that drew
    clusters; ``size`` is the number of units in s1.
    """

    rows: IntArray
    conditional_prob: Array
    strata: tuple[IntArray | None, ...]
    clusters: tuple[Clusters | None, ...]
    size: int

    def kept(self, keep: IntArray) -> TopSample:
        """The same sample with some of its top units only, given by their positions."""
        strata = tuple(None if codes is None else _codes(codes[keep]) for codes in self.strata)
        return TopSample(
            self.rows[keep], self.conditional_prob[:, keep], strata, self.clusters, self.size
        )


class PhaseChain(NamedTuple):
    """Phases checked and multiplied up: masks and pi_1...pi_k over s1 per phase, and the top."""

    masks: tuple[BoolArray, ...]
    prob: tuple[Array, ...]
    top: TopSample

    def expansion(self, phase: int) -> Array:
        """1 / (pi_1...pi_k) of the phase's units, 0 of the others, shape (n,)."""
        return np.asarray(self.masks[phase] / self.prob[phase])


def phase_chain(phases: Sequence[Phase], n: int) -> PhaseChain:
    """The phases over a phase-1 sample of n units.

    Raises: DesignError if they do not nest, do not fit, or hold a wrong probability.
    """
    masks = selected_masks(phases, n)
    return PhaseChain(
        tuple(masks), tuple(chain_probabilities(phases, masks)), top_sample(phases, masks)
    )


def selected_masks(phases: Sequence[Phase], n: int) -> list[BoolArray]:
    """The units of each phase's sample as masks over s1, checked to be nested.

    Raises: DesignError if a mask has the wrong length, holds a unit that an earlier phase did
        not select, or selects nothing.
    """
    masks: list[BoolArray] = []
    before = np.ones(n, dtype=np.bool_)
    for number, phase in enumerate(phases, start=1):
        given = before if phase.selected is None else np.asarray(phase.selected, dtype=np.bool_)
        if given.shape != (n,):
            raise DesignError(
                f"phase {number}: selected does not match the sample",
                code="shape",
                expected=f"shape ({n},)",
                got=f"shape {given.shape}",
            )
        if (given & ~before).any():
            raise DesignError(
                f"phase {number} selected a unit that phase {number - 1} did not",
                code="not_nested",
                got=f"{int((given & ~before).sum())} such units",
                hint="pass masks over s1 in which each phase is a subset of the one before",
            )
        if not given.any():
            raise DesignError(
                f"phase {number} selected no unit",
                code="empty_phase",
                hint="delete the phase together with its rung, and name the rung below as the top",
            )
        masks.append(given)
        before = given
    return masks


def chain_probabilities(phases: Sequence[Phase], masks: Sequence[BoolArray]) -> list[Array]:
    """pi_1 ... pi_k of each unit after every phase, shape (n,); 1 where a unit was not selected.

    Raises: DesignError if a selected unit's probability lies outside (0, 1].
    """
    chains: list[Array] = []
    running = np.ones(masks[0].size)
    for number, (phase, mask) in enumerate(zip(phases, masks, strict=True), start=1):
        given = np.asarray(phase.inclusion_prob, dtype=np.float64)
        if given.shape != mask.shape:
            raise DesignError(
                f"phase {number}: inclusion_prob does not match the sample",
                code="shape",
                expected=f"shape {mask.shape}",
                got=f"shape {given.shape}",
            )
        running = running.copy()
        running[mask] *= probabilities(f"phase {number} inclusion_prob", given[mask])
        chains.append(running)
    return chains


def top_sample(phases: Sequence[Phase], masks: Sequence[BoolArray]) -> TopSample:
    """The last phase's units with the probabilities, strata and clusters of every phase.

    Raises: DesignError if strata or clusters do not fit the sample, or a cluster's units differ
        in probability.
    """
    rows = np.flatnonzero(masks[-1])
    prob = np.stack([np.asarray(p.inclusion_prob, dtype=np.float64)[rows] for p in phases])
    strata: list[IntArray | None] = []
    clusters: list[Clusters | None] = []
    for number, (phase, mask) in enumerate(zip(phases, masks, strict=True), start=1):
        stratum = _labels(f"phase {number}: stratum", phase.stratum, mask.size)
        strata.append(_codes(stratum[rows]) if phase.fixed_size else None)
        clusters.append(None if phase.cluster is None else _clusters(number, phase, stratum, mask))
    return TopSample(rows, prob, tuple(strata), tuple(clusters), masks[0].size)


def _clusters(number: int, phase: Phase, stratum: AnyArray, mask: BoolArray) -> Clusters:
    labels = _labels(f"phase {number}: cluster", phase.cluster, mask.size)
    prob = np.asarray(phase.inclusion_prob, dtype=np.float64)[mask]
    _, first, codes = np.unique(labels[mask], return_index=True, return_inverse=True)
    if (prob != prob[first][codes]).any():
        raise DesignError(
            f"phase {number}: units of one cluster differ in inclusion probability",
            code="cluster_prob",
            hint="clusters are drawn whole: give every unit its cluster's probability",
        )
    strata = _codes(stratum[mask][first]) if phase.fixed_size else None
    everywhere = np.full(mask.size, -1, dtype=np.int64)
    everywhere[mask] = codes
    return Clusters(everywhere, prob[first], strata)


def _labels(name: str, values: ArrayLike | None, n: int) -> AnyArray:
    given = np.zeros(n, dtype=np.int64) if values is None else np.asarray(values)
    if given.shape != (n,):
        raise DesignError(
            f"{name} does not match the sample",
            code="shape",
            expected=f"shape ({n},)",
            got=f"shape {given.shape}",
        )
    return given


def _codes(labels: AnyArray) -> IntArray:
    """Labels as codes 0..H-1."""
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


class StratumSums(NamedTuple):
    """Sums over the rows of each stratum, by sorting once; ``order`` and ``starts`` say how."""

    order: IntArray
    starts: IntArray
    codes: IntArray

    def of(self, values: Array) -> Array:
        """Sum of ``values``, shape (m,) or (m, D), within each stratum: shape (H,) or (H, D)."""
        return np.add.reduceat(values[self.order], self.starts, axis=0)

    def spread(self, sums: Array) -> Array:
        """Each stratum's value, given back to its rows."""
        return sums[self.codes]


def stratum_sums(codes: IntArray) -> StratumSums:
    """A summing plan for codes 0..H-1, each of which occurs."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return StratumSums(order, starts, codes)


def phase_deviations(residual: Array, sample: TopSample, phase: int) -> Array:
    r"""Vectors whose squares sum to one phase's part of the variance, shape (m, D).

    $$ z_i = \sqrt{f\,c_i}\,(r_i - A), \quad r_i = e_i / (\pi_1 \cdots \pi_k), \quad
       c_i = (1-\pi_k) / (\pi_{k+1} \cdots \pi_K) $$

    so that $\hat V_k = \sum_i z_i^2$ and the covariance of two columns is $\sum_i z_{ia} z_{ib}$.
    Independent draws: A = 0 and f = 1. Fixed size, within each stratum:
    $A = \sum c r / \sum c$ and $f = 1 / (1 - \sum c^2 / (\sum c)^2)$, which is m/(m-1) for equal
    probabilities and makes one- and two-phase simple random samples exactly unbiased. Units taken
    with certainty have c = 0 and count nowhere. A stratum with a single other unit has no spread
    to measure: it is taken as an independent draw (A = 0, f = 1), which overstates.

    Phases after one that drew clusters count pi times, as the spread of the clusters' estimated
    totals (:func:`cluster_deviations`) already holds the rest: the two-stage variance.

    Args:
        residual: e of the top sample's units, shape (m, D).
        sample: The top sample.
        phase: Which phase, from 0.
    Assumes: fixed-size phases have (near-)maximal entropy.
    References: Deville (1999), Variance estimation for complex statistics, sec. 5; Särndal,
        Swensson & Wretman (1992), ch. 9 and sec. 4.3.
    """
    prob = sample.conditional_prob
    scale = np.sqrt(_cluster_share(sample, phase)[sample.rows]) / prob[: phase + 1].prod(axis=0)
    share = (1.0 - prob[phase]) / prob[phase + 1 :].prod(axis=0)
    return _centred(residual * scale[:, None], share, sample.strata[phase])


def cluster_deviations(contribution: Array, sample: TopSample, phase: int) -> Array:
    r"""As :func:`phase_deviations` for a phase that drew clusters, shape (C, D).

    Clusters stand for units: r is the cluster's estimated total of e_k, c = 1 - pi_k.

    Args:
        contribution: What each unit of s1 adds to the estimate from this phase on, expanded by
            pi_1...pi_j of the phase j that measured it, shape (n, D): its sum over a cluster
            estimates the cluster's total of e_k, and later phases are its only noise.
        sample: The top sample.
        phase: Which phase, from 0.
    References: Särndal, Swensson & Wretman (1992), sec. 4.3 and 9.8.
    """
    drawn = sample.clusters[phase]
    if drawn is None:
        raise DesignError(f"phase {phase + 1} drew no clusters", code="no_clusters")
    inside = np.flatnonzero(drawn.codes >= 0)
    scale = np.sqrt(_cluster_share(sample, phase)[inside])
    totals = np.zeros((drawn.prob.size, contribution.shape[1]))
    np.add.at(totals, drawn.codes[inside], contribution[inside] * scale[:, None])
    return _centred(totals, 1.0 - drawn.prob, drawn.strata)


def _cluster_share(sample: TopSample, phase: int) -> Array:
    """Product of the cluster probabilities of the phases before, for each unit of s1."""
    share = np.ones(sample.size)
    for drawn in sample.clusters[:phase]:
        if drawn is not None:
            share = share * np.where(drawn.codes >= 0, drawn.prob[drawn.codes], 1.0)
    return share


def _centred(scaled: Array, share: Array, codes: IntArray | None) -> Array:
    """sqrt(f c) (r - A) within strata; independent draws if there are no strata."""
    if codes is None or codes.size == 0:
        return np.asarray(np.sqrt(share)[:, None] * scaled)
    plan = stratum_sums(codes)
    total = plan.of(share)
    safe_total = np.where(total > 0.0, total, 1.0)
    spare = 1.0 - plan.of((share / plan.spread(safe_total)) ** 2)
    several = (total > 0.0) & (spare > 1e-12)
    factor = 1.0 / np.where(several, spare, 1.0)
    mean = plan.of(share[:, None] * scaled) / safe_total[:, None]
    centre = np.where(several[:, None], mean, 0.0)
    return np.asarray(
        np.sqrt(plan.spread(factor) * share)[:, None] * (scaled - plan.spread(centre))
    )


def lone_strata(sample: TopSample) -> tuple[int, ...]:
    """How many strata of each fixed-size phase have a single unit (or cluster) not a take-all."""
    counts = []
    for phase, drawn in enumerate(sample.clusters):
        codes = sample.strata[phase] if drawn is None else drawn.strata
        prob = sample.conditional_prob[phase] if drawn is None else drawn.prob
        if codes is None:
            counts.append(0)
            continue
        counts.append(int((stratum_sums(codes).of((prob < 1.0).astype(np.float64)) == 1.0).sum()))
    return tuple(counts)
