"""Truth from several fallible labelers: the Dawid–Skene model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from baserate.stats._weighted import unit_weights
from baserate.stats.arrays import Array, IntArray, finite
from baserate.terms.errors import DesignError, LabelError

_TINY = 1e-300


@dataclass(frozen=True)
class DawidSkene:
    """A fitted Dawid–Skene model.

    Attributes:
        posterior: P(class of item | all its ratings), shape (n_items, K).
        class_share: Design-weighted share of each class, shape (K,).
        confusion: P(labeler j says l | true class k), shape (n_labelers, K, K), rows k sum to 1.
        log_likelihood: Of the ratings (and of gold), without the prior, weights of mean one.
        iterations: EM steps taken.
    """

    posterior: Array
    class_share: Array
    confusion: Array
    log_likelihood: float
    iterations: int


@dataclass(frozen=True)
class _Votes:
    item: IntArray
    labeler: IntArray
    category: IntArray
    n_items: int
    n_labelers: int
    n_classes: int


def dawid_skene(
    item: ArrayLike,
    labeler: ArrayLike,
    category: ArrayLike,
    *,
    n_classes: int,
    gold: ArrayLike | None = None,
    design_weight: ArrayLike | None = None,
    class_prior: ArrayLike | float = 0.0,
    confusion_prior: ArrayLike | float = 0.0,
    tolerance: float = 1e-10,
    max_iterations: int = 10_000,
) -> DawidSkene:
    r"""Each item's true class and each labeler's confusion matrix, by EM from the ratings alone.

    $$ P(\text{ratings of } i) = \sum_k p_k \prod_{(j, l) \in i} \pi^{(j)}_{kl} $$

    Starts from each item's vote shares, as the authors did. Gold items are clamped to their class.
    Priors are Dirichlet pseudo-counts added to the expected counts (0 gives maximum likelihood,
    as published; a few on the diagonal steady labelers with little gold).

    Args:
        item: Item of each rating, 0 … n_items − 1, shape (n,).
        labeler: Labeler of each rating, 0 … n_labelers − 1, shape (n,); repeats are allowed.
        category: Class that was said, 0 … n_classes − 1, shape (n,).
        n_classes: K, at least 2.
        gold: True class of each item, −1 where unknown, shape (n_items,).
        design_weight: Inverse inclusion probabilities of items, up to a constant, shape
            (n_items,).
        class_prior: Pseudo-counts, a number or shape (K,).
        confusion_prior: Pseudo-counts, a number, shape (K, K), or (n_labelers, K, K).
        tolerance: Stop when no posterior moves by more than this.
        max_iterations: Give up after so many steps.
    Assumes: labelers err independently given the true class, and most beat guessing (or gold fixes
        which class is which). Shared blind spots are invisible to it; gold is not.
    Bias: of order 1/n_items; over-confident posteriors when errors are dependent.
    Raises: LabelError without ratings; DesignError for codes out of range, negative pseudo-counts,
        or no convergence.
    References: Dawid & Skene (1979).
    """
    votes = _read_votes(item, labeler, category, n_classes, gold, design_weight)
    weight = unit_weights(votes.n_items, design_weight)
    known = _one_hot(gold, votes)
    prior = _pseudo_counts("class_prior", class_prior, (n_classes,))
    rows = _pseudo_counts(
        "confusion_prior", confusion_prior, (votes.n_labelers, n_classes, n_classes)
    )
    posterior = _vote_shares(votes, known)
    for step in range(1, max_iterations + 1):
        share, confusion = _maximise(posterior, weight, votes, prior, rows)
        joint = _log_joint(share, confusion, votes, known)
        peak = joint.max(axis=1, keepdims=True)
        scaled = np.exp(joint - peak)
        evidence = scaled.sum(axis=1)
        updated = scaled / evidence[:, None]
        moved = float(np.abs(updated - posterior).max())
        posterior = updated
        if moved <= tolerance:
            log_likelihood = float(weight @ (peak[:, 0] + np.log(evidence)))
            return DawidSkene(posterior, share, confusion, log_likelihood, step)
    raise DesignError(
        f"the labeler model did not settle in {max_iterations} steps",
        code="not_converged",
        got=f"largest move {moved:.2g}",
        hint="raise max_iterations or tolerance, or add pseudo-counts or gold",
    )


def _read_votes(
    item: ArrayLike,
    labeler: ArrayLike,
    category: ArrayLike,
    n_classes: int,
    gold: ArrayLike | None,
    design_weight: ArrayLike | None,
) -> _Votes:
    given_codes = {"item": item, "labeler": labeler, "category": category}
    codes = [finite(name, values) for name, values in given_codes.items()]
    for name, values in zip(given_codes, codes, strict=True):
        if values.ndim != 1 or values.shape != codes[0].shape:
            raise DesignError(f"{name} needs one code per rating", got=f"shape {values.shape}")
        if values.size and (values.min() < 0 or np.any(values != values.astype(np.int64))):
            raise DesignError(f"{name} must hold codes 0, 1, 2, …", got=f"{values.min()}")
    if codes[0].size == 0:
        raise LabelError("there are no ratings to learn from", code="no_ratings")
    if n_classes < 2 or codes[2].max() >= n_classes:
        raise DesignError(
            "category lies outside the classes",
            expected=f"0 … {n_classes - 1}, at least two classes",
            got=str(codes[2].max()),
        )
    n_items = int(codes[0].max()) + 1
    for given in (gold, design_weight):
        n_items = max(n_items, 0 if given is None else np.size(given))
    whole = [values.astype(np.int64) for values in codes]
    return _Votes(whole[0], whole[1], whole[2], n_items, int(whole[1].max()) + 1, n_classes)


def _one_hot(gold: ArrayLike | None, votes: _Votes) -> Array | None:
    """Gold as rows of 0 and 1; a row of NaN where unknown."""
    if gold is None:
        return None
    code = finite("gold", gold).astype(np.int64)
    if code.shape != (votes.n_items,) or code.max(initial=-1) >= votes.n_classes:
        raise DesignError(
            "gold needs one class per item, −1 where unknown",
            expected=f"{votes.n_items} codes below {votes.n_classes}",
            got=f"shape {code.shape}",
        )
    known = np.full((votes.n_items, votes.n_classes), np.nan)
    known[code >= 0] = np.eye(votes.n_classes)[code[code >= 0]]
    return known


def _pseudo_counts(name: str, given: ArrayLike | float, shape: tuple[int, ...]) -> Array:
    counts = np.asarray(given, dtype=np.float64)
    if not np.isfinite(counts).all() or counts.min() < 0.0:
        raise DesignError(f"{name} must hold pseudo-counts of 0 or more")
    try:
        return np.broadcast_to(counts, shape)
    except ValueError as error:
        raise DesignError(
            f"{name} has the wrong shape", expected=str(shape), got=str(counts.shape)
        ) from error


def _vote_shares(votes: _Votes, known: Array | None) -> Array:
    k = votes.n_classes
    cell = votes.item * k + votes.category
    counts = np.bincount(cell, minlength=votes.n_items * k).reshape(-1, k).astype(np.float64)
    total = counts.sum(axis=1, keepdims=True)
    overall = counts.sum(axis=0) / counts.sum()
    shares = np.where(total > 0, counts / np.maximum(total, 1.0), overall)
    return shares if known is None else np.where(np.isnan(known), shares, known)


def _maximise(
    posterior: Array, weight: Array, votes: _Votes, prior: Array, rows: Array
) -> tuple[Array, Array]:
    weighted = posterior * weight[:, None]
    share = weighted.sum(axis=0) + prior
    k = votes.n_classes
    cell = votes.labeler * k + votes.category
    said = np.stack(
        [
            np.bincount(cell, weights=weighted[votes.item, c], minlength=votes.n_labelers * k)
            for c in range(k)
        ]
    ).reshape(k, votes.n_labelers, k)
    counts = said.transpose(1, 0, 2) + rows
    total = counts.sum(axis=2, keepdims=True)
    confusion = np.where(total > 0.0, counts / np.maximum(total, _TINY), 1.0 / k)
    return share / share.sum(), confusion


def _log_joint(share: Array, confusion: Array, votes: _Votes, known: Array | None) -> Array:
    log_confusion = np.log(np.maximum(confusion, _TINY))
    of_vote = log_confusion[votes.labeler, :, votes.category]
    joint = np.stack(
        [
            np.bincount(votes.item, weights=of_vote[:, c], minlength=votes.n_items)
            for c in range(votes.n_classes)
        ],
        axis=1,
    )
    joint += np.log(np.maximum(share, _TINY))
    if known is not None:
        joint = np.where(known == 0.0, -np.inf, joint)
    return np.asarray(joint, dtype=np.float64)
