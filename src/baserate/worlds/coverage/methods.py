"""The intervals on trial, and the spoiled one that the map must reject."""

from __future__ import annotations

from dataclasses import replace

from baserate.stats.intervals import Interval, Method, proportion_interval
from baserate.worlds.coverage.estimators import Found

DEFAULT: Method = "anticipated_gamma"
GUARDED: Method = "guarded_gamma"
ON_TRIAL: tuple[Method, ...] = (
    "wald",
    "logit",
    "wilson",
    "clopper_pearson",
    "anticipated_variance_logit",
    "guarded_logit",
    DEFAULT,
    GUARDED,
)
#: Methods that anticipate by the doubted model.
_DOUBTING = (DEFAULT, GUARDED)
#: The logit interval with half its width: a map that lets it pass measures nothing.
SPOILED = "spoiled_half_logit"


def all_intervals(found: Found, invisible_share: float, level: float) -> dict[str, Interval]:
    """Every interval on trial for one estimate, and the spoiled twin.

    Args:
        found: The estimate and what is known beside it.
        invisible_share: q that the guarded interval declares, in [0, 1).
        level: Nominal coverage.
    """
    made: dict[str, Interval] = {}
    for method in ON_TRIAL:
        model = found.doubted if method in _DOUBTING else found.plain
        made[method] = proportion_interval(
            found.value,
            found.std_error,
            n=max(found.n, 1),
            n_positive=found.n_positive,
            largest_contribution=found.w_max,
            level=level,
            method=method,
            anticipated_variance=model.variance,
            anticipated_value=model.value,
            invisible_share=invisible_share,
        )
    made[SPOILED] = halved(made["logit"], found.value)
    return made


def halved(interval: Interval, value: float) -> Interval:
    """The interval with both arms cut to half."""
    centre = min(max(value, interval.lower), interval.upper)
    return replace(
        interval,
        lower=0.5 * (centre + interval.lower),
        upper=0.5 * (centre + interval.upper),
        method=SPOILED,
        requested=SPOILED,
    )
