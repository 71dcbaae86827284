"""Array types and the checks that every public function of ``stats`` makes first."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from baserate.terms.errors import DesignError

Array: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]


def numbers(name: str, values: ArrayLike) -> Array:
    """Values as a float64 array of any shape; NaN and infinity pass.

    Raises: DesignError if a value is no number, or the rows differ in length.
    """
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as reason:
        raise DesignError(
            f"{name} has a value that is not a number",
            code="not_numbers",
            expected="numbers, in rows of one length",
            got=str(reason),
        ) from reason


def one_or_each(name: str, values: ArrayLike, shape: tuple[int, ...]) -> Array:
    """One number for all, or one for each, as a read-only array of the shape.

    Raises: DesignError if the values are not numbers or do not fit the shape.
    """
    array = numbers(name, values)
    try:
        return np.broadcast_to(array, shape)
    except ValueError as reason:
        raise DesignError(
            f"{name} must be one number, or one for each",
            code="shape",
            expected=f"a number or shape {shape}",
            got=f"shape {array.shape}",
        ) from reason


def finite(name: str, values: ArrayLike) -> Array:
    """Values as a float64 vector, shape (n,).

    Raises: DesignError if a value is NaN, infinite or no number, or the array is not
        one-dimensional.
    """
    array = numbers(name, values)
    if array.ndim != 1:
        raise DesignError(
            f"{name} must be one-dimensional", expected="shape (n,)", got=f"shape {array.shape}"
        )
    if not np.isfinite(array).all():
        bad = int(np.flatnonzero(~np.isfinite(array))[0])
        raise DesignError(
            f"{name} has a value that is not finite",
            code="not_finite",
            got=f"{array[bad]} at index {bad}",
            hint="give missing values a class of their own before calling",
        )
    return array


def probabilities(name: str, values: ArrayLike) -> Array:
    """Inclusion probabilities as a float64 vector with values in (0, 1], shape (n,).

    Raises: DesignError if a value lies outside (0, 1].
    """
    array = finite(name, values)
    if array.size and (array.min() <= 0.0 or array.max() > 1.0):
        bad = int(np.flatnonzero((array <= 0.0) | (array > 1.0))[0])
        raise DesignError(
            f"{name} has a value outside (0, 1]",
            code="not_a_probability",
            expected="0 < probability <= 1",
            got=f"{array[bad]} at index {bad}",
        )
    return array
