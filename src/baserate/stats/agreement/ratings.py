"""Tables of ratings: units by raters, with gaps, categories and their distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats._weighted import unit_clusters, unit_weights
from baserate.stats.arrays import Array, finite
from baserate.terms.errors import DesignError, LabelError

Scale: TypeAlias = Literal["nominal", "ordinal", "linear", "quadratic"]
Metric: TypeAlias = Literal["nominal", "ordinal", "interval", "ratio"]


@dataclass(frozen=True)
class Ratings:
    """Counts of ratings per unit and category, of the units that anybody rated.

    Attributes:
        values: The categories in ascending order, shape (q,).
        counts: Ratings of unit i in category k, shape (n, q).
        weight: Design weights with mean one over these units, shape (n,).
        cluster: Cluster codes, shape (n,), or None.
    """

    values: Array
    counts: Array
    weight: Array
    cluster: ArrayLike | None

    @property
    def per_unit(self) -> Array:
        """Number of ratings of each unit, shape (n,)."""
        return np.asarray(self.counts.sum(axis=1), dtype=np.float64)

    @property
    def share(self) -> Array:
        """Weights that sum to one, shape (n,)."""
        return np.asarray(self.weight / self.weight.sum(), dtype=np.float64)

    def at_least(self, n_ratings: int) -> Ratings:
        """Only the units with so many ratings; weights scaled anew."""
        keep = self.per_unit >= n_ratings
        cluster = None if self.cluster is None else np.asarray(self.cluster)[keep]
        weight = self.weight[keep]
        return Ratings(self.values, self.counts[keep], weight / weight.mean(), cluster)


def read_ratings(
    ratings: ArrayLike,
    design_weight: ArrayLike | None,
    cluster: ArrayLike | None,
    categories: Sequence[float] | None = None,
) -> Ratings:
    """Count ratings per category; units that nobody rated are left out.

    Args:
        ratings: Category codes or values, shape (n_units, n_raters), NaN where a rater gave none.
        design_weight: One positive weight per unit, or None.
        cluster: One code per unit, or None.
        categories: Every category that could have been given; None takes those that occur.
    Raises: DesignError for a wrong shape or an unknown category; LabelError if no unit has two
        ratings.
    """
    table = rating_table(ratings)
    weight = unit_weights(table.shape[0], design_weight)
    unit_clusters(table.shape[0], cluster)
    rated = ~np.isnan(table)
    if not (rated.sum(axis=1) >= 2).any():
        raise LabelError(
            "no unit has two ratings",
            code="no_pairs",
            hint="agreement needs units that two raters judged: schedule overlap",
        )
    values = _values(table[rated], categories)
    unit, _ = np.nonzero(rated)
    code = np.searchsorted(values, table[rated])
    shape = (table.shape[0], values.size)
    counts = np.bincount(unit * values.size + code, minlength=shape[0] * shape[1])
    all_units = Ratings(values, counts.reshape(shape).astype(np.float64), weight, cluster)
    return all_units.at_least(1)


def rating_table(ratings: ArrayLike) -> Array:
    """Ratings as float64, shape (n_units, n_raters).

    Raises: DesignError if the shape is not two-dimensional or a rating is infinite.
    """
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 2:
        raise DesignError(
            "ratings must have one row per unit and one column per rater",
            expected="shape (n_units, n_raters), at least two raters",
            got=f"shape {table.shape}",
        )
    if np.isinf(table).any():
        raise DesignError("ratings has an infinite value", hint="mark a missing rating with NaN")
    return table


def _values(given: Array, categories: Sequence[float] | None) -> Array:
    occurring = np.unique(given)
    if categories is None:
        return occurring
    values = np.unique(finite("categories", categories))
    unknown = np.setdiff1d(occurring, values)
    if unknown.size:
        raise DesignError(
            "ratings holds a category that categories does not list",
            expected=", ".join(f"{v:g}" for v in values),
            got=f"{unknown[0]:g}",
        )
    return values


def agreement_weights(n_categories: int, scale: Scale) -> Array:
    r"""Credit w_kl in [0, 1] for one rater saying k and another l, shape (q, q).

    nominal: 1 if k = l, else 0. linear: 1 − |k − l|/(q − 1). quadratic: its square distance.
    ordinal: 1 − C(|k − l| + 1, 2)/C(q, 2). Categories count by rank.

    References: Gwet (2014), ch. 3.
    """
    rank = np.arange(n_categories, dtype=np.float64)
    step = np.abs(rank[:, None] - rank[None, :])
    widest = max(n_categories - 1.0, 1.0)
    distance = {
        "nominal": (step > 0).astype(np.float64),
        "linear": step / widest,
        "quadratic": (step / widest) ** 2,
        "ordinal": step * (step + 1.0) / (widest * (widest + 1.0)),
    }
    if scale not in distance:
        raise DesignError("unknown scale", expected=", ".join(distance), got=str(scale))
    return np.asarray(1.0 - distance[scale], dtype=np.float64)


def squared_differences(values: Array, totals: Array, metric: Metric) -> Array:
    r"""Krippendorff's δ²_kl between categories, shape (q, q).

    nominal 1[k≠l]; interval (k − l)²; ratio ((k − l)/(k + l))²; ordinal
    (Σ_{g=k}^{l} n_g − (n_k + n_l)/2)² with n_g the number of ratings in category g.

    References: Krippendorff (2011), sec. C-E.
    """
    gap = values[:, None] - values[None, :]
    if metric == "nominal":
        return np.asarray(gap != 0.0, dtype=np.float64)
    if metric == "interval":
        return np.asarray(gap**2, dtype=np.float64)
    if metric == "ratio":
        if values.min() < 0.0:
            raise DesignError("the ratio metric needs values of zero or more")
        total = values[:, None] + values[None, :]
        return np.asarray((gap / np.where(total > 0.0, total, 1.0)) ** 2, dtype=np.float64)
    if metric == "ordinal":
        middle = np.cumsum(totals) - totals / 2.0
        return np.asarray((middle[:, None] - middle[None, :]) ** 2, dtype=np.float64)
    raise DesignError(
        "unknown metric", expected="nominal, ordinal, interval, ratio", got=str(metric)
    )
