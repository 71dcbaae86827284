"""List-sequential selection: unit after unit, each with its exact conditional probability."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from baserate.stats.arrays import Array, BoolArray
from baserate.terms.errors import DesignError

MAX_CELLS = 4_000_000_000


def conditional_poisson_walk(prob: Array, n: int, prn: Array) -> BoolArray:
    r"""Draw n units by conditional Poisson sampling, in the order given.

    $$ P(i \in s \mid \text{past}) = p_i\, \frac{P(S_{>i} = r - 1)}{P(S_{\ge i} = r)} $$

    with r the number of units still to draw and S_{>i} the Poisson sample size after unit i.

    Args:
        prob: Canonical p_i in (0, 1), shape (N,).
        n: Sample size.
        prn: u_i in (0, 1), shape (N,).
    References: Chen, Dempster & Liu (1994), procedure 3; Tillé (2006), sec. 5.6.
    """

    def back(row: Array, i: int) -> Array:
        return _convolved(row, float(prob[i]))

    chosen, left = np.zeros(prob.size, dtype=np.bool_), n
    for i, after in _rows_forward(back, _start(1, n), prob.size):
        take = prob[i] * (after[0, left - 1] if left else 0.0)
        skip = (1.0 - prob[i]) * after[0, left]
        chosen[i] = prn[i] * (take + skip) < take
        left -= int(chosen[i])
        if left == 0:
            break
    return chosen


def sampford_walk(prob: Array, n: int, prn: Array) -> BoolArray:
    r"""Draw n units by Sampford sampling, in the order given.

    With T = sum of (1 - pi) over the units drawn so far, a_i(r) = P(S_{>i} = r) and
    b_i(r) = E[sum of (1 - pi) over the later sample; S_{>i} = r],

    $$ P(i \in s \mid \text{past}) =
       \frac{\pi_i [(T + 1 - \pi_i) a_i(r-1) + b_i(r-1)]}{T a_{i-1}(r) + b_{i-1}(r)} $$

    Args:
        prob: pi_i in (0, 1) that add up to n, shape (N,).
        n: Sample size.
        prn: u_i in (0, 1), shape (N,).
    References: Sampford (1967); the recursion follows from its probability function.
    """

    def back(row: Array, i: int) -> Array:
        p = float(prob[i])
        before = _convolved(row, p)
        before[1, 1:] += p * (1.0 - p) * row[0, :-1]
        return before

    chosen, left, drawn = np.zeros(prob.size, dtype=np.bool_), n, 0.0
    for i, after in _rows_forward(back, _start(2, n), prob.size):
        p = float(prob[i])
        take = p * ((drawn + 1.0 - p) * after[0, left - 1] + after[1, left - 1]) if left else 0.0
        skip = (1.0 - p) * (drawn * after[0, left] + after[1, left])
        chosen[i] = prn[i] * (take + skip) < take
        left, drawn = left - int(chosen[i]), drawn + (1.0 - p) * chosen[i]
        if left == 0:
            break
    return chosen


def _start(n_laws: int, n: int) -> Array:
    """Laws of an empty sum: S = 0 with certainty."""
    row = np.zeros((n_laws, n + 1))
    row[0, 0] = 1.0
    return row


def _convolved(row: Array, p: float) -> Array:
    before = (1.0 - p) * row
    before[:, 1:] += p * row[:, :-1]
    return before


def _rows_forward(
    back: Callable[[Array, int], Array], last: Array, n_units: int
) -> Iterator[tuple[int, Array]]:
    """(i, row after unit i) for i = 0, 1, ..., from a recursion that runs backward.

    Every sqrt(N)-th row is kept and the rows between are found again, so memory grows with
    sqrt(N) only.
    """
    if n_units * last.size > MAX_CELLS:
        raise DesignError(
            "this list-sequential draw would take hours",
            code="draw_too_large",
            got=f"{n_units} units, {last.shape[1] - 1} to draw",
            hint="draw by pareto: for large samples it is the same design for all practical uses",
        )
    step = max(1, int(np.sqrt(n_units)))
    starts = list(range(0, n_units, step))
    kept, row = {}, last
    for start in reversed(starts):
        end = min(start + step, n_units)
        kept[start] = row
        for i in range(end - 1, start - 1, -1):
            row = back(row, i)
    for start in starts:
        end = min(start + step, n_units)
        rows = [kept.pop(start)]
        for i in range(end - 1, start, -1):
            rows.append(back(rows[-1], i))
        for i in range(start, end):
            yield i, rows[end - 1 - i]
