"""Estimates and linearised standard errors from sums per domain and stratum.

An engine adds up a handful of columns per cell; nothing else is needed, and shards add. With
w = 1/pi the sums of one phase are::

    n  = count           wy  = sum w y             wx  = sum w x
    c  = sum 1 - 1/w     cy  = sum (w - 1) y       cx  = sum (w - 1) x
    cc = sum (1 - 1/w)^2 cyy = sum w (w - 1) y^2   cxx = sum w (w - 1) x^2
    positive = count y>0 cyx = sum w (w - 1) y x
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from baserate.stats.arrays import Array, IntArray, finite, numbers, one_or_each
from baserate.terms.errors import DesignError


class GroupedEstimate(NamedTuple):
    """Rates of D domains by P outcomes.

    Attributes:
        rate: Shape (D, P).
        std_error: Shape (D, P).
        total: Estimated totals, shape (D, P).
        denominator: T_x, known or estimated, shape (D,).
        n: Sampled units per domain, shape (D,).
        n_positive: Units with y > 0, shape (D, P).
    """

    rate: Array
    std_error: Array
    total: Array
    denominator: Array
    n: IntArray
    n_positive: IntArray


@dataclass(frozen=True)
class GroupedSums:
    """Sums per (domain, stratum), and per outcome where y enters; the last domain is "no domain".

    Attributes:
        n: Units, shape (D + 1, H).
        c: Sum of c_i, shape (D + 1, H); for one phase c = 1 - pi.
        cc: Sum of c_i squared.
        wx: Sum of weighted denominators.
        cx: Sum of c_i a_i x_i, with a_i the weight up to this phase (w for one phase).
        cxx: Sum of c_i (a_i x_i)^2.
        wy: Sum of weighted outcomes, shape (D + 1, H, P).
        cy: Sum of c_i a_i y_i.
        cyy: Sum of c_i (a_i y_i)^2.
        cyx: Sum of c_i a_i^2 y_i x_i.
        positive: Units with y > 0.
    """

    n: Array
    c: Array
    cc: Array
    wx: Array
    cx: Array
    cxx: Array
    wy: Array
    cy: Array
    cyy: Array
    cyx: Array
    positive: Array

    @classmethod
    def from_rows(
        cls,
        y: ArrayLike,
        weight: ArrayLike,
        domain: ArrayLike,
        n_domains: int,
        *,
        stratum: ArrayLike | None = None,
        n_strata: int = 1,
        x: ArrayLike | None = None,
        scale: ArrayLike | None = None,
        share: ArrayLike | None = None,
    ) -> GroupedSums:
        """Sums of rows, as an engine would make them.

        Args:
            y: Outcomes (or residuals of a model), shape (n,) or (n, P), of any number type.
            weight: w over all phases, >= 1, shape (n,).
            domain: 0 .. n_domains - 1, or -1 for none, shape (n,).
            n_domains: D.
            stratum: 0 .. n_strata - 1, shape (n,); None: one stratum.
            n_strata: H.
            x: Denominator of each unit, shape (n,); None: 1.
            scale: a_i = 1/(pi_1...pi_k), for phase k of several; None: the weight.
            share: c_i = (1 - pi_k)/(pi_{k+1}...pi_K); None: 1 - 1/w.
        Raises: DesignError on shapes that differ, a code out of range or a weight below 1.
        """
        outcomes = np.asarray(y)
        outcomes = outcomes[:, None] if outcomes.ndim == 1 else outcomes
        w = finite("weight", weight)
        if outcomes.shape[0] != w.size or (w.size and w.min() < 1.0 - 1e-12):
            raise DesignError(
                "weights must be at least 1, one per row",
                code="weights",
                got=f"{w.size} weights for {outcomes.shape[0]} rows",
            )
        cell = _cells(domain, n_domains, stratum, n_strata, w.size)
        size = (n_domains + 1) * n_strata
        shape = (n_domains + 1, n_strata)
        a = w if scale is None else one_or_each("scale", finite("scale", scale), w.shape)
        c = (
            1.0 - 1.0 / w
            if share is None
            else one_or_each("share", finite("share", share), w.shape)
        )
        ca, caa = c * a, c * a * a

        def added(values: Array | None, rows: NDArray[np.intp] | None = None) -> Array:
            where = cell if rows is None else cell[rows]
            counts = np.bincount(where, weights=values, minlength=size)
            return counts.reshape(shape).astype(np.float64)

        x_given = None if x is None else one_or_each("x", finite("x", x), w.shape)
        ones = x_given is None
        xs = np.ones(1) if x_given is None else x_given
        columns: dict[str, list[Array]] = {k: [] for k in ("wy", "cy", "cyy", "cyx", "positive")}
        for values, rows in _nonzero_columns(outcomes):
            w_r, ca_r, caa_r = (v if rows is None else v[rows] for v in (w, ca, caa))
            x_r = xs if ones or rows is None else xs[rows]
            columns["wy"].append(added(w_r * values, rows))
            columns["cy"].append(added(ca_r * values, rows))
            columns["cyy"].append(added(caa_r * values * values, rows))
            columns["cyx"].append(added(caa_r * values * x_r, rows))
            columns["positive"].append(added((values > 0.0).astype(np.float64), rows))
        return cls(
            n=added(None),
            c=added(c),
            cc=added(c * c),
            wx=added(w * xs),
            cx=added(ca * xs),
            cxx=added(caa * xs * xs),
            **{name: np.stack(parts, axis=2) for name, parts in columns.items()},
        )

    def merged(self, other: GroupedSums) -> GroupedSums:
        """The sums of both sets of rows: shards of one sample add.

        Raises: DesignError if they differ in domains, strata or outcomes.
        """
        if self.wy.shape != other.wy.shape:
            raise DesignError(
                "the sums differ in domains, strata or outcomes",
                code="shape",
                got=f"{self.wy.shape} and {other.wy.shape}",
            )
        return GroupedSums(
            **{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        )

    def totals(self) -> Array:
        """Weighted totals of y, shape (D, P)."""
        return np.asarray(self.wy[:-1].sum(axis=1))

    def total_variance(self, *, fixed_size: bool, ratio: ArrayLike | None = None) -> Array:
        r"""Variance of the totals of y (or of y - R x), shape (D, P), as rows would give it.

        Independent draws: the sum of c r^2. Fixed size: within strata around the stratum's mean,
        with Deville's factor; see :func:`baserate.stats.phases.phase_deviations`.

        Args:
            fixed_size: Whether the strata's sample sizes were fixed.
            ratio: R of each domain and outcome, shape (D, P), for a ratio; None: 0.
        """
        square, line = self._residual_sums(ratio)
        if not fixed_size:
            return np.asarray(square.sum(axis=1))
        factor, centre = self._stratum_factors()
        spread = square - line**2 * centre[None, :, None]
        return np.asarray(np.maximum((spread * factor[None, :, None]).sum(axis=1), 0.0))

    def domain_covariance(
        self, outcome: int = 0, *, fixed_size: bool, ratio: ArrayLike | None = None
    ) -> Array:
        """Covariances of one outcome's totals between domains, shape (D, D).

        Disjoint domains share no unit: they are correlated only through fixed sizes.
        """
        square, line = (part[:, :, outcome] for part in self._residual_sums(ratio))
        if not fixed_size:
            return np.diag(square.sum(axis=1))
        factor, centre = self._stratum_factors()
        return np.asarray(
            np.diag((square * factor).sum(axis=1)) - (line * (factor * centre)) @ line.T
        )

    def estimates(
        self, *, denominator_total: ArrayLike | None = None, fixed_size: bool = False
    ) -> GroupedEstimate:
        """Rates and standard errors of every domain and outcome.

        Args:
            denominator_total: T_x per domain, known from the frame, shape (D,). None: estimated
                from the same rows (a ratio estimator).
            fixed_size: Whether the strata's sample sizes were fixed.
        Raises: DesignError if a domain's denominator is not positive.
        """
        total = self.totals()
        known = denominator_total is not None
        t_x = (
            finite("denominator_total", denominator_total)
            if denominator_total is not None
            else self.wx[:-1].sum(axis=1)
        )
        if t_x.shape != (total.shape[0],) or (t_x <= 0.0).any():
            raise DesignError(
                "every domain needs a positive denominator",
                code="empty_domain",
                got=f"{int((t_x <= 0.0).sum())} of {t_x.size} not positive",
                hint="leave domains without exposure out",
            )
        rate = total / t_x[:, None]
        variance = self.total_variance(fixed_size=fixed_size, ratio=None if known else rate)
        return GroupedEstimate(
            rate=rate,
            std_error=np.sqrt(variance) / t_x[:, None],
            total=total,
            denominator=t_x,
            n=self.n[:-1].sum(axis=1).astype(np.int64),
            n_positive=self.positive[:-1].sum(axis=1).astype(np.int64),
        )

    def _residual_sums(self, ratio: ArrayLike | None) -> tuple[Array, Array]:
        """Sums of c r^2 and of c r of residuals y - R x, each of shape (D, H, P)."""
        square, line = self.cyy[:-1], self.cy[:-1]
        if ratio is None:
            return square, line
        r = np.asarray(ratio, dtype=np.float64)[:, None, :]
        square = square - 2.0 * r * self.cyx[:-1] + r**2 * self.cxx[:-1, :, None]
        return square, line - r * self.cx[:-1, :, None]

    def _stratum_factors(self) -> tuple[Array, Array]:
        """Deville's factor per stratum and 1 / sum c (0 where there is nothing to centre on)."""
        c, cc = self.c.sum(axis=0), self.cc.sum(axis=0)
        safe = np.where(c > 0.0, c, 1.0)
        spare = 1.0 - cc / safe**2
        several = (c > 0.0) & (spare > 1e-12)
        return (
            1.0 / np.where(several, spare, 1.0),
            np.where(several, 1.0 / safe, 0.0),
        )


