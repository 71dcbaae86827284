"""A text scorer: the local judge's classifier, as a risk score of every text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from baserate.labels.judges.local import TEXT_MODEL, TextModel
from baserate.labels.judges.training import read_training
from baserate.labels.scorers.base import Material, Reads
from baserate.stats.arrays import Array


class TextScorer:
    """P(violating) of a text under each policy, by TF-IDF and logistic regression.

    Args:
        training: CSV, JSONL or Parquet with columns text, policy, violating.
        policies: Policies to score.
    Raises: LabelError if the file can't be used.
    """

    reads: Reads = "text"

    def __init__(self, training: Path, policies: Sequence[str]) -> None:
        self.policies = tuple(policies)
        labelled = read_training(training, self.policies)
        digests = {p: labelled.digest(p) for p in self.policies}
        made_of = json.dumps([digests, TEXT_MODEL], sort_keys=True)
        self.version = f"text:{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"
        self._model = TextModel(labelled, self.policies)

    def score(self, batch: Sequence[Material]) -> Array:
        """Risk of each text, shape (texts, policies)."""
        return self._model.probabilities([piece.text or "" for piece in batch])
