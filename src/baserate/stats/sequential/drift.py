"""Has a labeler changed? Evidence from right and wrong answers on a frozen set of items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, xlog1py, xlogy

from baserate.stats.arrays import Array, IntArray, numbers
from baserate.stats.sequential._looks import error_probability
from baserate.stats.sequential.evidence import alarm_threshold
from baserate.stats.sequential.watch import first_alarm
from baserate.terms.errors import DesignError

#: Half of the prior lies on a change within so many answers.
_HALF_LIFE = 500.0
#: Answers between two candidate changes, as a share of those before.
_SPACING = 40


@dataclass(frozen=True)
class ErrorWatch:
    """What watching one labeler's errors has shown so far.

    Attributes:
        evidence: Log-evidence for a change after each answer, shape (T,).
        threshold: Log-evidence at which the alarm is raised.
        alarm_at: Answer (0-based) at which it was raised, or None.
        onset_at: Most likely first answer of the new rate by all answers so far, or None without
            an alarm; 0 where the rate lay above the reference from the beginning.
        direction: "worse" (more errors), "better", or None without an alarm.
        alpha: P(an alarm, ever | no change) at most.
        reference: Largest error rate that counts as no change; None: the labeler's own.
    """

    evidence: Array
    threshold: float
    alarm_at: int | None
    onset_at: int | None
    direction: Literal["worse", "better"] | None
    alpha: float
    reference: float | None


def evidence_of_drift(error: ArrayLike, *, reference: float | None = None) -> Array:
    r"""Log-evidence, answer by answer, that the error rate did not stay what it was.

    Against the labeler's own rate, whatever it is:

    $$ W_t = \frac{\sum_\tau h_\tau\, K(x_1 \ldots x_\tau)\, K(x_{\tau+1} \ldots x_t)}
                 {\sup_m \prod_{i \le t} m^{x_i} (1 - m)^{1 - x_i}} $$

    $$ K(x_1 \ldots x_n) =
       \frac{\Gamma(s + \frac12)\, \Gamma(n - s + \frac12)}{\pi\, \Gamma(n + 1)} $$

    with s errors among n. The numerator is one distribution over all sequences (a change after
    answer τ with prior h_τ, both rates learned), so against every m the ratio is at most a
    martingale that starts at 1: an e-process, without a horizon. Against a reference m:

    $$ W_t = \sum_\tau h_\tau \prod_{\tau < i \le t}
       \Bigl(\frac{p_i}{m}\Bigr)^{x_i} \Bigl(\frac{1 - p_i}{1 - m}\Bigr)^{1 - x_i} $$

    where p_i is learned from the s errors among the n answers after τ and before i, as
    max(m, (s + m)/(n + 1)): no rate up to m, constant or not, makes it grow on average.

    Args:
        error: 1 where the answer was wrong, 0 where it was right, in the order of asking, shape
            (..., T); leading axes are watched side by side.
        reference: Largest error rate that counts as no change, in (0, 1); only more errors are
            evidence. None: the labeler's own rate, and either direction.
    Assumes: while nothing changes every answer is wrong with one probability (at most the
        reference), whatever came before. Questions drawn at random from a frozen set see to that.
    Bias: conservative: without a reference a supremum stands for the rate that is not known.
    Raises: DesignError for an answer that is neither 0 nor 1, or a reference out of range.
    References: Krichevsky & Trofimov (1981) for K; Wasserman, Ramdas & Balakrishnan (2020),
        "Universal inference", for the ratio; Ville (1939).

    Example:
        >>> quiet, worse = [0] * 9 + [1], [0, 1] * 40
        >>> bool(evidence_of_drift(quiet * 30 + worse).max() > np.log(20))
        True
    """
    wrong = _answers(error)
    if reference is None:
        return _against_own(wrong)
    if not 0.0 < reference < 1.0:
        raise DesignError("the reference must lie strictly between 0 and 1", got=str(reference))
    starts, mass = _starts(wrong.shape[-1])
    growth = _Growth(wrong.shape[-1], reference)
    total = np.log(1.0 - np.cumsum(mass))[
        np.searchsorted(starts, np.arange(wrong.shape[-1]), side="right") - 1
    ] + np.zeros(wrong.shape)
    for at, share in zip(starts.tolist(), mass.tolist(), strict=True):
        grown = np.cumsum(growth(wrong[..., at:]), axis=-1)
        total[..., at:] = np.logaddexp(total[..., at:], grown + np.log(share))
    return total


def _against_own(wrong: IntArray) -> Array:
    n_all = wrong.shape[-1]
    s, n = np.cumsum(wrong, axis=-1), np.arange(1, n_all + 1)
    learned, changes = _Learned(n_all), _candidate_changes(n_all)
    left = _mass_left(np.concatenate([[0], changes]))
    unchanged = learned(s, n)
    total = unchanged + np.log(left)[np.searchsorted(changes, n - 1, side="right")]
    for at, mass in zip(changes.tolist(), -np.diff(left), strict=True):
        before = s[..., at - 1 : at]
        parts = unchanged[..., at - 1 : at] + learned(s[..., at:] - before, n[at:] - at)
        total[..., at:] = np.logaddexp(total[..., at:], parts + np.log(mass))
    return np.asarray(total - xlogy(s, s / n) - xlog1py(n - s, -s / n), dtype=np.float64)


def _starts(n_all: int) -> tuple[IntArray, Array]:
    """Where a stay above the reference may begin; half of the prior: it did from the beginning."""
    changes = _candidate_changes(n_all)
    left = _mass_left(np.concatenate([[0], changes]))
    mass = np.concatenate([[0.5], -0.5 * np.diff(left)])
    return np.concatenate([[0], changes]).astype(np.int64), mass


class _Growth:
    """Log of what each answer multiplies a stake on more than the reference by, from tables."""

    def __init__(self, n_all: int, reference: float) -> None:
        count = np.arange(n_all + 1, dtype=np.float64)
        self._wrong = np.log(count + reference) - np.log(reference)
        self._right = np.log(count + 1.0 - reference) - np.log1p(-reference)
        self._all, self._reference = np.log(count + 1.0), reference

    def __call__(self, wrong: IntArray) -> Array:
        n = np.arange(wrong.shape[-1])
        s = np.cumsum(wrong, axis=-1) - wrong
        told = np.where(wrong == 1, self._wrong[s], self._right[n - s]) - self._all[n]
        return np.where(s > self._reference * n, told, 0.0)


def watch_errors(
    error: ArrayLike, *, alpha: float = 0.05, reference: float | None = None
) -> ErrorWatch:
    """Alarm when a labeler's error rate did not stay what it was, or lies above a reference.

    Recompute it from all answers each time; no state is kept, so that a second run says the same.

    Args:
        error: As in `evidence_of_drift`, of one labeler, shape (T,).
        alpha: P(an alarm, ever | no change) at most.
        reference: As in `evidence_of_drift`.
    Assumes: as `evidence_of_drift`.
    Bias: the onset is a best guess, late by chance as often as early.
    Raises: DesignError for bad arguments.
    References: as `evidence_of_drift`.
    """
    wrong = _answers(error)
    if wrong.ndim != 1:
        raise DesignError("one labeler at a time", got=f"shape {wrong.shape}")
    evidence = evidence_of_drift(wrong, reference=reference)
    threshold = alarm_threshold("e-process", error_probability(alpha), 1)
    alarm = first_alarm(evidence, threshold)
    onset, direction = None, None
    if alarm is not None:
        onset = _onset(wrong, alarm, reference)
        worse = reference is not None or wrong[onset:].mean() >= wrong[:onset].mean()
        direction = "worse" if worse else "better"
    return ErrorWatch(evidence, threshold, alarm, onset, direction, alpha, reference)  # type: ignore[arg-type]


class _Learned:
    """log K of s errors among n, from tables: exact, and much faster than the gamma function."""

    def __init__(self, n_all: int) -> None:
        count = np.arange(n_all + 1, dtype=np.float64)
        self._half, self._whole = gammaln(count + 0.5), gammaln(count + 1.0) + np.log(np.pi)

    def __call__(self, s: IntArray, n: IntArray) -> Array:
        return np.asarray(self._half[s] + self._half[n - s] - self._whole[n], dtype=np.float64)


def _candidate_changes(n_all: int) -> IntArray:
    """Answers after which a change is looked for: all at first, then a fortieth apart."""
    found, at = [], 1
    while at < n_all:
        found.append(at)
        at += max(1, at // _SPACING)
    return np.array(found, dtype=np.int64)


def _mass_left(at: IntArray) -> Array:
    """Prior probability that the change comes later than this answer."""
    return np.asarray(_HALF_LIFE / (at + _HALF_LIFE), dtype=np.float64)


def _onset(wrong: IntArray, alarm_at: int, reference: float | None) -> int:
    """The start up to the alarm that speaks most for a new rate, by all answers so far."""
    n_all, s = wrong.size, np.cumsum(wrong)
    n, learned = np.arange(1, max(alarm_at, 1) + 1), _Learned(n_all)
    if reference is None:
        both = learned(s[n - 1], n) + learned(s[-1] - s[n - 1], n_all - n)
        return int(np.argmax(both)) + 1
    starts = np.concatenate([[0], n])
    errors, answers = s[-1] - np.concatenate([[0], s[n - 1]]), n_all - starts
    expected = errors * np.log(reference) + (answers - errors) * np.log1p(-reference)
    return int(np.argmax(learned(errors, answers) - expected))


def _answers(error: ArrayLike) -> IntArray:
    x = numbers("error", error)
    if x.ndim == 0 or x.shape[-1] == 0:
        raise DesignError("watching needs at least one answer", got=f"shape {x.shape}")
    if not bool(np.isin(x, (0.0, 1.0)).all()):
        raise DesignError(
            "an answer is right (0) or wrong (1)", hint="leave out answers without a verdict"
        )
    return x.astype(np.int64)