def cluster_estimates(
    wy: ArrayLike,
    wx: ArrayLike,
    domain: ArrayLike,
    n_domains: int,
    stratum: ArrayLike,
    clusters_in_stratum: ArrayLike,
    *,
    denominator_total: ArrayLike | None = None,
    sampled_share: ArrayLike | None = None,
) -> tuple[Array, Array]:
    r"""Rates and ultimate-cluster standard errors from sums per (domain, stratum, cluster).

    $$ \hat V_d = \frac{1}{T_x^2} \sum_h (1-f_h) \frac{n_h}{n_h-1}
       \Big[\sum_c z_{dhc}^2 - \frac{(\sum_c z_{dhc})^2}{n_h}\Big],\qquad z = wy - R\,wx $$

    Args:
        wy: Sum of w y of each (domain, stratum, cluster) with any unit, shape (m,) or (m, P).
        wx: Sum of w x, shape (m,).
        domain: 0 .. n_domains - 1, shape (m,); leave rows of no domain out.
        n_domains: D.
        stratum: 0 .. H - 1, shape (m,).
        clusters_in_stratum: n_h, all sampled clusters, also those without a unit in the domain,
            at least 2, shape (H,).
        denominator_total: T_x per domain, shape (D,); None: estimated.
        sampled_share: f_h, in [0, 1], shape (H,); None: 0.
    Returns: Rates and standard errors, each of shape (D, P).
    Raises: DesignError on a stratum with one cluster or a domain without exposure.
    References: Wolter (2007), sec. 1.4.
    """
    y = numbers("wy", wy)
    y = y[:, None] if y.ndim == 1 else y
    x, n_h = finite("wx", wx), finite("clusters_in_stratum", clusters_in_stratum)
    if n_h.size == 0 or n_h.min() < 2.0:
        raise DesignError(
            "a stratum has a single cluster",
            code="one_unit",
            hint="collapse it with a neighbouring stratum before calling",
        )
    if y.ndim != 2 or y.shape[0] != x.size or not np.isfinite(y).all():
        raise DesignError(
            "wy must be finite, a row per value of wx",
            code="shape",
            expected=f"shape ({x.size},) or ({x.size}, P)",
            got=f"shape {y.shape}",
        )
    cell = _cells(domain, n_domains, stratum, n_h.size, x.size)
    codes = np.asarray(domain)
    estimated = np.bincount(codes, weights=x, minlength=n_domains)
    t_x = estimated if denominator_total is None else finite("T_x", denominator_total)
    if t_x.shape != (n_domains,) or (t_x <= 0.0).any():
        raise DesignError("every domain needs a positive denominator", code="empty_domain")
    f_h = np.zeros(n_h.size) if sampled_share is None else finite("sampled_share", sampled_share)
    factor = (1.0 - f_h) * n_h / (n_h - 1.0)
    rates, errors = [], []
    for column in y.T:
        rate = np.bincount(codes, weights=column, minlength=n_domains) / t_x
        z = column - (rate[codes] * x if denominator_total is None else 0.0)
        square, line = (
            np.bincount(cell, weights=v, minlength=(n_domains + 1) * n_h.size).reshape(
                n_domains + 1, n_h.size
            )[:-1]
            for v in (z * z, z)
        )
        rates.append(rate)
        errors.append(np.sqrt(np.maximum((square - line**2 / n_h) @ factor, 0.0)) / t_x)
    return np.stack(rates, axis=1), np.stack(errors, axis=1)


