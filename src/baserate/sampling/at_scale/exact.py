"""Numbers that every engine adds up and compares alike, to the last bit.

* A whole number is summed in two halves, so that no sum wraps at 63 bits.
* A double is summed in three limbs (``stats.exact_sums``): engines add in any order.
* A double constant is written as text and cast: a decimal literal of 17 digits is rounded twice
  by DuckDB.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import ibis
import ibis.expr.types as ir

from baserate.stats.exact_sums import LIMB_BITS, LIMBS, limb_unit, total_of_limbs

_HALF = 30
_LOW = (1 << _HALF) - 1


def exact_number(value: float) -> ir.FloatingValue:
    """A double as a constant of an expression, bit for bit."""
    return cast(ir.FloatingValue, ibis.literal(repr(float(value))).cast("float64"))


def whole_sums(name: str, value: ir.Value) -> dict[str, ir.Value]:
    """Aggregates that hold the sum of whole numbers of 0 or above; read with ``whole_sum``."""
    whole = value.cast("int64")
    return {
        f"{name}__high": (whole >> _HALF).sum(),
        f"{name}__low": (whole & _LOW).sum(),
    }


def whole_sum(name: str, row: Mapping[str, Any]) -> int:
    """The sum that ``whole_sums`` holds, of any size."""
    return (int(row[f"{name}__high"] or 0) << _HALF) + int(row[f"{name}__low"] or 0)


def double_sums(name: str, value: ir.Value, bound: float) -> dict[str, ir.Value]:
    """Aggregates that hold the sum of doubles between 0 and bound; read with ``double_sum``."""
    rest = value / exact_number(limb_unit(bound))
    sums: dict[str, ir.Value] = {}
    for limb in range(LIMBS):
        whole = rest.floor().cast("int64")
        sums[f"{name}__{limb}"] = whole.sum()
        rest = (rest - whole.cast("float64")) * float(2**LIMB_BITS)
    return sums


def double_sum(name: str, row: Mapping[str, Any], bound: float) -> float:
    """The sum that ``double_sums`` holds: that of ``stats.exact_sums.exact_sum``."""
    return total_of_limbs(limbs_of(name, row), limb_unit(bound))


def limbs_of(name: str, row: Mapping[str, Any]) -> list[int]:
    """The sums of limbs themselves, which add up over rows."""
    return [int(row[f"{name}__{limb}"] or 0) for limb in range(LIMBS)]
