"""The smallest change between two periods that a comparison would find, and labels for it."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from baserate.terms.errors import DesignError


class DetectableChange(NamedTuple):
    """The smallest change of a rate that a comparison would notice.

    Attributes:
        absolute: Change of the rate.
        relative: Change over the rate before.
        rate_after: The rate after the change.
    """

    absolute: float
    relative: float
    rate_after: float


def minimum_detectable_change(
    rate: float,
    std_error_before: float,
    std_error_after: float | None = None,
    *,
    correlation: float = 0.0,
    alpha: float = 0.05,
    power: float = 0.8,
    direction: Literal["increase", "decrease"] = "increase",
) -> DetectableChange:
    r"""The change that a two-sided test between two periods finds with the given power.

    $$ |\Delta| = z_{1-\alpha/2} \sqrt{V_1 + V_2 - 2 \rho \sqrt{V_1 V_2}} + z_{power}
       \sqrt{V_1 + k V_2 - 2 \rho \sqrt{k V_1 V_2}}, \qquad k = (R + \Delta) / R $$

    A positive carries the variance of a rare rate, so V_2 grows with the rate after the change.

    Args:
        rate: R before the change, in (0, 1).
        std_error_before: sqrt(V_1) > 0.
        std_error_after: sqrt(V_2) at an unchanged rate; as before by default.
        correlation: rho of the two estimates in [0, 1): above 0 where samples overlap.
        alpha: Two-sided error rate, in (0, 1).
        power: Chance to find it, in (alpha, 1).
        direction: "increase" or "decrease".
    Raises: DesignError if a value lies outside its range, or no change of this direction up to
        a rate of 1 (or down to 0) would be found.
    References: Lohr (2022), sec. 2.6; Fleiss, Levin & Paik (2003), ch. 4.
    """
    after = std_error_before if std_error_after is None else std_error_after
    if not (
        0.0 < rate < 1.0
        and 0.0 < std_error_before < np.inf
        and 0.0 < after < np.inf
        and 0.0 <= correlation < 1.0
        and 0.0 < alpha < power < 1.0
    ):
        raise DesignError(
            "a detectable change needs a rate in (0, 1), errors above 0, correlation in [0, 1), "
            "and 0 < alpha < power < 1",
            code="bad_plan",
        )
    z_test, z_power = float(norm.ppf(1.0 - alpha / 2.0)), float(norm.ppf(power))

    def error(k: float) -> float:
        second = after * np.sqrt(k)
        square = std_error_before**2 + second**2 - 2 * correlation * std_error_before * second
        return float(np.sqrt(max(square, 0.0)))

    sign = 1.0 if direction == "increase" else -1.0

    def missing(change: float) -> float:
        k = max(1.0 + sign * change / rate, 0.0)
        return z_test * error(1.0) + z_power * error(k) - change

    largest = 1.0 - rate if direction == "increase" else rate
    if missing(largest) > 0.0:
        raise DesignError(
            f"no {direction} of this rate would be found with this power",
            code="no_detectable_change",
            got=f"rate {rate:.3g}, standard error {std_error_before:.3g}",
            hint="draw more labels or pool periods: the smallest change falls with 1 / sqrt(n)",
        )
    change = float(brentq(missing, 0.0, largest))
    return DetectableChange(sign * change, sign * change / rate, rate + sign * change)


def labels_for_change(
    rate: float,
    variance_per_label: float,
    relative_change: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
) -> float:
    r"""Labels per period for a relative change to be found between two periods.

    $$ n = \frac{u \bigl(z_{1-\alpha/2} \sqrt{2} + z_{power} \sqrt{1 + k}\bigr)^2}{\Delta^2},
       \qquad V = u / n $$

    Args:
        rate: R before the change, in (0, 1).
        variance_per_label: u = n V of the design in use: R (1 - R) for a plain sample.
        relative_change: Delta / R, above -1 and not 0; -0.5 is a halving.
        alpha: Two-sided error rate.
        power: Chance to find it.
    Assumes: independent samples, and a variance that falls as 1/n.
    Raises: DesignError if a value lies outside its range.
    References: Fleiss, Levin & Paik (2003), sec. 4.2.
    """
    if not (
        0.0 < rate < 1.0
        and 0.0 < variance_per_label < np.inf
        and -1.0 <= relative_change < np.inf
        and relative_change != 0.0
        and 0.0 < alpha < power < 1.0
    ):
        raise DesignError(
            "planning for a change needs a rate in (0, 1), a variance above 0, a change of at "
            "least -1 and not 0, and 0 < alpha < power < 1",
            code="bad_plan",
        )
    z_test, z_power = float(norm.ppf(1.0 - alpha / 2.0)), float(norm.ppf(power))
    spread = z_test * np.sqrt(2.0) + z_power * np.sqrt(2.0 + relative_change)
    return float(variance_per_label * (spread / (relative_change * rate)) ** 2)
