"""True prevalence from an imperfect judge and an *external* gold set (Rogan-Gladen).

Where gold is a probability subsample of the labelled units themselves, use the ladder: it needs
no assumption about the judge. Here sensitivity and specificity come from elsewhere, and must be
those of the judge on this population.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import finite
from baserate.stats.intervals.binomial import clopper_pearson_interval
from baserate.stats.intervals.interval import Interval, Side, bounded, normal_quantile
from baserate.terms.errors import DesignError

IntervalMethod: TypeAlias = Literal["lang_reiczigel", "delta", "bayesian"]


class Share(NamedTuple):
    """A proportion with the number of independent trials it is worth.

    Attributes:
        value: The proportion, in [0, 1].
        n: Trials, or the effective size of a weighted one; > 0.
    """

    value: float
    n: float


def weighted_share(hits: ArrayLike, weight: ArrayLike) -> Share:
    r"""Share of hits among weighted units and its effective size under independent draws.

    $$ \hat p = \sum w h / \sum w,\qquad
       n = \hat p(1-\hat p) \Big(\sum w\Big)^2 \Big/ \sum w^2 (h - \hat p)^2 $$

    Where every unit is (or no unit is) a hit, n is Kish's (sum w)^2 / sum w^2.

    Args:
        hits: 0/1, shape (n,).
        weight: Design weights of the gold set, > 0, shape (n,).
    Raises: DesignError if a weight is not positive or the gold set is empty.
    References: Korn & Graubard (1998) and Kish (1965), sec. 11.7, for the effective sizes.
    """
    h, w = finite("hits", hits), finite("weight", weight)
    if h.shape != w.shape or h.size == 0 or w.min() <= 0.0:
        raise DesignError("a share needs units with positive weights", code="weights")
    if not np.isin(h, (0.0, 1.0)).all():
        raise DesignError("hits must be 0 or 1", code="proportion")
    total = float(w.sum())
    p = float(w @ h) / total
    spread = float(w**2 @ (h - p) ** 2)
    if p in (0.0, 1.0) or spread == 0.0:
        return Share(p, total**2 / float(w @ w))
    return Share(p, p * (1.0 - p) * total**2 / spread)


@dataclass(frozen=True)
class CorrectedPrevalence:
    """A prevalence corrected for a judge's errors.

    Attributes:
        value: Rogan-Gladen estimate, cut to [0, 1].
        uncut: The same before cutting.
        std_error: Delta-method standard error, with the uncertainty of all three inputs.
        interval: As asked for.
    """

    value: float
    uncut: float
    std_error: float
    interval: Interval


def rogan_gladen(
    apparent: Share,
    sensitivity: Share,
    specificity: Share,
    *,
    level: float = 0.95,
    side: Side = "two-sided",
    method: IntervalMethod = "lang_reiczigel",
    rng: np.random.Generator | None = None,
    draws: int = 20_000,
) -> CorrectedPrevalence:
    r"""Prevalence behind the share that an imperfect judge flags.

    $$ \hat R = \frac{\hat p + \widehat{Sp} - 1}{\widehat{Se} + \widehat{Sp} - 1} $$

    Args:
        apparent: Share flagged, with its (effective) size.
        sensitivity: Share of true violations flagged, from gold.
        specificity: Share of others not flagged, from gold.
        level: Nominal coverage, in (0, 1).
        side: ``"two-sided"``, or the one end that is guarded.
        method: ``"lang_reiczigel"`` adjusts counts before the delta method and covers well even
            for small gold sets; ``"delta"`` does not and is shown for comparison;
            ``"bayesian"`` draws all three from Jeffreys posteriors, keeps the draws that a
            prevalence in [0, 1] can explain, and takes quantiles.
        rng: Source of the posterior draws; needed for ``"bayesian"``.
        draws: Posterior draws.
    Assumes: gold independent of the sample and its errors those of this population; for gold
        drawn with weights, shares from :func:`weighted_share`.
    Raises: DesignError where no correction can be defended: Se + Sp <= 1, or the interval of Sp
        reaching down to 1 - apparent prevalence, so that false alarms alone explain all flags.
    References: Rogan & Gladen (1978); Lang & Reiczigel (2014), Preventive Veterinary Medicine
        113, 13-22.
    """
    for name, share in (
        ("apparent", apparent),
        ("sensitivity", sensitivity),
        ("specificity", specificity),
    ):
        if not (0.0 <= share.value <= 1.0 and share.n > 0.0 and math.isfinite(share.n)):
            raise DesignError(
                f"{name} is not a proportion with a positive size", got=repr(share), code="share"
            )
    _refuse_hopeless(apparent, sensitivity, specificity, level)
    youden = sensitivity.value + specificity.value - 1.0
    uncut = (apparent.value + specificity.value - 1.0) / youden
    std_error = _delta_error(apparent, sensitivity, specificity, uncut)
    if method == "delta":
        z = normal_quantile(level, side)
        interval = bounded(
            uncut - z * std_error, uncut + z * std_error, level=level, side=side, method="delta"
        )
    elif method == "lang_reiczigel":
        interval = lang_reiczigel_interval(
            apparent, sensitivity, specificity, level=level, side=side
        )
    elif method == "bayesian":
        interval = _bayesian(apparent, sensitivity, specificity, level, side, rng, draws)
    else:
        raise DesignError("unknown method", code="method", got=repr(method))
    return CorrectedPrevalence(min(max(uncut, 0.0), 1.0), uncut, std_error, interval)


def lang_reiczigel_interval(
    apparent: Share,
    sensitivity: Share,
    specificity: Share,
    *,
    level: float = 0.95,
    side: Side = "two-sided",
) -> Interval:
    r"""Interval of the corrected prevalence, by adding successes and failures first.

    The flagged share gets z^2 trials, half of them successes; Se and Sp get one success and one
    failure each; then the delta method, its centre shifted by
    $2z^2[R\,Se(1-Se)/n_{Se} - (1-R)\,Sp(1-Sp)/n_{Sp}]$ (all with the enlarged counts).

    It gives no refusal of its own; :func:`rogan_gladen` does.

    Args:
        apparent: Share flagged, with its (effective) size.
        sensitivity: Se from gold.
        specificity: Sp from gold.
        level: Nominal coverage, in (0, 1).
        side: ``"two-sided"``, or the one end that is guarded.
    References: Lang & Reiczigel (2014), sec. 2; Lee et al. (2025), arXiv 2511.21140, use the
        same interval for language-model judges.
    """
    z = normal_quantile(level, side)
    apparent = Share(
        (apparent.n * apparent.value + z * z / 2.0) / (apparent.n + z * z), apparent.n + z * z
    )
    se, sp = (
        Share((share.n * share.value + 1.0) / (share.n + 2.0), share.n + 2.0)
        for share in (sensitivity, specificity)
    )
    youden = se.value + sp.value - 1.0
    if youden <= 0.0:
        return Interval(
            0.0, 1.0, level, "no_information", "lang_reiczigel", "the gold set is too small"
        )
    value = (apparent.value + sp.value - 1.0) / youden
    shift = 2.0 * z * z * (value * _binomial_variance(se) - (1.0 - value) * _binomial_variance(sp))
    reach = z * _delta_error(apparent, se, sp, value)
    return bounded(
        value + shift - reach,
        value + shift + reach,
        level=level,
        side=side,
        method="lang_reiczigel",
    )


def two_phase_share(
    flagged_share: Share, precision: Share, miss_rate: Share
) -> tuple[float, float]:
    r"""Prevalence from gold drawn *within* the flagged and the unflagged, and its variance.

    $$ \hat R = \hat p\,\widehat{PPV} + (1-\hat p)\,\widehat{FOR} $$

    Unlike Rogan-Gladen it needs nothing about the judge: both shares come from this population.

    Args:
        flagged_share: p, share flagged, with its effective size.
        precision: Share of violations among the flagged (PPV), from gold drawn there.
        miss_rate: Share of violations among the unflagged (false omission rate).
    Returns: The estimate and its variance.
    References: Tenenbein (1970), JASA 65, 1350-1361.
    """
    p = flagged_share.value
    value = p * precision.value + (1.0 - p) * miss_rate.value
    variance = (
        _binomial_variance(flagged_share) * (precision.value - miss_rate.value) ** 2
        + p**2 * _binomial_variance(precision)
        + (1.0 - p) ** 2 * _binomial_variance(miss_rate)
    )
    return value, variance


def _refuse_hopeless(apparent: Share, se: Share, sp: Share, level: float) -> None:
    if se.value + sp.value <= 1.0:
        raise DesignError(
            "the judge is no better than chance: Se + Sp <= 1",
            code="uninformative_judge",
            got=f"Se {se.value:.4g}, Sp {sp.value:.4g}",
            hint="mend the judge, or measure with human labels alone",
        )
    lowest = clopper_pearson_interval(sp.value, sp.n, level=level).lower
    if lowest <= 1.0 - apparent.value and apparent.value < 1.0:
        needed = math.log(2.0 / (1.0 - level)) / max(apparent.value, 1e-300)
        raise DesignError(
            "false alarms alone could explain every flag: the interval of the specificity "
            "reaches 1 - apparent prevalence",
            code="specificity_too_uncertain",
            expected=f"a lower end of Sp above {1.0 - apparent.value:.6g}",
            got=f"{lowest:.6g} from {sp.n:.0f} gold non-violations",
            hint=f"label more of them (without a false alarm, above {needed:.0f}), or use the "
            "ladder with gold drawn from this sample",
        )


def _binomial_variance(share: Share) -> float:
    return share.value * (1.0 - share.value) / share.n


def _delta_error(apparent: Share, se: Share, sp: Share, value: float) -> float:
    youden = se.value + sp.value - 1.0
    variance = (
        _binomial_variance(apparent)
        + value**2 * _binomial_variance(se)
        + (1.0 - value) ** 2 * _binomial_variance(sp)
    )
    return math.sqrt(variance) / youden


def _bayesian(
    apparent: Share,
    se: Share,
    sp: Share,
    level: float,
    side: Side,
    rng: np.random.Generator | None,
    draws: int,
) -> Interval:
    if rng is None:
        raise DesignError("the Bayesian interval needs a generator", hint="pass rng", code="rng")
    p, s, c = (
        rng.beta(share.value * share.n + 0.5, (1.0 - share.value) * share.n + 0.5, draws)
        for share in (apparent, se, sp)
    )
    youden = s + c - 1.0
    rate = np.divide(p + c - 1.0, youden, out=np.full(draws, -1.0), where=youden > 0.0)
    kept = rate[(rate >= 0.0) & (rate <= 1.0)]
    if kept.size < draws / 100:
        return Interval(
            0.0, 1.0, level, "no_information", "bayesian", "almost no draw fits a prevalence"
        )
    out = (1.0 - level) / 2.0 if side == "two-sided" else 1.0 - level
    lower, upper = np.quantile(kept, [out, 1.0 - out])
    return bounded(float(lower), float(upper), level=level, side=side, method="bayesian")
