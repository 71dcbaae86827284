"""What a candidate must pass before it may take the programme judge's place."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from baserate.labels.quality.compare import Comparison, Difference
from baserate.labels.quality.measures import JudgeQuality
from baserate.labels.quality.pairs import LabelPairs
from baserate.stats.paired import equivalence_items_needed
from baserate.terms.words import SubjectKind

ALWAYS_VIOLATING = "it always says violating"
ALWAYS_SAFE = "it always says not violating"


class Margins(NamedTuple):
    """How much worse a candidate may be and still be promoted, at the lower end of the interval.

    Attributes:
        sensitivity: Loss of sensitivity, in [0, 1].
        specificity: Loss of specificity, in [0, 1]: small, since most interactions are safe.
    """

    sensitivity: float = 0.10
    specificity: float = 0.01


@dataclass(frozen=True)
class Check:
    """One gate of a promotion.

    Attributes:
        gate: Its sentence, as a name.
        policy: Policy id, or 'all'.
        passed: Whether it let the candidate pass.
        found: What was found, in words.
        hint: What to do where it did not pass.
    """

    gate: str
    policy: str
    passed: bool
    found: str
    hint: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The check as plain values."""
        return asdict(self)


def promotion_checks(
    pairs: LabelPairs,
    quality: Sequence[JudgeQuality],
    comparison: Sequence[Comparison],
    *,
    policies: Sequence[str],
    margins: Margins,
    min_n: int,
    least_answered: float = 0.98,
    without_evidence: Collection[str] = (),
    other_wording: Mapping[str, int] | None = None,
) -> list[Check]:
    """Every gate that follows from labels, policy by policy.

    A policy with too few violating or safe interactions among people's labels can't be judged:
    it holds the promotion unless it is named in ``without_evidence``. That accepts too little
    evidence, never evidence against the candidate: one that leaves out too much, calls everything
    violating or is surely less specific is held all the same.

    Args:
        pairs: The candidate's labels beside people's.
        quality: The candidate's quality by policy and subject kind.
        comparison: The candidate against the programme's judge.
        policies: Every policy of the programme: one without labels is one without evidence.
        margins: How much worse it may be.
        min_n: Violating interactions, and safe ones, that a policy needs.
        least_answered: Weighted share of interactions that must have a verdict.
        without_evidence: Policies for which a promotion without evidence is accepted.
        other_wording: By policy, interactions that people judged by another version of it.
    """
    whole = pairs.where(pairs.kind == str(SubjectKind.INTERACTION))
    checks = [_not_constant("all", whole)]
    rows = {q.slice.policy: q for q in quality if q.slice.kind == str(SubjectKind.INTERACTION)}
    against = {c.slice.policy: c for c in comparison}
    for policy in policies:
        row, here = rows.get(policy), whole.where(whole.policy == policy)
        gold = _enough_gold(policy, here, min_n, (other_wording or {}).get(policy, 0))
        accepted = policy in without_evidence and not gold.passed
        if accepted:
            gold = replace(gold, passed=True, found=f"{gold.found}; accepted without it", hint="")
        checks.append(gold)
        if row is None or not gold.passed:
            continue
        checks.append(_answers(row, least_answered))
        if accepted:
            checks += _not_surely_worse(policy, here, against.get(policy), margins)
            continue
        checks.append(_not_constant(policy, here))
        checks.append(_beats_guessing(row))
        checks += _not_worse(policy, against.get(policy), margins)
    return checks


def _enough_gold(policy: str, pairs: LabelPairs, min_n: int, other_wording: int) -> Check:
    yes, no = int((pairs.truth == 1.0).sum()), int((pairs.truth == 0.0).sum())
    aside = f"; {other_wording:,} of another version of the policy" if other_wording else ""
    return Check(
        "there_is_enough_gold",
        policy,
        min(yes, no) >= min_n,
        f"people: {yes:,} violating, {no:,} safe{aside}; {min_n} of each needed",
        "run it on more days, or accept a policy without evidence: --without-evidence POLICY",
    )


def _answers(row: JudgeQuality, least: float) -> Check:
    """A judge that leaves the hard ones out would look better than it is."""
    share = 0.0 if row.no_label is None else 1.0 - row.no_label
    return Check(
        "it_answers",
        row.slice.policy,
        row.no_label is None or share >= least,
        "people decided nothing"
        if row.no_label is None
        else f"a verdict on {share:.1%} of the traffic; {least:.1%} needed",
        "look at its reasons for no label: refusals, answers cut off, answers in another form",
    )


def _not_constant(policy: str, pairs: LabelPairs) -> Check:
    said = pairs.said[~np.isnan(pairs.said)]
    if said.size == 0:
        found, passed = "it gave no verdict at all", False
    elif said.min() == said.max():
        found, passed = ALWAYS_VIOLATING if said[0] == 1.0 else ALWAYS_SAFE, False
    else:
        found, passed = f"{int(said.sum())} of {said.size} called violating", True
    hint = "a judge that gives one answer measures nothing, whatever share of it is right"
    return Check("its_verdicts_differ", policy, passed, found, hint)


def _beats_guessing(row: JudgeQuality) -> Check:
    told = row["informedness"]
    passed = told.low is not None and told.low > 0.0
    found = (
        f"informedness {told.value:.2f} ({told.low:.2f} to {told.high:.2f})"
        if told.value is not None
        else told.because
    )
    return Check(
        "it_beats_guessing",
        row.slice.policy,
        passed,
        found,
        "its verdicts can't be told from chance: mend the prompt or the model",
    )


def _not_surely_worse(
    policy: str, pairs: LabelPairs, found: Comparison | None, margins: Margins
) -> Iterator[Check]:
    """What few violating interactions can show all the same; "never violating" may be right."""
    said = _not_constant(policy, pairs)
    yield replace(said, passed=said.passed or said.found == ALWAYS_SAFE)
    told = None if found is None else found.specificity
    if told is not None and told.high is not None:
        yield Check(
            "its_specificity_is_not_surely_worse",
            policy,
            told.high >= -margins.specificity,
            f"{told.value:+.3f}, at best {told.high:+.3f}, margin {margins.specificity:g}",
            "a whole interval below the margin: it calls too much violating",
        )


def _not_worse(policy: str, found: Comparison | None, margins: Margins) -> Iterator[Check]:
    for name in ("sensitivity", "specificity"):
        told: Difference | None = None if found is None else getattr(found, name)
        if found is None or told is None or told.value is None:
            because = "the two judges share no subjects" if told is None else told.because
            hint = "compare needs verdicts of both judges: look at their reasons for no label"
            yield Check(f"its_{name}_is_not_worse", policy, False, because, hint)
        else:
            yield _compared(policy, told, getattr(margins, name), found.level)


def _compared(policy: str, told: Difference, margin: float, level: float) -> Check:
    at_worst = -1.0 if told.at_worst is None else told.at_worst
    return Check(
        f"its_{told.name}_is_not_worse",
        policy,
        at_worst >= -margin,
        f"{told.value:+.3f}, at worst {at_worst:+.3f}, margin {margin:g}",
        f"more labels narrow the interval{_fewest(margin, level)}; a lower figure needs a better "
        "judge",
    )


def _fewest(margin: float, level: float) -> str:
    """How many labels could show that a judge that never differs is not worse."""
    if not 0.0 < margin < 1.0:
        return ""
    needed = equivalence_items_needed(margin, alpha=(1.0 - level) / 2.0)
    return f" ({needed:,} of equal weight show margin {margin:g} for a judge that never differs)"
