"""Which texts are replayed and which are kept out for the risk scorer and the judge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import TfidfVectorizer

from baserate.stats.arrays import IntArray
from baserate.worlds.replay.material import Exchange, Part

#: Share of the violating texts of each policy, and of the harmless ones, that a part gets.
SHARES: dict[Part, float] = {"replay": 0.5, "scorer": 0.2, "judge": 0.3}
_SAME_QUERY = 0.6
_SAME_ANSWER = 0.7
#: Short answers ("I cannot help with that") are alike without being copies.
_LONG_ANSWER = 120


def split_material(exchanges: Sequence[Exchange]) -> dict[Part, tuple[Exchange, ...]]:
    """Exchanges in three parts that share no text, no query and no near copy of either.

    Groups of near copies go whole, largest first, to the part that lacks most of what the group
    has: so each part gets close to its share of every policy's violating texts.
    """
    groups = near_copies(exchanges)
    kinds = [_kind(e) for e in exchanges]
    names = sorted(set(kinds))
    counts = np.zeros((int(groups.max()) + 1, len(names)))
    np.add.at(counts, (groups, np.array([names.index(k) for k in kinds])), 1.0)
    parts = _assign(counts)
    return {
        part: tuple(e for e, g in zip(exchanges, groups, strict=True) if parts[g] == number)
        for number, part in enumerate(SHARES)
    }


def near_copies(exchanges: Sequence[Exchange]) -> IntArray:
    """Group number of each exchange; exchanges with alike queries or answers share one.

    Alike: cosine of word pairs of the queries at least 0.6, or cosine of five-letter pieces of
    two long answers at least 0.7; chains join.
    """
    queries = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")
    answers = TfidfVectorizer(analyzer="char_wb", ngram_range=(5, 5), sublinear_tf=True)
    alike = _pairs_above(queries.fit_transform([e.query for e in exchanges]), _SAME_QUERY)
    vectors = answers.fit_transform([e.response for e in exchanges])
    long = np.array([len(e.response) >= _LONG_ANSWER for e in exchanges], dtype=np.float64)
    alike = alike + _pairs_above(vectors.multiply(long[:, None]).tocsr(), _SAME_ANSWER)
    return np.asarray(connected_components(alike, directed=False)[1], dtype=np.int64)


def _pairs_above(vectors: csr_array, threshold: float) -> csr_array:
    cosine = csr_array(vectors @ vectors.T)
    cosine.data = np.where(cosine.data >= threshold, 1.0, 0.0)
    cosine.eliminate_zeros()
    return cosine


def _kind(exchange: Exchange) -> str:
    """What must be spread evenly: violating texts by policy, harmless ones by origin."""
    if not exchange.levels:
        return exchange.origin
    policy = next((p for p in exchange.levels if exchange.violates(p)), "")
    return f"violating {policy}" if policy else f"harmless {next(iter(exchange.levels))}"


def _assign(counts: np.ndarray) -> IntArray:
    """Part of each group, greedily: the part with the largest relative lack of its members."""
    wanted = np.outer(list(SHARES.values()), counts.sum(axis=0))
    got = np.zeros_like(wanted)
    parts = np.zeros(len(counts), dtype=np.int64)
    for group in np.argsort(-counts.sum(axis=1), kind="stable"):
        lack = (wanted - got) / np.maximum(wanted, 1e-9)
        parts[group] = int(np.argmax(lack @ counts[group]))
        got[parts[group]] += counts[group]
    return parts
