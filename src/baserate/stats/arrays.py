"""Array types and the checks that every public function of ``stats`` makes first."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from baserate.terms.errors import DesignError

Array: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]


def finite(name: str, values: ArrayLike) -> Array:
    """Values as a float64 vector, shape (n,).

    Raises: DesignError if a value is NaN or infinite, or the array is not one-dimensional.
    """
    array = np.asarray(values, dtype=np.float64)
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
