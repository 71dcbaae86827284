"""Samples that share units, or avoid to: one permanent random number serves several draws.

| wanted | PRN of the second draw | P(in both) under Poisson |
|---|---|---|
| the same units again (a panel, users over days) | the same | min(pi_a, pi_b) |
| as few as possible (no unit asked twice) | `rotated(prn, pi_a)` | max(0, pi_a + pi_b - 1) |
| a part that rotates out each period | `rotated(prn, panel_rotation(pi, share))` | share of pi |
| nothing to do with each other (phases, queues) | of another salt | pi_a pi_b |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, probabilities
from baserate.stats.change import coordinated_joint_prob
from baserate.stats.designs.base import check_prn
from baserate.terms.errors import DesignError

Coordination: TypeAlias = Literal["same", "separate"]
_STEPS = 2.0**52


class Overlap(NamedTuple):
    """How many units two samples are expected to share.

    Attributes:
        expected: Sum of P(in both).
        std_error: Of the number shared under Poisson sampling.
        share: Expected number shared over the expected size of the second sample.
    """

    expected: float
    std_error: float
    share: float


def expected_overlap(
    prob_a: ArrayLike,
    prob_b: ArrayLike,
    *,
    coordination: Coordination = "same",
    rotation: float = 0.0,
) -> Overlap:
    r"""Expected number of units in both of two samples of one population.

    $$ E|s_a \cap s_b| = \sum_i \pi_{ab,i}, \qquad
       V = \sum_i \pi_{ab,i} (1 - \pi_{ab,i}) $$

    with pi_ab = min(pi_a, pi_b) for one PRN, less by what the rotation moves apart
    (`stats.change.coordinated_joint_prob`), and pi_a pi_b for PRNs of two salts.

    Args:
        prob_a: pi of the first draw, in (0, 1], shape (N,).
        prob_b: pi of the second, shape (N,).
        coordination: "same" for one PRN, "separate" for two salts.
        rotation: By how much the second draw's PRN is rotated (`rotated`), in [0, 1).
    Assumes: Poisson sampling; exact in the limit for order designs.
    Raises: DesignError if shapes differ, a value is out of range, or a word is unknown.
    References: Ohlsson (1995), Coordination of samples using permanent random numbers.
    Example:
        >>> expected_overlap([0.5, 0.2], [0.1, 0.4]).expected
        0.30000000000000004
    """
    a, b = probabilities("prob_a", prob_a), probabilities("prob_b", prob_b)
    if a.shape != b.shape:
        raise DesignError("the two draws are from one population", got=f"{a.shape}, {b.shape}")
    _check_word(coordination, rotation)
    same = coordination == "same"
    both = coordinated_joint_prob(a, b, rotation=rotation) if same else a * b
    expected = float(both.sum())
    spread = float(np.sqrt((both * (1.0 - both)).sum()))
    return Overlap(expected, spread, expected / float(b.sum()) if b.size else 0.0)


def _check_word(coordination: str, rotation: float) -> None:
    if coordination == "same" or (coordination == "separate" and rotation == 0.0):
        return
    raise DesignError(
        "samples are coordinated by a word",
        expected="same (one PRN, with or without a rotation) or separate (two salts)",
        got=f"{coordination!r}, rotation {rotation}",
    )


def rotated(prn: ArrayLike, rotation: float) -> Array:
    r"""Permanent random numbers moved around the unit circle, exactly.

    $$ u' = (u + \delta) \bmod 1 $$

    u' is a PRN again: in (0, 1), and as different between units as u was, because delta is taken
    in whole steps of 2**-52 and neither sum is rounded.

    Args:
        prn: u_i in (0, 1) of the form (k + 0.5) / 2**52, shape (N,).
        rotation: delta in [0, 1), rounded to a multiple of 2**-52.
    Raises: DesignError if a value is out of range.
    References: Ohlsson (1995).
    Example:
        >>> rotated([0.25, 0.875], 0.25)
        array([0.5  , 0.125])
    """
    numbers = check_prn(prn, np.size(prn))
    delta = whole_rotation(rotation)
    return np.where(numbers >= 1.0 - delta, numbers - (1.0 - delta), numbers + delta)


def whole_rotation(rotation: float) -> float:
    """A rotation as a whole multiple of 2**-52. Raises: DesignError outside [0, 1)."""
    if not 0.0 <= rotation < 1.0:
        raise DesignError("rotation must lie in [0, 1)", got=repr(rotation))
    return float(min(np.rint(rotation * _STEPS), _STEPS - 1.0) / _STEPS)


def panel_rotation(inclusion_prob: float, share_kept: float) -> float:
    r"""The rotation per period after which a stated share of a panel is still in it.

    $$ \delta = (1 - q)\, \pi, \qquad E|s_t \cap s_{t+1}| = q\, E|s_t| $$

    After 1 / (1 - q) periods nobody of the first panel is left, and nobody returns for a long
    time (1 / delta periods in all).

    Args:
        inclusion_prob: pi of every unit of the panel, in (0, 1/2].
        share_kept: q in [0, 1].
    Raises: DesignError if a value is out of range.
    References: Ohlsson (1995), sec. 9.3 (rotating panels).
    Example:
        >>> panel_rotation(0.01, 0.75)
        0.0025
    """
    if not (0.0 < inclusion_prob <= 0.5 and 0.0 <= share_kept <= 1.0):
        raise DesignError(
            "a rotating panel needs a probability and a share that stays",
            expected="0 < inclusion_prob <= 0.5, 0 <= share_kept <= 1",
            got=f"{inclusion_prob}, {share_kept}",
        )
    return (1.0 - share_kept) * inclusion_prob


def union_inclusion_prob(
    probs: Sequence[ArrayLike], *, coordination: Coordination = "separate"
) -> Array:
    r"""Probability that a unit is in at least one of several samples.

    $$ \pi_i = 1 - \prod_j (1 - \pi_{ij}) \quad \text{or, with one PRN,} \quad \max_j \pi_{ij} $$

    A unit that several draws want is labelled once, with this probability: the control arm beside
    a score-steered draw, or several policies' draws in one queue.

    Args:
        probs: pi of each draw, in (0, 1], each of shape (N,).
        coordination: "separate" for a salt each, "same" for one PRN.
    Assumes: Poisson sampling; an approximation for order designs.
    Raises: DesignError if there is no draw, shapes differ, or a value is out of range.
    References: Särndal, Swensson & Wretman (1992), sec. 3.5.
    Example:
        >>> union_inclusion_prob([[0.5], [0.2]]), union_inclusion_prob([[0.5], [0.2]],
        ...     coordination="same")
        (array([0.6]), array([0.5]))
    """
    arrays = [probabilities(f"probs[{j}]", prob) for j, prob in enumerate(probs)]
    if not arrays or any(a.shape != arrays[0].shape for a in arrays):
        raise DesignError("a union needs draws from one population", got=f"{len(arrays)} draw(s)")
    table = np.stack(arrays)
    if coordination == "same":
        return np.asarray(table.max(axis=0))
    return np.asarray(1.0 - np.prod(1.0 - table, axis=0))
