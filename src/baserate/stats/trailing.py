"""A day's count against those of the days before it: robust, and aware of the week."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, finite
from baserate.terms.errors import DesignError

#: Fewest days before, for a count to be judged; fewest of one weekday, to be compared with those.
LEAST_DAYS, LEAST_OF_WEEKDAY = 7, 3
#: Makes the median absolute deviation of normal numbers their standard deviation.
_NORMAL = 1.4826


class UsualCount(NamedTuple):
    """What a day's count usually is.

    Attributes:
        expected: Expected count; NaN where there are too few days.
        spread: Standard deviation of a day's count around it, as a share of it, in [0, inf).
        n_days: Days that it was taken from.
        same_weekday: Whether those were days of the same weekday.
    """

    expected: float
    spread: float
    n_days: int
    same_weekday: bool


def usual_count(counts: ArrayLike, weekdays: ArrayLike, weekday: int) -> UsualCount:
    r"""The median of the days before, of the same weekday where there are enough of them.

    $$ m_w = \operatorname{med}_{i:\,w_i = w} x_i, \qquad
       s = 1.4826 \, \operatorname{med}_i \left| x_i / m_{w_i} - 1 \right| $$

    With fewer than 3 days of a weekday, the median of all days takes the place of m_w; with fewer
    than 7 days, nothing is said. Medians, so that a broken day among those before does not make
    the next one look usual.

    Args:
        counts: Counts of the days before, 0 or more, shape (n,).
        weekdays: Weekday of each, 0 to 6, shape (n,).
        weekday: Weekday of the day to be judged.

    Assumes: no trend to speak of over the days given.
    Raises: DesignError if a count is no number or below 0, or the lengths differ.
    References: Rousseeuw & Croux (1993), section 1, for the median absolute deviation.

    Example:
        >>> days = range(28)
        >>> usual = usual_count([50 if d % 7 > 4 else 100 for d in days], [d % 7 for d in days], 5)
        >>> usual.expected, usual.n_days, usual.same_weekday
        (50.0, 4, True)
    """
    x, w = finite("counts", counts), finite("weekdays", weekdays)
    if x.ndim != 1 or x.shape != w.shape or (x < 0).any():
        raise DesignError(
            "counts and weekdays do not describe days",
            code="not_days",
            expected="as many weekdays as counts, counts of 0 or more",
            got=f"shapes {x.shape} and {w.shape}",
        )
    if x.size < LEAST_DAYS:
        return UsualCount(float("nan"), 0.0, int(x.size), same_weekday=False)
    expected = np.array([_expected(x, w, day) for day in w])
    known = expected > 0
    apart = np.abs(x[known] / expected[known] - 1.0)
    spread = _NORMAL * float(np.median(apart)) if apart.size else 0.0
    of_weekday = int((w == weekday).sum())
    own = of_weekday >= LEAST_OF_WEEKDAY
    return UsualCount(_expected(x, w, weekday), spread, of_weekday if own else int(x.size), own)


def _expected(x: Array, w: Array, weekday: float) -> float:
    own = x[w == weekday]
    return float(np.median(own if own.size >= LEAST_OF_WEEKDAY else x))


def departs(
    count: float, usual: UsualCount, *, spreads: float = 5.0, least_share: float = 0.1
) -> bool | None:
    """Whether a count is far from what is usual; None where nothing is known of that.

    Far is more than so many spreads and more than a least share of what is usual: with few days
    the spread is itself uncertain, and quiet platforms would alarm at every holiday.

    Args:
        count: The day's count.
        usual: From ``usual_count``.
        spreads: Spreads that it may be off.
        least_share: Share of the usual count that it may be off in any case.

    Example:
        >>> usual = UsualCount(100.0, 0.01, 4, same_weekday=True)
        >>> departs(61, usual), departs(93, usual)
        (True, False)
    """
    if np.isnan(usual.expected):
        return None
    allowed = max(spreads * usual.spread, least_share) * usual.expected
    return bool(abs(count - usual.expected) > allowed)