def _cells(
    domain: ArrayLike, n_domains: int, stratum: ArrayLike | None, n_strata: int, n: int
) -> NDArray[np.intp]:
    """Code of each row's (domain, stratum); domain -1 becomes the extra last one."""
    d = np.asarray(domain)
    h = np.zeros(1, dtype=np.int64) if stratum is None else np.asarray(stratum)
    for name, codes, low, high in (("domain", d, -1, n_domains), ("stratum", h, 0, n_strata)):
        if codes.size and codes.dtype.kind not in "iub":
            raise DesignError(
                f"{name} codes must be whole numbers",
                code="not_codes",
                got=f"values of {codes.dtype}",
            )
        if codes.shape not in ((n,), (1,)) or (
            codes.size and (codes.min() < low or codes.max() >= high)
        ):
            raise DesignError(
                f"{name} does not fit the rows",
                code="shape",
                expected=f"{n} codes in {low}..{high - 1}",
                got=f"shape {codes.shape}",
            )
    cell = d.astype(np.intp)
    cell[cell < 0] = n_domains
    cell *= n_strata
    cell += h.astype(np.intp)
    return cell


def _nonzero_columns(
    outcomes: NDArray[np.generic],
) -> Iterator[tuple[Array, NDArray[np.intp] | None]]:
    """Each column's values, and the rows they sit in where most of the others are zero."""
    for column in np.moveaxis(outcomes, 1, 0):
        plain = np.ascontiguousarray(column)
        rows = np.flatnonzero(plain)
        dense = rows.size * 4 > plain.size
        values = finite("y", plain if dense else plain[rows])
        yield values, None if dense else rows
