"""The permanent random number: a keyed hash of (salt, id), the same wherever it is computed.

u = (k + 0.5) / 2^52, where k is the number that the first 13 hex digits of
md5(salt + "|" + id) spell, both as UTF-8. Every step after md5 is exact in doubles, so u is
the same to the last bit on every engine. The conformance test compares them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from baserate.terms.errors import TableError

_HEX_DIGITS = 13
_RANGE = 2.0**52


def _hex_number(digits: str) -> int:  # type: ignore[empty-body]
    """The number that hex digits spell; every engine has a function of that name."""


_hex_number_of = ibis.udf.scalar.builtin(_hex_number, name="hex_number")


def prn_expr(id_value: ir.StringValue, salt: str) -> ir.FloatingValue:
    """The permanent random number of each id, as an expression; null where the id is null.

    Args:
        id_value: The units' ids.
        salt: Key of the draw; each phase has its own.

    Returns:
        Values in (0, 1), bit for bit those of ``prn_array``.
    """
    digest = (ibis.literal(f"{salt}|") + id_value).hexdigest("md5")
    k = _hex_number_of(digest.left(_HEX_DIGITS))
    return (k.cast("float64") + 0.5) / _RANGE


def prn_array(ids: Sequence[str] | pa.Array | pa.ChunkedArray, salt: str) -> NDArray[np.float64]:
    """The permanent random number of each id, as an array of shape (n,), values in (0, 1).

    Args:
        ids: The units' ids, none of them null.
        salt: Key of the draw; each phase has its own.

    Raises: TableError if an id is null.

    Example:
        >>> prn_array(["a", "b"], "salt").round(6).tolist()
        [0.320989, 0.938894]
    """
    values: Sequence[str | None] = (
        ids.to_pylist() if isinstance(ids, pa.Array | pa.ChunkedArray) else ids
    )
    if any(v is None for v in values):
        raise TableError(
            "an id is null and has no permanent random number",
            code="null_id",
            hint="set rows without an id aside before drawing",
        )
    keyed = hashlib.md5(f"{salt}|".encode(), usedforsecurity=False)
    digests = bytearray()
    for value in values:
        one = keyed.copy()
        one.update(str(value).encode())
        digests += one.digest()[:8]
    k = np.frombuffer(bytes(digests), dtype=">u8") >> np.uint64(12)
    return np.asarray((k.astype(np.float64) + 0.5) / _RANGE, dtype=np.float64)
