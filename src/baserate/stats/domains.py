"""Domains (surface, country, age band): the part of each outcome that falls into one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats.arrays import Array, numbers
from baserate.terms.errors import DesignError


def domain_columns(values: ArrayLike, domain: ArrayLike, n_domains: int) -> Array:
    """Values split over domains: column p * n_domains + d holds y_p times 1{unit in d}.

    The whole sample stays in every column, so the design's variance does too.

    Args:
        values: y, shape (n,) or (n, P). NaN outside a domain stays out of that domain's column.
        domain: Domain code of each unit, 0 .. n_domains - 1, shape (n,); -1: in none.
        n_domains: How many domains there are, seen or not.
    Raises: DesignError if a code lies outside -1 .. n_domains - 1.
    """
    y = np.atleast_1d(numbers("values", values))
    y = y[:, None] if y.ndim == 1 else y
    codes = np.asarray(domain)
    if codes.size and codes.dtype.kind not in "iub":
        raise DesignError(
            "domain codes must be whole numbers", code="not_codes", got=f"values of {codes.dtype}"
        )
    if codes.shape != (y.shape[0],) or (
        codes.size and (codes.min() < -1 or codes.max() >= n_domains)
    ):
        raise DesignError(
            "domain does not fit the values",
            expected=f"{y.shape[0]} codes in -1..{n_domains - 1}",
            got=f"shape {codes.shape}",
        )
    out = np.zeros((y.shape[0], y.shape[1], n_domains))
    rows = np.flatnonzero(codes >= 0)
    out[rows, :, codes[rows]] = y[rows]
    return out.reshape(y.shape[0], y.shape[1] * n_domains)
