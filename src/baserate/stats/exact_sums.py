"""Sums of doubles that do not depend on the order of the terms, nor on who adds them up.

A double is cut into three whole numbers (limbs), most significant first; whole numbers add up
exactly in any order, on any machine, in any engine. One rounding at the end gives the sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, finite
from baserate.terms.errors import DesignError

#: Bits of a limb: 2**33 limbs of this size still add up within 63 bits.
LIMB_BITS = 30
LIMBS = 3


def limb_unit(bound: float) -> float:
    """The power of two that the first limb counts, for values of 0 to bound.

    Args:
        bound: Largest value that may occur, >= 0.
    """
    if not (math.isfinite(bound) and bound >= 0.0):
        raise DesignError("the bound of a sum must be finite and 0 or above", got=f"{bound}")
    exponent = math.frexp(bound)[1] if bound > 0.0 else 0
    return math.ldexp(1.0, exponent - LIMB_BITS)


def total_of_limbs(limbs: Sequence[int], unit: float) -> float:
    """The sum that sums of limbs stand for, rounded once.

    Args:
        limbs: Sums of the first, second, ... limb.
        unit: What one of the first limb stands for.
    """
    whole = 0
    for limb in limbs:
        whole = (whole << LIMB_BITS) + int(limb)
    return float(Fraction(whole, 1 << (LIMB_BITS * (len(limbs) - 1))) * Fraction(unit))


def exact_sum(value: ArrayLike, bound: float | None = None) -> float:
    r"""Sum of values of 0 or above, the same for every order of the terms.

    $$ x = h \sum_{j=1}^{3} b^{1-j} d_j + r, \qquad 0 \le r < h\,b^{-2}, \quad b = 2^{30} $$

    with whole d_j and h the power of two for which d_1 < b or so. What is cut off is below
    2**-89 of the bound per term; the sum of the rest is exact and rounded once.

    Args:
        value: Terms, >= 0, shape (N,), N < 2**33.
        bound: Not below the largest term; the largest term itself when absent. Two sums agree to
            the last bit if they use the same power of two above it.
    Raises: DesignError if a term is negative, not finite or above the bound.
    References: the idea is that of reproducible sums: Demmel & Nguyen (2013), ARITH.
    Example:
        >>> exact_sum([1e16, 1.0, 1.0]), sum([1e16, 1.0, 1.0])
        (1.0000000000000002e+16, 1e+16)
    """
    terms = finite("value", value)
    if terms.size == 0:
        return 0.0
    largest = float(terms.max()) if bound is None else bound
    if terms.min() < 0.0 or terms.max() > largest:
        raise DesignError(
            "a term lies outside the stated bounds of its sum",
            code="term_out_of_bounds",
            expected=f"0 to {largest:g}",
            got=f"{terms.min():g} to {terms.max():g}",
        )
    unit = limb_unit(largest)
    rest: Array = terms / unit
    sums = []
    for _ in range(LIMBS):
        whole = np.floor(rest)
        sums.append(int(whole.astype(np.int64).sum()))
        rest = (rest - whole) * 2.0**LIMB_BITS
    return total_of_limbs(sums, unit)
