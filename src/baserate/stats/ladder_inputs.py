"""What a ladder is given, checked and brought to one shape: matrices over s1, one column a cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, BoolArray, IntArray
from baserate.stats.phases import PhaseChain
from baserate.terms.errors import DesignError

DenominatorKind: TypeAlias = Literal["known", "first_phase", "last_phase"]


def _matrix(name: str, values: ArrayLike, n: int) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim not in (1, 2) or array.shape[0] != n:
        raise DesignError(
            f"{name} does not match the sample",
            code="shape",
            expected=f"shape ({n},) or ({n}, D)",
            got=f"shape {array.shape}",
        )
    return array[:, None] if array.ndim == 1 else array


def _measured(name: str, values: ArrayLike, mask: BoolArray) -> Array:
    """Values where the mask selected, 0 elsewhere, shape (n, D)."""
    array = _matrix(name, values, mask.size)
    if not np.isfinite(array[mask]).all():
        missing = int((~np.isfinite(array[mask])).any(axis=1).sum())
        raise DesignError(
            f"{name} is missing where its phase selected",
            code="not_measured",
            got=f"{missing} selected units without a finite value",
            hint="treat them as nonresponse (weighting classes, worst-case bounds) first",
        )
    return np.where(mask[:, None], array, 0.0)


def aligned_values(
    rungs: Sequence[ArrayLike], masks: Sequence[BoolArray], frame_model: ArrayLike | None, n: int
) -> list[Array]:
    """mu, y_1, ..., y_K as matrices; mu is zero if there is no frame model."""
    model = (
        np.zeros((n, 1))
        if frame_model is None
        else _measured("the frame model", frame_model, masks[0])
    )
    rows = [
        _measured(f"rung {number}", rung, mask)
        for number, (rung, mask) in enumerate(zip(rungs, masks, strict=True), start=1)
    ]
    return [model, *rows]


def common_width(
    values: Sequence[Array], x: Array | None, totals: Sequence[ArrayLike | None]
) -> int:
    """How many columns the inputs have between them."""
    widths = {v.shape[1] for v in values} | {1 if x is None else x.shape[1]}
    widths |= {np.asarray(total).size for total in totals if total is not None}
    if len(widths - {1}) > 1:
        raise DesignError(
            "the inputs differ in their number of columns",
            code="shape",
            expected="one column, or D in each that has more than one",
            got=f"{sorted(widths)} columns",
        )
    return max(widths)


def model_total(model: ArrayLike | None, total: ArrayLike | None, cells: int) -> Array:
    """Sum of mu over U for each column, shape (D,); zero without a model."""
    if (model is None) != (total is None):
        raise DesignError(
            "frame_model and framemodel_total go together",
            hint="give mu on the sampled units and its sum over the whole frame",
        )
    return _per_cell("framemodel_total", 0.0 if total is None else total, cells)


def _per_cell(name: str, values: ArrayLike, cells: int) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim > 1 or (array.ndim == 1 and array.size not in (1, cells)):
        raise DesignError(
            f"{name} does not match the columns",
            code="shape",
            expected=f"a number or shape ({cells},)",
            got=f"shape {array.shape}",
        )
    if not np.isfinite(array).all():
        raise DesignError(f"{name} has a value that is not finite", code="not_finite")
    return np.broadcast_to(array, (cells,)).copy()


def x_values(values: ArrayLike | None, mask: BoolArray) -> Array:
    """The denominator variable x over s1 as a matrix."""
    if values is None:
        raise DesignError(
            "an estimated denominator needs denominator_values",
            hint="give x on the sampled units, or denominator='known' with its frame total",
        )
    return _measured("denominator_values", values, mask)


def denominator_totals(
    kind: DenominatorKind,
    known: ArrayLike | None,
    x: Array | None,
    chain: PhaseChain,
    cells: int,
) -> Array:
    """T_x of each column, shape (D,): known, or estimated from the first or the last phase.

    Raises: DesignError if it is missing or not positive.
    """
    if x is not None:
        phase = 0 if kind == "first_phase" else len(chain.masks) - 1
        total = np.broadcast_to(chain.expansion(phase) @ x, (cells,)).copy()
    elif known is None:
        raise DesignError(
            "denominator_total is missing",
            hint="give T_x from the frame, or estimate it with denominator='first_phase'",
        )
    else:
        total = _per_cell("denominator_total", known, cells)
    if (total <= 0.0).any():
        raise DesignError(
            "a cell has no exposure: its denominator is not positive",
            code="empty_domain",
            got=f"column {int(np.flatnonzero(total <= 0.0)[0])} of {cells}",
            hint="leave cells without frame exposure out of the call",
        )
    return total


def safe_ratio(top: Array, bottom: Array) -> Array:
    """top / bottom, 0 where bottom is not positive."""
    top, bottom = np.broadcast_arrays(top, bottom)
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0.0)


def fixed_coefficients(coefficients: Sequence[float] | str | None, k: int) -> list[Array]:
    """Given coefficients as one fold's worth of tuned ones: K arrays of shape (1, 1)."""
    if isinstance(coefficients, str):
        raise DesignError("coefficients is a word other than 'tuned'", got=repr(coefficients))
    given = np.ones(k) if coefficients is None else np.asarray(coefficients, dtype=np.float64)
    if given.shape != (k,) or not np.isfinite(given).all():
        raise DesignError(
            "coefficients must be lambda_0 ... lambda_{K-1}",
            expected=f"{k} finite numbers (the top rung's is 1 and not given)",
            got=repr(coefficients),
        )
    return [np.full((1, 1), value) for value in given]


def fold_codes(folds: ArrayLike | None, n: int) -> IntArray:
    """Folds as codes 0 .. F-1, at least two."""
    if folds is None:
        raise DesignError(
            "tuned coefficients need folds",
            hint="pass folds from a hash of the unit id; tuning on the same labels that are "
            "averaged makes the variance 2-5 % low",
        )
    given = np.asarray(folds)
    if given.shape != (n,):
        raise DesignError("folds do not match the sample", expected=f"shape ({n},)", code="shape")
    codes = np.unique(given, return_inverse=True)[1].astype(np.int64)
    if codes.max() < 1:
        raise DesignError("tuning needs at least two folds", code="one_fold")
    return codes
