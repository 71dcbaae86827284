"""A judge without a network: a text classifier fitted on labelled texts.

TF-IDF of words and word pairs, one logistic regression per policy. It is weak, fast and the
same on every machine: the rate does not rest on it, since people correct it on a probability
subsample.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from baserate.labels.judges.base import SubjectVerdict, UnitVerdicts, no_label
from baserate.labels.judges.training import Training, read_training
from baserate.labels.render import WHOLE, SubjectKey, UnitContent
from baserate.stats.arrays import Array
from baserate.terms.errors import LabelError
from baserate.terms.programme import Policy
from baserate.terms.programme_labelers import LocalJudge
from baserate.terms.words import LabelerKind, NoLabelReason, SubjectKind, Verdict

_FEATURES = {"ngram_range": (1, 2), "sublinear_tf": True, "min_df": 2, "max_features": 50_000}
_REGRESSION = {"C": 10.0, "max_iter": 1000, "solver": "liblinear", "random_state": 0}
_DECIMALS = 6
#: Parameters of the text model; a change of them makes another judge and another scorer.
TEXT_MODEL = (_FEATURES, _REGRESSION, _DECIMALS)
_REMEMBERED_TEXTS = 500_000
_CANNOT_SEE = no_label(NoLabelReason.CANNOT_DECIDE)


class LocalTextJudge:
    """Calls a text violating where its fitted probability reaches the threshold.

    The interaction as a whole violates where its response or one of its Pins does; its
    confidence is the largest of theirs. A query alone does not make it violate. A Pin that is
    only an image has no label: this judge does not see images.

    Args:
        training: Labelled texts.
        policies: Policies it judges.
        threshold: Probability from which a text is called violating.
    """

    kind = LabelerKind.LOCAL_JUDGE
    id = "local_text"

    def __init__(self, training: Training, policies: Sequence[Policy], threshold: float) -> None:
        self._columns = {p.id: k for k, p in enumerate(policies)}
        self._threshold = threshold
        self._digests = {p.id: training.digest(p.id) for p in policies}
        self._model = _fitted(training, tuple(self._columns))
        self._known: dict[str, tuple[SubjectVerdict, ...]] = {}

    @classmethod
    def from_file(
        cls, config: LocalJudge, training: Path, policies: Sequence[Policy]
    ) -> LocalTextJudge:
        """Fit on the training file. Raises: LabelError if the file can't be used."""
        return cls(read_training(training, [p.id for p in policies]), policies, config.threshold)

    @property
    def version(self) -> str:
        """Digest of training data and parameters."""
        return self._digest(self._digests)

    def version_for(self, policy: Policy) -> str:
        """Digest of the vocabulary's texts, the policy's labelled texts and the parameters."""
        return self._digest([policy.id, policy.version, self._digests])

    def label(self, units: Sequence[UnitContent], policy: Policy) -> Iterator[UnitVerdicts]:
        """Label units for one policy, in order.

        Raises: LabelError if the judge was not fitted for the policy.
        """
        if policy.id not in self._columns:
            raise LabelError(
                f"the local judge was not fitted for policy {policy.id}",
                code="policy_not_fitted",
                expected=f"one of {', '.join(self._columns)}",
                hint="make the judge with all policies of the programme",
            )
        self._read(s.text for u in units for s in u.subjects if not (s.is_gone or s.is_image_only))
        column = self._columns[policy.id]
        for unit in units:
            yield UnitVerdicts(unit.interaction_id, self._verdicts(unit, column))

    def _verdicts(self, unit: UnitContent, column: int) -> Mapping[SubjectKey, SubjectVerdict]:
        said: dict[SubjectKey, SubjectVerdict] = {}
        for subject in unit.subjects:
            unseen = subject.is_gone or subject.is_image_only
            said[subject.key] = _CANNOT_SEE if unseen else self._known[subject.text][column]
        shown = [v for key, v in said.items() if key.kind is not SubjectKind.QUERY]
        said[WHOLE] = max(shown, key=_probability, default=_CANNOT_SEE)
        return said

    def _read(self, texts: Iterable[str]) -> None:
        """Verdicts on texts not seen before, each worked out once for all policies."""
        if len(self._known) > _REMEMBERED_TEXTS:
            self._known.clear()
        new = [t for t in dict.fromkeys(texts) if t not in self._known]
        if new:
            rows = self._model.probabilities(new).tolist()
            for text, row in zip(new, rows, strict=True):
                self._known[text] = tuple(self._verdict(p) for p in row)

    def _verdict(self, p: float) -> SubjectVerdict:
        violates = p >= self._threshold
        return SubjectVerdict(
            Verdict.VIOLATING if violates else Verdict.NOT_VIOLATING, confidence=p
        )

    def _digest(self, data: Any) -> str:
        made_of = [data, self._threshold, _FEATURES, _REGRESSION, _DECIMALS]
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


@lru_cache(maxsize=1)
def _fitted(training: Training, policies: tuple[str, ...]) -> TextModel:
    """The model; judges that differ in their threshold alone share it."""
    return TextModel(training, policies)


def _probability(verdict: SubjectVerdict) -> float:
    return -1.0 if verdict.confidence is None else verdict.confidence


class TextModel:
    """One vocabulary, one regression per policy, as one sparse-times-dense product."""

    def __init__(self, training: Training, policies: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

        distinct = {t: k for k, t in enumerate(dict.fromkeys(training.texts))}
        self._vectorizer = TfidfVectorizer(**_FEATURES)
        try:
            rows = self._vectorizer.fit_transform(list(distinct))
        except ValueError as error:
            raise LabelError(
                "the training texts have no words to learn from",
                code="training_empty",
                hint="give texts that share words; each word must occur in at least two texts",
            ) from error
        coefficients, intercepts = [], []
        for policy in policies:
            places = training.of(policy)
            model = LogisticRegression(**_REGRESSION)
            model.fit(
                rows[[distinct[training.texts[k]] for k in places]],
                np.array([training.violating[k] for k in places]),
            )
            coefficients.append(model.coef_[0])
            intercepts.append(float(model.intercept_[0]))
        self._coefficients = np.array(coefficients).T
        self._intercepts = np.array(intercepts)

    def probabilities(self, texts: Sequence[str]) -> Array:
        """P(violating), shape (texts, policies), rounded so that no machine's rounding shows."""
        logits = self._vectorizer.transform(texts) @ self._coefficients + self._intercepts
        p = 1.0 / (1.0 + np.exp(-np.clip(logits, -500.0, 500.0)))
        return np.round(np.asarray(p), _DECIMALS).astype(np.float64)
