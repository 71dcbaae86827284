"""What every agreement coefficient returns, and its interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from baserate.stats._weighted import linearised_variance, weighted_proportion
from baserate.stats.agreement.ratings import Ratings
from baserate.stats.arrays import Array
from baserate.terms.errors import LabelError

#: A standard error that is no more than rounding.
_NOTHING = 1e-12


@dataclass(frozen=True)
class Agreement:
    """An agreement coefficient with its interval.

    Attributes:
        coefficient: Its name in the literature.
        value: Estimate; 1 is perfect agreement, 0 is chance.
        std_error: Linearised standard error; 0 when every unit tells the same.
        low: Lower end of the interval.
        high: Upper end of the interval, at most 1.
        level: Confidence level of the interval.
        observed: Observed agreement (for α: 1 minus the observed disagreement over its maximum).
        expected: Agreement expected by chance, on the same scale.
        n_units: Units that were rated at least twice.
    """

    coefficient: str
    value: float
    std_error: float
    low: float
    high: float
    level: float
    observed: float
    expected: float
    n_units: int


def refuse_undefined(name: str, chance: float) -> None:
    """Say why a coefficient has no value when chance alone would give full agreement.

    Raises: LabelError if chance agreement is 1.
    """
    if 1.0 - chance < 1e-12:
        raise LabelError(
            f"{name} is undefined: every rating is in one category, so chance agreement is 1",
            code="no_variation",
            hint="report AC1 with its categories or percent agreement, or add positives",
        )


def with_interval(
    name: str,
    value: float,
    influence: Array,
    table: Ratings,
    kept: Ratings,
    worst: float,
    level: float,
    observed: float,
    expected: float,
) -> Agreement:
    """The coefficient with its linearised t interval.

    When every unit agrees, or all tell the same in another way (one answer throughout, or total
    disagreement), the variance is 0 and says nothing. The ends then come from the share of units
    of another kind that may be unseen (Clopper-Pearson), each moving the coefficient by as much
    as one that disagrees entirely.

    Args:
        name: Coefficient.
        value: Its estimate.
        influence: Weight times influence of each rated unit, shape (n,).
        table: The rated units.
        kept: Those rated at least twice.
        worst: What the coefficient loses per unit share of entirely disagreeing units.
        level: Confidence level.
        observed: Observed agreement.
        expected: Agreement by chance.
    """
    n_units = kept.weight.size
    if observed >= 1.0 - 1e-15:
        value = observed = 1.0
        std_error = 0.0
    else:
        variance, df = linearised_variance(influence, table.cluster)
        std_error = float(np.sqrt(variance))
    if std_error > _NOTHING:
        reach = float(special.stdtrit(float(df), (1.0 + level) / 2.0)) * std_error
    else:
        none = np.zeros(n_units, bool)
        reach = worst * weighted_proportion(none, kept.weight, kept.cluster, level).high
    least = 0.0 if expected == 0.0 else min(-1.0, value)  # no chance: a plain share of agreement
    low, high = max(least, value - reach), min(1.0, value + reach)
    return Agreement(name, value, std_error, low, high, level, observed, expected, n_units)
