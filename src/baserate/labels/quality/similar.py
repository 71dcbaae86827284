"""Texts that are nearly the same, found without comparing every pair."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from baserate.stats.arrays import IntArray

Shingles = NDArray[np.uint64]

#: Share of character shingles in common from which two texts count as nearly the same.
NEAR = 0.6
_SIZE = 5
_BANDS, _ROWS = 32, 3


def shingles(text: str) -> Shingles:
    """Hashes of every run of five characters of the text, letters and digits only, sorted.

    Case, accents, punctuation and spacing make no difference.
    """
    plain = unicodedata.normalize("NFKD", text).casefold()
    kept = " ".join("".join(c if c.isalnum() else " " for c in plain).split())
    runs = {kept[k : k + _SIZE] for k in range(max(1, len(kept) - _SIZE + 1))}
    hashes = [hashlib.blake2b(r.encode(), digest_size=8).digest() for r in runs]
    return np.sort(np.frombuffer(b"".join(hashes), dtype=np.uint64))


def jaccard(a: Shingles, b: Shingles) -> float:
    """Shingles in common over all shingles of both, in [0, 1]."""
    common = np.intersect1d(a, b, assume_unique=True).size
    return float(common / (a.size + b.size - common))


def containment(part: Shingles, whole: Shingles) -> float:
    """Share of the first text's shingles that the second one has too, in [0, 1]."""
    return float(np.intersect1d(part, whole, assume_unique=True).size / part.size)


def near_duplicate_groups(texts: Sequence[str], *, near: float = NEAR) -> IntArray:
    """The group of each text: texts of one group are chained by near-duplicates.

    MinHash with 32 bands of 3 finds candidates (a pair at Jaccard .6 is missed once in 2,000),
    and each is confirmed by its shingles. The number of a group is that of its first text.

    Args:
        texts: The texts.
        near: Jaccard similarity from which two texts are nearly the same, in (0, 1].
    References: Broder (1997), "On the resemblance and containment of documents".
    """
    sets = [shingles(t) for t in texts]
    group = np.arange(len(sets), dtype=np.int64)

    def root(k: int) -> int:
        while group[k] != k:
            group[k] = group[group[k]]
            k = int(group[k])
        return k

    for members in _candidates(sets):
        for position, b in enumerate(members):
            for a in members[:position]:
                first, second = sorted((root(a), root(b)))
                if first != second and jaccard(sets[a], sets[b]) >= near:
                    group[second] = first
    return np.array([root(k) for k in range(len(sets))], dtype=np.int64)


def _candidates(sets: Sequence[Shingles]) -> list[list[int]]:
    """Texts that share a band of their signatures, each list once."""
    if not sets:
        return []
    rng = np.random.default_rng(0)
    odd = rng.integers(0, 2**63, _BANDS * _ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    shift = rng.integers(0, 2**63, _BANDS * _ROWS, dtype=np.uint64)
    signatures = np.stack([(s[:, None] * odd + shift).min(axis=0) for s in sets])
    found: dict[tuple[int, ...], None] = {}
    for band in range(_BANDS):
        buckets: dict[bytes, list[int]] = {}
        for k, row in enumerate(signatures[:, band * _ROWS : (band + 1) * _ROWS]):
            buckets.setdefault(row.tobytes(), []).append(k)
        for members in buckets.values():
            if len(members) > 1:
                found[tuple(members)] = None
    return [list(members) for members in found]
