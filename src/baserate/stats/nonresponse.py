"""Sampled units without a verdict: never safe by default; bounds, and weighting classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, BoolArray, IntArray, finite, one_or_each, probabilities
from baserate.stats.phases import Phase
from baserate.terms.errors import DesignError


class WorstCase(NamedTuple):
    """A rate if every missing verdict were not violating, and if every one were.

    Attributes:
        lower: Rate with every missing verdict at the least it could be.
        upper: Rate with every missing verdict at the most it could be.
        lower_values: y of every unit behind ``lower``, shape (n,): pass it to an estimator for
            the lower end's standard error.
        upper_values: The same for ``upper``.
    """

    lower: float
    upper: float
    lower_values: Array
    upper_values: Array


def worst_case_bounds(
    y: ArrayLike,
    responded: ArrayLike,
    inclusion_prob: ArrayLike,
    denominator_total: float,
    *,
    largest: ArrayLike = 1.0,
    least: ArrayLike = 0.0,
) -> WorstCase:
    r"""What the rate could be, whatever the missing verdicts are.

    $$ \frac{1}{T_x}\sum_s \frac{y_i r_i + a_i (1-r_i)}{\pi_i},\qquad a_i = least_i, largest_i $$

    Args:
        y: Values, shape (n,); read only where a verdict was given.
        responded: Whether there is a verdict, shape (n,).
        inclusion_prob: pi_i, in (0, 1], shape (n,).
        denominator_total: T_x, > 0.
        largest: Most that y could be, a number or shape (n,): the unit's exposure.
        least: Least that y could be.
    Assumes: nothing about who is missing. Sampling error comes on top of both ends.
    Raises: DesignError on shapes that differ, a missing value of a responding unit or T_x <= 0.
    References: Manski (2003), Partial Identification of Probability Distributions, ch. 1;
        Cochran (1977), sec. 13.2.

    Example:
        >>> worst_case_bounds([1, 0, 0], [True, True, False], [0.1] * 3, 100.0)[:2]
        (0.1, 0.2)
    """
    pi = probabilities("inclusion_prob", inclusion_prob)
    seen = _responses(responded, pi.size)
    values = np.asarray(y, dtype=np.float64)
    if values.shape != pi.shape:
        raise DesignError("y and probabilities differ in length", code="shape")
    finite("y of responding units", values[seen])
    if not denominator_total > 0.0:
        raise DesignError("T_x must be positive", code="empty_domain", got=f"{denominator_total}")
    low, high = (
        np.where(seen, values, finite("a bound", one_or_each("a bound", end, pi.shape)))
        for end in (least, largest)
    )
    if (low > high).any():
        raise DesignError("least lies above largest", code="bounds")
    ends = [float((v / pi).sum()) / denominator_total for v in (low, high)]
    return WorstCase(ends[0], ends[1], low, high)


class ResponseClasses(NamedTuple):
    """Response as one more phase, with a probability estimated within classes.

    Attributes:
        phase: The phase to append to a ladder (fixed size within classes).
        response_prob: Share of the class with a verdict, per unit, shape (n,).
        class_of: Class actually used by each unit, after merging, shape (n,).
        merged: How many classes had too few responses and were merged into one.
    """

    phase: Phase
    response_prob: Array
    class_of: IntArray
    merged: int


def weighting_classes(
    responded: ArrayLike,
    response_class: ArrayLike,
    *,
    sampled: ArrayLike | None = None,
    least_responses: int = 5,
) -> ResponseClasses:
    r"""Weights for missing verdicts: within a class, those who answered stand for all.

    $$ \hat\phi_c = r_c / n_c $$

    Given the class counts, the answers are a simple random subsample of each class: response
    is one more phase of the ladder, with its own part of the variance.

    Args:
        responded: Whether there is a verdict, shape (n,).
        response_class: Class of each unit, known for all sampled units (score band, kind of
            content, vendor), shape (n,).
        sampled: Units that were asked for a verdict, shape (n,); None: all.
        least_responses: Classes with fewer responses are merged together (and with the smallest
            of the others, if they still have too few).
    Assumes: verdicts are missing at random within classes. Show the worst-case bounds beside it.
    Bias: whatever remains of the link between verdict and response inside a class.
    Raises: DesignError if nobody responded, or someone did who was not asked.
    References: Särndal, Swensson & Wretman (1992), sec. 15.6 (response homogeneity groups);
        Oh & Scheuren (1983).

    Example:
        >>> weighting_classes([True, False, True, True], [0, 0, 0, 0]).response_prob
        array([0.75, 0.75, 0.75, 0.75])
    """
    given = np.asarray(response_class)
    seen = _responses(responded, given.size)
    asked = np.ones(seen.size, np.bool_) if sampled is None else _responses(sampled, given.size)
    if (seen & ~asked).any():
        raise DesignError("a unit responded that was not sampled", code="not_nested")
    if not seen.any():
        raise DesignError(
            "no unit has a verdict", code="empty_phase", hint="only worst_case_bounds can be had"
        )
    codes = np.unique(given, return_inverse=True)[1].ravel().astype(np.int64)
    codes, merged = _merged_classes(codes, seen, asked, least_responses)
    asked_count = np.bincount(codes, weights=asked)
    share = np.bincount(codes, weights=seen) / np.maximum(asked_count, 1.0)
    prob = share[codes]
    phase = Phase(
        inclusion_prob=np.where(seen, prob, 1.0), selected=seen, fixed_size=True, stratum=codes
    )
    return ResponseClasses(phase, prob, codes, merged)


def _merged_classes(
    codes: IntArray, seen: BoolArray, asked: BoolArray, least: int
) -> tuple[IntArray, int]:
    """Classes with fewer than ``least`` responses (unless complete) as one class."""
    responses = np.bincount(codes, weights=seen)
    complete = responses == np.bincount(codes, weights=asked)
    thin = (responses < least) & ~complete
    if not thin.any() or responses.size == 1:
        return codes, 0
    while responses[thin].sum() < min(least, responses.sum()) and not thin.all():
        thin[np.where(thin, np.inf, responses).argmin()] = True
    target = np.where(thin, 0, 1 + np.cumsum(~thin))
    dense = np.unique(target[codes], return_inverse=True)[1].ravel()
    return dense.astype(np.int64), int(thin.sum())


def _responses(responded: ArrayLike, n: int) -> BoolArray:
    seen = np.asarray(responded)
    if seen.dtype != np.bool_ or seen.shape != (n,):
        raise DesignError(
            "responded must be True or False for every sampled unit",
            code="shape",
            expected=f"{n} booleans",
            got=f"{seen.dtype}, shape {seen.shape}",
        )
    return seen
