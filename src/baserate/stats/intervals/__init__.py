"""Confidence intervals for rates, named for what they are."""

from baserate.stats.intervals.anticipated_gamma import (
    anticipated_gamma,
    contaminated_model,
    doubted_model,
    guarded_gamma,
)
from baserate.stats.intervals.binomial import (
    clopper_pearson_interval,
    effective_size,
    jeffreys_interval,
    korn_graubard_interval,
    logit_interval,
    logit_limits,
    wald_interval,
    wilson_interval,
)
from baserate.stats.intervals.bootstrap import bootstrap_t_interval
from baserate.stats.intervals.gamma import fay_feuer_interval, tiwari_interval
from baserate.stats.intervals.interval import Interval, Side, zero_count_limit
from baserate.stats.intervals.monotone import MonotoneIntervals, monotone_intervals
from baserate.stats.intervals.proportion import (
    METHODS,
    Method,
    mean_interval,
    proportion_interval,
)
from baserate.stats.intervals.rare import (
    anticipated_variance_logit,
    anticipated_variance_of_total,
    blind_spot_caveat,
    guarded_logit,
    zero_positives_interval,
)
from baserate.stats.intervals.stratified import (
    mover_wilson_interval,
    stratified_wilson_interval,
)

__all__ = [
    "METHODS",
    "Interval",
    "Method",
    "MonotoneIntervals",
    "Side",
    "anticipated_gamma",
    "anticipated_variance_logit",
    "anticipated_variance_of_total",
    "blind_spot_caveat",
    "bootstrap_t_interval",
    "clopper_pearson_interval",
    "contaminated_model",
    "doubted_model",
    "effective_size",
    "fay_feuer_interval",
    "guarded_gamma",
    "guarded_logit",
    "jeffreys_interval",
    "korn_graubard_interval",
    "logit_interval",
    "logit_limits",
    "mean_interval",
    "monotone_intervals",
    "mover_wilson_interval",
    "proportion_interval",
    "stratified_wilson_interval",
    "tiwari_interval",
    "wald_interval",
    "wilson_interval",
    "zero_count_limit",
    "zero_positives_interval",
]
