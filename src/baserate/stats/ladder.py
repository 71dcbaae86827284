"""The ladder: a rate from verdicts of rising cost, each on a probability subsample of the last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, IntArray
from baserate.stats.domains import domain_columns
from baserate.stats.ladder_inputs import (
    DenominatorKind,
    aligned_values,
    common_width,
    denominator_totals,
    fixed_coefficients,
    fold_codes,
    model_total,
    safe_ratio,
    x_values,
)
from baserate.stats.phases import (
    Phase,
    PhaseChain,
    cluster_deviations,
    lone_strata,
    phase_chain,
    phase_deviations,
)
from baserate.terms.errors import DesignError

__all__ = ["LadderCell", "LadderEstimate", "Phase", "domain_columns", "ladder_estimate"]


class LadderCell(NamedTuple):
    """One column of a ladder estimate, as plain numbers.

    Attributes:
        total: Estimated total of the top rung's verdict.
        rate: total / denominator.
        variance: Estimated variance of ``rate``.
        std_error: Its square root.
        denominator: T_x, known or estimated.
        n_units: Units of the last phase.
        n_positive: Those with a top verdict above zero.
    """

    total: float
    rate: float
    variance: float
    std_error: float
    denominator: float
    n_units: int
    n_positive: int


@dataclass(frozen=True)
class LadderEstimate:
    """Rates of D cells (policy, domain, estimand) from one sample, with all covariances.

    Attributes:
        total: Estimated total of the top rung's verdict, shape (D,).
        denominator: T_x, known or estimated, shape (D,).
        rate: total / denominator, shape (D,).
        variance: Estimated variance of ``rate``, shape (D,).
        variance_by_phase: What each phase adds to ``variance``, shape (K, D).
        coefficients: lambda_0 ... lambda_{K-1} of each column (mean over folds if tuned),
            shape (K, D).
        rows: Positions in s1 of the units that reached the last phase, shape (m,).
        deviations: Per phase, vectors of shape (m, D), or (C, D) for C clusters, whose products
            sum to the covariances of the *totals*.
        phase_sizes: Units in each phase's sample.
        n_positive: Units of the last phase with a top verdict above zero, shape (D,).
        lone_strata: Per phase, strata with one unit, whose variance is overstated.
    """

    total: Array
    denominator: Array
    rate: Array
    variance: Array
    variance_by_phase: Array
    coefficients: Array
    rows: IntArray
    deviations: tuple[Array, ...]
    phase_sizes: tuple[int, ...]
    n_positive: IntArray
    lone_strata: tuple[int, ...]

    @property
    def std_error(self) -> Array:
        """Standard error of each rate, shape (D,)."""
        return np.sqrt(self.variance)

    @property
    def total_variance(self) -> Array:
        """Estimated variance of each total (of the linearised one, for a ratio), shape (D,)."""
        return self.variance * self.denominator**2

    def covariance_matrix(self) -> Array:
        """Estimated covariances of the rates, shape (D, D); its diagonal is ``variance``."""
        cells = self.total.size
        product = np.zeros((cells, cells))
        for deviation in self.deviations:
            product += deviation.T @ deviation
        return product / np.outer(self.denominator, self.denominator)

    def cell(self, column: int = 0) -> LadderCell:
        """One column as plain numbers."""
        return LadderCell(
            total=float(self.total[column]),
            rate=float(self.rate[column]),
            variance=float(self.variance[column]),
            std_error=float(self.std_error[column]),
            denominator=float(self.denominator[column]),
            n_units=self.phase_sizes[-1],
            n_positive=int(self.n_positive[column]),
        )


def ladder_estimate(
    rungs: Sequence[ArrayLike],
    phases: Sequence[Phase],
    *,
    denominator_total: ArrayLike | None = None,
    frame_model: ArrayLike | None = None,
    frame_model_total: ArrayLike | None = None,
    coefficients: Sequence[float] | Literal["tuned"] | None = None,
    folds: ArrayLike | None = None,
    tuned_range: tuple[float, float] = (0.0, 1.0),
    denominator: DenominatorKind = "known",
    denominator_values: ArrayLike | None = None,
) -> LadderEstimate:
    r"""Rate of the top verdict, from cheap verdicts on many units and dear ones on a few.

    With frame model $\mu$ on all of U and rungs $y_1 \dots y_K$, rung k measured on phase k:

    $$ \hat T = \lambda_0 \sum_U \mu
       + \sum_{k=1}^{K} \sum_{s_k} \frac{\lambda_k y_k - \lambda_{k-1} y_{k-1}}{\pi_1\cdots\pi_k},
       \qquad y_0 = \mu,\ \lambda_K = 1 $$

    One phase without a model is Horvitz-Thompson; one phase with a model, the difference
    estimator; two phases, a judge corrected by people; three, people corrected by experts.
    The variance sums over phases with residuals $e_k = y_K - \lambda_{k-1} y_{k-1}$ on the last
    sample (see :func:`baserate.stats.phases.phase_deviations`).

    Args:
        rungs: Values of rung k over s1, each of shape (n,) or (n, D): 0/1, a calibrated
            probability, or either times an exposure. Read only where phase k selected. K of them.
        phases: K phases; every array in them is over s1.
        denominator_total: T_x of each column, known from the frame: scalar or shape (D,).
            Needed with ``denominator="known"``.
        frame_model: mu over s1, shape (n,) or (n, D). None: no frame model.
        frame_model_total: Sum of mu over U, scalar or shape (D,).
        coefficients: lambda_0 ... lambda_{K-1}; without a frame model lambda_0 is not used. None:
            all 1. ``"tuned"``: each minimises its phase's variance on the other folds' labels.
        folds: Fold of each unit of s1, shape (n,), set by a hash and not by anything seen; needed
            with ``"tuned"``, at least two.
        tuned_range: Tuned coefficients are kept within this range.
        denominator: ``"known"``; ``"first_phase"``: T_x estimated from s1 (only phase 1's
            residual changes); ``"last_phase"``: T_x estimated from the last sample (Hajek).
        denominator_values: x over s1, shape (n,) or (n, D), for an estimated T_x.
    Assumes: every probability known given the earlier phases; model and verdicts of lower rungs
        fixed before the higher ones are seen; selected units all measured (nonresponse is
        handled before).
    Bias: none for fixed coefficients and a known T_x, whatever the errors of lower rungs; none
        under cross-fitted tuning with independent draws; of order 1/n for an estimated T_x.
    Raises: DesignError on a shape that does not fit, a probability outside (0, 1], an empty or
        not nested phase, a missing value where a phase selected, or a T_x that is not positive.
    References: Särndal, Swensson & Wretman (1992), ch. 9; Angelopoulos, Duchi & Zrnic (2023),
        PPI++; Zrnic & Candès (2024), Cross-prediction-powered inference.

    Example:
        >>> import numpy as np
        >>> judge, human = np.array([1.0, 0, 0, 1]), np.array([1.0, np.nan, 0, np.nan])
        >>> second = np.array([True, False, True, False])
        >>> estimate = ladder_estimate(
        ...     [judge, human],
        ...     [Phase(np.full(4, 0.01)), Phase(np.full(4, 0.5), second)],
        ...     denominator_total=400.0,
        ... )
        >>> float(estimate.rate[0])
        0.5
    """
    if len(rungs) != len(phases) or not phases:
        raise DesignError(
            "a ladder needs one rung per phase, and at least one",
            got=f"{len(rungs)} rungs, {len(phases)} phases",
        )
    n = np.asarray(rungs[0]).shape[0] if np.asarray(rungs[0]).ndim else 0
    chain = phase_chain(phases, n)
    values = aligned_values(rungs, chain.masks, frame_model, n)
    x = None if denominator == "known" else x_values(denominator_values, chain.masks[0])
    cells = common_width(values, x, [denominator_total, frame_model_total])

    if coefficients == "tuned":
        tuned = _tuned(values, x, chain, fold_codes(folds, n), tuned_range)
    else:
        tuned = _Coefficients(
            fixed_coefficients(coefficients, len(phases)), np.zeros(n, dtype=np.int64)
        )
    scaled = [tuned.of(k) * values[k] for k in range(len(phases))] + [values[-1]]

    mu_total = model_total(frame_model, frame_model_total, cells)
    total = np.broadcast_to(tuned.mean(0) * mu_total, (cells,)).copy()
    for k in range(len(phases)):
        total += chain.expansion(k) @ (scaled[k + 1] - scaled[k])
    t_x = denominator_totals(denominator, denominator_total, x, chain, cells)

    over_x = None if x is None else (total / t_x) * x
    deviations = tuple(
        _deviations(k, scaled, over_x, _x_phase(denominator, k, len(phases)), chain, cells)
        for k in range(len(phases))
    )
    by_phase = np.stack([(z**2).sum(axis=0) for z in deviations]) / t_x**2
    positive = (values[-1][chain.top.rows] > 0.0).sum(axis=0)
    return LadderEstimate(
        total=total,
        denominator=t_x,
        rate=total / t_x,
        variance=by_phase.sum(axis=0),
        variance_by_phase=by_phase,
        coefficients=np.stack(
            [np.broadcast_to(tuned.mean(k), (cells,)) for k in range(len(phases))]
        ),
        rows=chain.top.rows,
        deviations=deviations,
        phase_sizes=tuple(int(mask.sum()) for mask in chain.masks),
        n_positive=np.broadcast_to(positive, (cells,)).astype(np.int64),
        lone_strata=lone_strata(chain.top),
    )


class _Coefficients(NamedTuple):
    """lambda of each phase and fold, K arrays of shape (F, D or 1), and each unit's fold."""

    by_fold: list[Array]
    fold: IntArray

    def of(self, phase: int) -> Array:
        """Each unit's own coefficient, shape (n, D or 1)."""
        return np.asarray(self.by_fold[phase][self.fold])

    def mean(self, phase: int) -> Array:
        """Mean over folds, shape (D or 1,)."""
        return np.asarray(self.by_fold[phase].mean(axis=0))


