"""How a picture looks, in 63 bits, and which pictures look alike."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from baserate.stats.arrays import Array

_SIDE = 8
#: A picture whose waves are all weaker than this has nothing to tell it from another.
_NO_STRUCTURE = 4.0
_DECIMALS = 3
_ROWS_AT_ONCE = 512


def perceptual_hash(grey: Array) -> str | None:
    """The DCT hash of a picture: which of its 63 slowest waves are above their median.

    Args:
        grey: Lightness in [0, 255], shape (32, 32).
    Returns: 16 hex digits (the first bit, of the mean lightness, is 0); None for a picture
        without structure, such as a blank one.
    References: Zauner (2010), Implementation and benchmarking of perceptual image hash
        functions, sec. 3.2.1.
    """
    from scipy.fft import dctn  # a fifth of a second that only days with pictures need

    waves = np.round(dctn(grey, norm="ortho")[:_SIDE, :_SIDE].ravel()[1:], _DECIMALS)
    if np.abs(waves).max() < _NO_STRUCTURE:
        return None
    bits = waves > np.median(waves)
    return f"{int(''.join('1' if bit else '0' for bit in bits), 2):016x}"


def look_alike(hashes: Mapping[str, str | None], near_bits: int) -> dict[str, str]:
    """Group of each picture: those that a chain of look-alikes joins.

    Args:
        hashes: Perceptual hash by sha256 of the file; None: like nothing but itself.
        near_bits: Bits in which two hashes of a group may differ.
    Returns: group by sha256: the first 16 digits of its smallest member. The order of the
        pictures changes nothing.
    """
    distinct = sorted({h for h in hashes.values() if h is not None})
    component = _components(np.array([int(h, 16) for h in distinct], dtype=np.uint64), near_bits)
    of_hash = dict(zip(distinct, component.tolist(), strict=True))
    name: dict[int, str] = {}
    for digest, look in sorted(hashes.items()):
        if look is not None:
            name.setdefault(of_hash[look], digest[:16])
    return {d: d[:16] if h is None else name[of_hash[h]] for d, h in hashes.items()}


def _components(hashes: np.ndarray, near_bits: int) -> np.ndarray:
    """Number of the connected component of each hash, shape (n,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(hashes)
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    pairs = [np.zeros((2, 0), dtype=np.int64)]
    for start in range(0, n, _ROWS_AT_ONCE):
        rows = hashes[start : start + _ROWS_AT_ONCE]
        near = np.bitwise_count(rows[:, None] ^ hashes[None, start:]) <= near_bits
        pairs.append(np.array(np.nonzero(near), dtype=np.int64) + start)
    one, other = np.concatenate(pairs, axis=1)
    graph = coo_array((np.ones(len(one), dtype=bool), (one, other)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1])
