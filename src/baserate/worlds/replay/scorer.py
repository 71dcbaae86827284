"""The platform's risk scorer: fitted on texts that are kept out of the replay, so imperfect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from baserate.stats.arrays import Array, BoolArray
from baserate.worlds.replay.material import Exchange

MODEL_VERSION = "risk-tfidf-1"
#: Scores are logged with four decimals, so a histogram of them is exact.
DECIMALS = 4
_STEPS = 10**DECIMALS


def training_rows(
    exchanges: Sequence[Exchange], ordinary: Sequence[str], policies: Sequence[str]
) -> tuple[list[str], BoolArray]:
    """Texts and whether each violates each policy, shape (texts, policies).

    A text that nobody scored for a policy counts as not violating it, in training as in truth.
    """
    texts = [e.response for e in exchanges] + list(ordinary)
    violating = np.zeros((len(texts), len(policies)), dtype=np.bool_)
    for row, exchange in enumerate(exchanges):
        violating[row] = [exchange.violates(p) for p in policies]
    return texts, violating


def risk_scores(
    training: Sequence[str], violating: BoolArray, texts: Sequence[str], *, seed: int
) -> Array:
    """Risk of each text under each policy, in [0, 1], shape (texts, policies).

    TF-IDF of words and word pairs, one logistic regression per policy with balanced classes.
    The values rank texts; they are not probabilities. A policy without both classes gets 0.
    """
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    known = vectorizer.fit_transform(training)
    new = vectorizer.transform(texts)
    scores = np.zeros((len(texts), violating.shape[1]))
    for column in range(violating.shape[1]):
        target = violating[:, column]
        if target.any() and not target.all():
            model = LogisticRegression(
                C=4.0, class_weight="balanced", max_iter=500, random_state=seed
            )
            scores[:, column] = model.fit(known, target).predict_proba(new)[:, 1]
    return np.clip(scores, 0.0, 1.0).round(DECIMALS)


@dataclass(frozen=True)
class ScorerQuality:
    """How well a policy's unit scores find its violating interactions.

    Args:
        auc: P(score of a violating interaction > score of another), ties counted half; NaN
            where there is no violating interaction.
        top_1pct: Share of violating interactions among the 1 % with the highest scores.
        top_5pct: The same among the highest 5 %.
        missing: Share of violating interactions without any score.
    """

    auc: float
    top_1pct: float
    top_5pct: float
    missing: float


class ScoreCounts:
    """Counts interactions by unit score and truth, over days, for one quality per policy."""

    def __init__(self, n_policies: int) -> None:
        self._counts = np.zeros((n_policies, 2, _STEPS + 1), dtype=np.int64)
        self._missing = np.zeros((n_policies, 2), dtype=np.int64)

    def add(self, scores: Array, violates: BoolArray) -> None:
        """Add interactions: unit scores (NaN: missing) and truth, both (n, policies)."""
        steps = np.where(np.isnan(scores), -1, np.rint(scores * _STEPS)).astype(np.int64)
        for policy in range(scores.shape[1]):
            for truth in (0, 1):
                chosen = steps[violates[:, policy] == bool(truth), policy]
                self._missing[policy, truth] += int((chosen < 0).sum())
                self._counts[policy, truth] += np.bincount(
                    chosen[chosen >= 0], minlength=_STEPS + 1
                )

    def quality(self, policy: int) -> ScorerQuality:
        """The quality of one policy's scores over everything added."""
        safe, violating = self._counts[policy].astype(np.float64)
        missing = float(self._missing[policy, 1])
        total = violating.sum() + missing
        if total == 0.0 or violating.sum() == 0.0 or safe.sum() == 0.0:
            return ScorerQuality(np.nan, np.nan, np.nan, np.nan)
        below = np.cumsum(safe) - safe
        auc = violating @ (below + safe / 2.0) / (violating.sum() * safe.sum())
        top = [self._top(policy, share) / total for share in (0.01, 0.05)]
        return ScorerQuality(float(auc), float(top[0]), float(top[1]), float(missing / total))

    def _top(self, policy: int, share: float) -> float:
        """Violating interactions in the top share; those tied at its edge count in part."""
        safe, violating = self._counts[policy, :, ::-1].astype(np.float64)
        everyone = safe + violating
        room = share * (everyone.sum() + self._missing[policy].sum())
        taken = np.clip(room - (np.cumsum(everyone) - everyone), 0.0, everyone)
        return float(violating @ (taken / np.maximum(everyone, 1.0)))