def _deviations(
    phase: int,
    scaled: Sequence[Array],
    over_x: Array | None,
    x_phase: int | None,
    chain: PhaseChain,
    cells: int,
) -> Array:
    """One phase's deviations of the residuals y_K - lambda y (- R x)."""
    rows, n = chain.top.rows, chain.masks[0].size
    if chain.top.clusters[phase] is None:
        residual = scaled[-1][rows] - scaled[phase][rows]
        if over_x is not None and x_phase is not None:
            residual = residual - over_x[rows]
        return phase_deviations(np.broadcast_to(residual, (rows.size, cells)), chain.top, phase)
    added = np.zeros((n, cells))
    for later in range(phase, len(scaled) - 1):
        added += (scaled[later + 1] - scaled[later]) * chain.expansion(later)[:, None]
    if over_x is not None and x_phase is not None:
        added -= over_x * chain.expansion(x_phase)[:, None]
    return cluster_deviations(added, chain.top, phase)


def _x_phase(kind: DenominatorKind, phase: int, n_phases: int) -> int | None:
    """Which phase's expansion of R x the residual of ``phase`` carries; None: it has none."""
    if kind == "last_phase":
        return n_phases - 1
    return 0 if kind == "first_phase" and phase == 0 else None


def _tuned(
    values: Sequence[Array],
    x: Array | None,
    chain: PhaseChain,
    fold: IntArray,
    limits: tuple[float, float],
) -> _Coefficients:
    """Coefficients that minimise each phase's variance; fold f's never saw fold f's labels."""
    top, sample_fold = chain.top, fold[chain.top.rows]
    target = values[-1][top.rows]
    if x is not None:  # a ratio's residuals are tuned around R x
        weight = chain.expansion(len(values) - 2)
        target = target - safe_ratio(weight @ values[-1], weight @ x) * x[top.rows]
    tuned = []
    for phase in range(len(values) - 1):
        below = values[phase][top.rows]
        slopes = []
        for number in range(int(fold.max()) + 1):
            others = np.flatnonzero(sample_fold != number)
            part = top.kept(others)
            z_target = phase_deviations(target[others], part, phase)
            z_below = phase_deviations(below[others], part, phase)
            slope = safe_ratio((z_target * z_below).sum(axis=0), (z_below**2).sum(axis=0))
            slopes.append(np.clip(slope, *limits))
        tuned.append(np.stack(slopes))
    return _Coefficients(tuned, fold)
