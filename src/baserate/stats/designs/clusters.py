"""Cluster and two-stage sampling: users or sessions first, interactions within them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from baserate.stats.arrays import Array, BoolArray, IntArray
from baserate.stats.designs.base import (
    Design,
    JointProbs,
    VarianceEstimator,
    check_ids,
    check_prn,
    check_units,
)
from baserate.stats.designs.stratified import assembled, check_parts
from baserate.stats.inclusion import strata_members
from baserate.terms.errors import DesignError


@dataclass(frozen=True, eq=False)
class Cluster:
    r"""One-stage cluster sampling: whole clusters are drawn, with all of their units.

    $$ \pi_i = \pi_{c(i)}, \qquad \pi_{kl} = \pi_{c(k) c(l)} $$

    Args:
        cluster: Cluster id of each unit, shape (N,).
        first: The design over clusters, in sorted order of their ids.
    Assumes: the PRN handed to `select` is a hash of the cluster id, equal within a cluster.
    Bias: none; the variance is between clusters (ultimate clusters).
    Raises: DesignError if the design is over another number of clusters.
    References: Särndal, Swensson & Wretman (1992), sec. 4.2.
    """

    cluster: NDArray[np.generic]
    first: Design

    def __post_init__(self) -> None:
        object.__setattr__(self, "cluster", np.asarray(self.cluster))
        if self.cluster_ids.size != self.first.inclusion_prob.size:
            raise DesignError(
                "the first-stage design must be over the clusters of the frame",
                expected=f"{self.cluster_ids.size} clusters",
                got=f"{self.first.inclusion_prob.size} probabilities",
            )

    @property
    def name(self) -> str:
        """The word "cluster"."""
        return "cluster"

    @cached_property
    def cluster_ids(self) -> NDArray[np.generic]:
        """Cluster ids, sorted: the order of the first-stage design."""
        return np.unique(self.cluster)

    @cached_property
    def position(self) -> IntArray:
        """Position of each unit's cluster in `cluster_ids`, shape (N,)."""
        return np.searchsorted(self.cluster_ids, self.cluster)

    @property
    def inclusion_prob(self) -> Array:
        """pi_i of the units, shape (N,)."""
        return np.asarray(self.first.inclusion_prob[self.position])

    @property
    def fixed_size(self) -> bool:
        """Whether every sample has the same number of units: only with clusters of one size."""
        return self.first.fixed_size and bool(np.ptp(np.bincount(self.position)) == 0)

    @property
    def variance_estimator(self) -> VarianceEstimator:
        """Between clusters: residual totals per cluster, under the first-stage design."""
        return "ultimate_cluster"

    def select(self, prn: Array, *, unit_ids: ArrayLike | None = None) -> BoolArray:
        """Draw whole clusters.

        Args:
            prn: u in (0, 1) of each unit's cluster, equal within a cluster, shape (N,).
            unit_ids: Not needed: ties go by cluster id.
        Raises: DesignError if the PRN varies within a cluster.
        """
        check_ids(unit_ids, self.position.size)
        return self.select_clusters(prn)[self.position]

    def select_clusters(self, prn: Array) -> BoolArray:
        """Which clusters are drawn, shape (number of clusters,); `prn` as in `select`."""
        numbers = check_prn(prn, self.position.size)
        per_cluster = np.empty(self.cluster_ids.size)
        per_cluster[self.position] = numbers
        if not (per_cluster[self.position] == numbers).all():
            raise DesignError(
                "a cluster's units carry different PRNs",
                code="prn_not_of_cluster",
                hint="hash the cluster id (say, the user), not the unit id, for this phase",
            )
        return self.first.select(per_cluster, unit_ids=self.cluster_ids)

    def joint_inclusion_probs(self, units: ArrayLike | None = None) -> JointProbs:
        """Joint probabilities of units: those of their clusters."""
        where = self.position[check_units(units, self.position.size)]
        clusters, back = np.unique(where, return_inverse=True)
        joint, method = self.first.joint_inclusion_probs(clusters)
        return JointProbs(joint[np.ix_(back, back)], method)


