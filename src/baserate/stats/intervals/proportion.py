"""One door to the intervals of a rate, with named fallbacks where a method cannot work."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal, TypeAlias, get_args

from scipy import special

from baserate.stats.intervals.anticipated_gamma import anticipated_gamma, guarded_gamma
from baserate.stats.intervals.binomial import (
    clopper_pearson_interval,
    jeffreys_interval,
    korn_graubard_interval,
    logit_interval,
    wald_interval,
    wilson_interval,
)
from baserate.stats.intervals.gamma import fay_feuer_interval
from baserate.stats.intervals.interval import Interval, Side, bounded, tail, zero_count_limit
from baserate.stats.intervals.rare import (
    anticipated_variance_logit,
    guarded_logit,
    zero_positives_interval,
)
from baserate.terms.errors import DesignError

Method: TypeAlias = Literal[
    "wald",
    "logit",
    "wilson",
    "clopper_pearson",
    "jeffreys",
    "korn_graubard",
    "korn_graubard_capped",
    "fay_feuer",
    "anticipated_variance_logit",
    "guarded_logit",
    "anticipated_gamma",
    "guarded_gamma",
]
METHODS: tuple[Method, ...] = get_args(Method)
_ANTICIPATED = {
    "anticipated_variance_logit": anticipated_variance_logit,
    "anticipated_gamma": anticipated_gamma,
}
_GUARDED = {"guarded_logit": guarded_logit, "guarded_gamma": guarded_gamma}
_NO_SPREAD = 1e-14  # below it a standard error is rounding
_NO_INFORMATION = 1e-3  # effective size below which an estimate says nothing
_COUNTS = {
    "wilson": wilson_interval,
    "clopper_pearson": clopper_pearson_interval,
    "jeffreys": jeffreys_interval,
}


def proportion_interval(
    value: float,
    std_error: float | None,
    *,
    n: float,
    df: float | None = None,
    n_positive: int | None = None,
    largest_contribution: float | None = None,
    level: float = 0.95,
    side: Side = "two-sided",
    method: Method = "logit",
    anticipated_variance: float | None = None,
    anticipated_value: float | None = None,
    invisible_share: float | None = None,
) -> Interval:
    """Interval of a rate by a named method; where the method fails, a fallback that says so.

    Never outside [0, 1] and never NaN. With no positive in the sample it is the zero-positives
    upper limit if the largest contribution is known, and [0, 1] if it is not.

    Args:
        value: Estimated rate. A difference estimate may fall outside [0, 1]; the interval does
            not.
        std_error: Design-based standard error, >= 0. None: ``value`` is a plain share of ``n``
            independent trials, and only the methods on counts apply.
        n: Labelled units behind the estimate, > 0.
        df: Degrees of freedom of the variance, for Korn-Graubard; None: n - 1.
        n_positive: Labelled units that violate; None: taken to be none if ``value`` <= 0.
        largest_contribution: Most that one unit of the frame (not a take-all) could add to the
            rate: max of v y_max / (pi T_x). Needed for an upper limit at zero positives, for
            ``"fay_feuer"`` and for the guarded methods.
        level: Nominal coverage, in (0, 1).
        side: ``"two-sided"``, or the one end that is guarded.
        method: One of :data:`METHODS`.
        anticipated_variance: V_mu of the rate; for the anticipated and guarded methods (those
            named gamma want it under the doubted model).
        anticipated_value: Rate under the calibrated model; for the same methods.
        invisible_share: q; for the guarded methods.
    Raises: DesignError on an unknown method, a negative or non-finite number, or a method that
        needs what was not given.

    Example:
        >>> proportion_interval(0.0, 0.0, n=4000, largest_contribution=1 / 4000).name
        'zero positives (in place of logit: no positive in the sample)'
    """
    _check(value, std_error, n, method)
    if std_error is None:
        return _counted(value, n, level, side, method)
    if (value <= 0.0) if n_positive is None else (n_positive == 0):
        return _nothing_found(largest_contribution, level, side, method)
    modelled = method in (*_ANTICIPATED, *_GUARDED) and value < 1.0
    if std_error < _NO_SPREAD and not modelled:
        return _no_variance(value, largest_contribution, level, side, method)
    if method == "wald":
        return wald_interval(value, std_error, level=level, side=side)
    outside = not 0.0 < value < 1.0
    if outside or value * (1.0 - value) < _NO_INFORMATION * std_error**2:
        reason = "the estimate lies outside (0, 1)" if outside else "the estimate is all noise"
        ends = wald_interval(value, std_error, level=level, side=side)
        return replace(ends, requested=method, reason=reason)
    if method == "logit":
        return logit_interval(value, std_error, level=level, side=side)
    if method == "fay_feuer":
        w_max = _needed("largest_contribution", largest_contribution, method)
        return fay_feuer_interval(
            value, std_error, largest_contribution=w_max, level=level, side=side
        )
    if method in ("korn_graubard", "korn_graubard_capped"):
        cap = method == "korn_graubard_capped"
        return korn_graubard_interval(value, std_error, n=n, df=df, cap=cap, level=level, side=side)
    if method in _COUNTS:
        effective = value * (1.0 - value) / std_error**2
        return _COUNTS[method](value, effective, level=level, side=side)
    v_mu = _needed("anticipated_variance", anticipated_variance, method)
    r_mu = _needed("anticipated_value", anticipated_value, method)
    if method in _ANTICIPATED:
        return _ANTICIPATED[method](
            value,
            std_error,
            anticipated_variance=v_mu,
            anticipated_value=r_mu,
            level=level,
            side=side,
        )
    return _GUARDED[method](
        value,
        std_error,
        anticipated_variance=v_mu,
        anticipated_value=r_mu,
        largest_contribution=_needed("largest_contribution", largest_contribution, method),
        invisible_share=_needed("invisible_share", invisible_share, method),
        level=level,
        side=side,
    )


def _needed(name: str, given: float | None, method: str) -> float:
    if given is None:
        raise DesignError(
            f"the method {method} needs {name}",
            code="missing_argument",
            hint="it is computed from the frame; see the function of the method's name",
        )
    return given


def mean_interval(
    value: float,
    std_error: float,
    *,
    df: float | None = None,
    level: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    """Interval of a mean that is not a proportion (severity, a difference): t or normal.

    Args:
        value: The estimate.
        std_error: Its standard error, >= 0.
        df: Degrees of freedom; None: the normal quantile.
        level: Nominal coverage, in (0, 1).
        side: ``"two-sided"``, or the one end that is guarded; the other is infinite.
    Raises: DesignError if a number is not finite or the standard error is negative.
    """
    if not (math.isfinite(value) and math.isfinite(std_error) and std_error >= 0.0):
        raise DesignError(
            "a mean's interval needs a finite value and standard error",
            got=f"value {value!r}, standard error {std_error!r}",
        )
    upper_tail = 1.0 - tail(level, side)
    quantile = special.ndtri(upper_tail) if df is None else special.stdtrit(df, upper_tail)
    reach = float(quantile) * std_error
    lower = -math.inf if side == "upper" else value - reach
    upper = math.inf if side == "lower" else value + reach
    return Interval(lower, upper, level, "normal" if df is None else "student_t")


def _check(value: float, std_error: float | None, n: float, method: str) -> None:
    if method not in METHODS:
        raise DesignError(
            "unknown interval method",
            code="method",
            expected=", ".join(METHODS),
            got=repr(method),
        )
    wrong = not math.isfinite(value) or not (n > 0.0 and math.isfinite(n))
    if std_error is not None:
        wrong = wrong or not (std_error >= 0.0 and math.isfinite(std_error))
    if wrong:
        raise DesignError(
            "an interval needs a finite value, a standard error >= 0 and n > 0",
            code="not_finite",
            got=f"value {value!r}, standard error {std_error!r}, n {n!r}",
        )


def _counted(value: float, n: float, level: float, side: Side, method: Method) -> Interval:
    """Intervals of a plain share of independent trials."""
    if method in _COUNTS:
        return _COUNTS[method](value, n, level=level, side=side)
    if 0.0 < value < 1.0 and method in ("wald", "logit"):
        by = wald_interval if method == "wald" else logit_interval
        return by(value, math.sqrt(value * (1.0 - value) / n), level=level, side=side)
    reason = (
        "all or none of the units are positive"
        if method in ("wald", "logit")
        else "no standard error was given"
    )
    ends = clopper_pearson_interval(value, n, level=level, side=side)
    return replace(ends, requested=method, reason=reason)


def _nothing_found(largest: float | None, level: float, side: Side, method: Method) -> Interval:
    reason = "no positive in the sample"
    if largest is None:
        return Interval(
            0.0, 1.0, level, "no_information", method, f"{reason}, largest contribution unknown"
        )
    ends = zero_positives_interval(
        largest, level=level, side="upper" if side == "upper" else "two-sided"
    )
    return replace(
        ends, upper=1.0 if side == "lower" else ends.upper, requested=method, reason=reason
    )


def _no_variance(
    value: float, largest: float | None, level: float, side: Side, method: Method
) -> Interval:
    """Zero variance: a census, or every positive among the take-alls, or all alike."""
    reason = "the variance estimate is zero"
    inside = min(max(value, 0.0), 1.0)
    if largest is None:
        return Interval(inside, inside, level, "no_sampling_variance", method, reason)
    reach = zero_count_limit(level, side) * largest
    lower = inside - reach if inside >= 1.0 else inside
    return bounded(
        lower,
        inside + reach,
        level=level,
        side=side,
        method="zero_positives",
        requested=method,
        reason=reason,
    )
