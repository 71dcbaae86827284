"""The same draw from a part of the frame: order designs need only the units of small keys.

A frame of hundreds of millions stays in its engine; the units whose key is at most some reach
come here. If at least n of them lie within the reach, the n smallest keys of the frame are among
them, and the draw from these candidates is the draw from the frame.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, BoolArray, probabilities
from baserate.stats.designs.base import check_ids, check_prn, smallest
from baserate.stats.designs.order import OrderDesign, Pareto, SequentialPoisson, SimpleRandom
from baserate.terms.errors import DesignError

_ORDER: Final[dict[str, type[OrderDesign]]] = {
    design.name: design for design in (SimpleRandom, SequentialPoisson, Pareto)
}


def order_design_names() -> tuple[str, ...]:
    """Words of the designs that take the smallest keys."""
    return tuple(_ORDER)


def order_keys(name: str, prn: ArrayLike, inclusion_prob: ArrayLike) -> Array:
    """The ranking keys of some units under an order design; take-alls have key 0.

    Args:
        name: "simple_random", "sequential_poisson" or "pareto".
        prn: u_i in (0, 1), shape (m,).
        inclusion_prob: pi_i in (0, 1] under the design over the whole frame, shape (m,).
    Raises: DesignError if the name is of no order design, or a value is out of range.
    References: Rosén (1997); Ohlsson (1998).
    """
    if name not in _ORDER:
        raise DesignError(
            "only designs that take the smallest keys can be drawn from candidates",
            code="not_an_order_design",
            expected="one of " + ", ".join(_ORDER),
            got=repr(name),
        )
    prob = probabilities("inclusion_prob", inclusion_prob)
    numbers = check_prn(prn, prob.size)
    with np.errstate(divide="ignore"):
        keys = _ORDER[name]._key(numbers, prob)
    return np.where(prob == 1.0, 0.0, keys)


def select_candidates(
    name: str,
    prn: ArrayLike,
    inclusion_prob: ArrayLike,
    n: int,
    reach: float,
    *,
    unit_ids: ArrayLike | None = None,
) -> BoolArray | None:
    """Draw n units of a frame of which only the units with small keys are at hand.

    Args:
        name: "simple_random", "sequential_poisson" or "pareto".
        prn: u_i in (0, 1) of the candidates, shape (m,).
        inclusion_prob: pi_i in (0, 1] of the candidates, shape (m,).
        n: Sample size.
        reach: Every unit of the frame whose key is at most this is among the candidates;
            infinite if the candidates are the whole frame.
        unit_ids: Breaks ties, shape (m,); the row index by default.
    Returns: Which candidates are drawn, shape (m,); None if fewer than n lie within the reach, so
        that units outside might belong to the sample.
    Raises: DesignError as `order_keys`.
    Example:
        >>> select_candidates("pareto", [0.2, 0.4], [0.5, 0.5], 1, reach=0.5)
        array([ True, False])
        >>> select_candidates("pareto", [0.2, 0.4], [0.5, 0.5], 2, reach=0.5) is None
        True
    """
    keys = order_keys(name, prn, inclusion_prob)
    if int((keys <= reach).sum()) < n:
        return None
    return smallest(keys, n, check_ids(unit_ids, keys.size))