@dataclass(frozen=True, eq=False)
class TwoStage:
    r"""Two-stage sampling: clusters first, then units within the drawn clusters.

    $$ \pi_i = \pi_{c(i)} \pi_{i|c}, \qquad
       \pi_{kl} = \pi_c \pi_{kl|c} \text{ within a cluster, }
       \pi_{cd} \pi_{k|c} \pi_{l|d} \text{ between two} $$

    Args:
        clusters: One-stage design over whole clusters.
        within: The design within every cluster, over its units in frame order.
    Assumes: invariance and independence: what is drawn within a cluster does not depend on
        which other clusters are drawn; the two stages use PRNs of different salts.
    Bias: reach (users with at least one violation) cannot be estimated from it.
    Raises: DesignError if clusters and designs do not match.
    References: Särndal, Swensson & Wretman (1992), sec. 4.3.
    """

    clusters: Cluster
    within: Mapping[Hashable, Design]

    def __post_init__(self) -> None:
        check_parts("cluster", self._members, self.within)

    @property
    def name(self) -> str:
        """The word "two_stage"."""
        return "two_stage"

    @cached_property
    def _members(self) -> list[tuple[Hashable, IntArray]]:
        return strata_members(self.clusters.cluster)

    @cached_property
    def second_inclusion_prob(self) -> Array:
        """pi_{i|c}, given that the cluster is drawn, shape (N,)."""
        return assembled(self._members, self.within)

    @property
    def inclusion_prob(self) -> Array:
        """pi_i over both stages, shape (N,)."""
        return np.asarray(self.clusters.inclusion_prob * self.second_inclusion_prob)

    @property
    def fixed_size(self) -> bool:
        """Whether both stages are of fixed size, with one take per cluster."""
        takes = {float(np.round(d.inclusion_prob.sum(), 6)) for d in self.within.values()}
        stages = self.clusters.first.fixed_size and all(d.fixed_size for d in self.within.values())
        return stages and len(takes) == 1

    @property
    def variance_estimator(self) -> VarianceEstimator:
        """Between clusters: weighted residual totals per drawn cluster."""
        return "ultimate_cluster"

    def select(
        self,
        prn: Array,
        *,
        unit_ids: ArrayLike | None = None,
        cluster_prn: Array | None = None,
    ) -> BoolArray:
        """Draw clusters by their PRN and units within them by theirs.

        Args:
            prn: Second-stage u_i in (0, 1), one per unit, shape (N,).
            unit_ids: Breaks ties within clusters, shape (N,).
            cluster_prn: First-stage u of each unit's cluster (another salt), shape (N,).
        Raises: DesignError if a PRN is missing, or both stages use the same one.
        """
        if cluster_prn is None or np.array_equal(prn, cluster_prn):
            raise DesignError(
                "the two stages need PRNs of two salts",
                code="prn_reused",
                hint="pass cluster_prn, a hash of (another salt, cluster id)",
            )
        n_units = self.clusters.position.size
        numbers, ids = check_prn(prn, n_units), check_ids(unit_ids, n_units)
        drawn = self.clusters.select_clusters(cluster_prn)
        chosen = np.zeros(n_units, dtype=np.bool_)
        for (label, where), hit in zip(self._members, drawn.tolist(), strict=True):
            if hit:
                part_ids = None if ids is None else np.asarray(ids)[where]
                chosen[where] = self.within[label].select(numbers[where], unit_ids=part_ids)
        return chosen

    def joint_inclusion_probs(self, units: ArrayLike | None = None) -> JointProbs:
        """Joint probabilities of units over both stages."""
        wanted = check_units(units, self.clusters.position.size)
        first, method = self.clusters.joint_inclusion_probs(wanted)
        second = self.second_inclusion_prob[wanted]
        inner = np.outer(second, second)
        where = self.clusters.position[wanted]
        for place in np.unique(where).tolist():
            label, unit_rows = self._members[place]
            rows = np.flatnonzero(where == place)
            positions = np.searchsorted(unit_rows, wanted[rows])
            part = self.within[label].joint_inclusion_probs(positions)
            inner[np.ix_(rows, rows)] = part.prob
            method = "hajek" if part.method == "hajek" else method
        return JointProbs(first * inner, method)
