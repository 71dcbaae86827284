"""Answers between the reading, the cache and the labels: what settles a question, who paid what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from baserate.labels.judges.answer import Answer
from baserate.labels.judges.base import SubjectVerdict
from baserate.labels.judges.cache import CachedAnswer
from baserate.labels.judges.prompt import Prompt
from baserate.labels.judges.usage import NO_TOKENS, Tokens
from baserate.labels.render import SubjectKey
from baserate.terms.words import NoLabelReason, SubjectKind, Verdict

#: Outcome of a question that was answered; the others are reasons for no label.
ANSWERED = "answered"


#: Outcomes that settle nothing: the next run asks again.
_OPEN = (NoLabelReason.ENDPOINT_FAILED, NoLabelReason.INVALID_OUTPUT)


def is_kept(outcome: str) -> bool:
    """Whether it settles the question, so that nobody asks it again."""
    return outcome not in _OPEN


def may_be_answered(labels: pa.Table) -> bool:
    """Whether a judge failed on something that another try may answer.

    Args:
        labels: Its labels, shape of ``labels``; of a panel, those of its members, since one that
            failed is outvoted and leaves no trace in the panel's own.
    """
    again = pa.array([str(r) for r in _OPEN])
    return bool(pc.any(pc.is_in(labels["reason"], value_set=again)).as_py())


def shared_out(
    outcomes: Mapping[str, str], read: Mapping[str, Answer], paid: Tokens
) -> dict[str, CachedAnswer]:
    """Answers by policy; what was paid is shared out equally among those that are kept."""
    kept = [p for p, outcome in outcomes.items() if is_kept(outcome)]
    shares = dict(zip(kept, paid.shared_out(len(kept)), strict=True)) if kept else {}
    answers = {}
    for policy, outcome in outcomes.items():
        said = read[policy].verdicts if policy in read else {}
        labels: list[list[object]] = [[*key, *verdict] for key, verdict in said.items()]
        answers[policy] = CachedAnswer(outcome, labels, shares.get(policy, NO_TOKENS))
    return answers


def verdicts_of(labels: Sequence[Sequence[Any]]) -> dict[SubjectKey, SubjectVerdict]:
    """A kept answer's labels as verdicts by subject."""
    return {
        SubjectKey(SubjectKind(kind), turn, position): SubjectVerdict(Verdict(verdict), *rest)
        for kind, turn, position, verdict, *rest in labels
    }


def words_of(prompt: Prompt) -> str:
    """The texts of the messages; images are not counted."""
    texts = []
    for message in prompt.messages:
        content = message["content"]
        parts = content if isinstance(content, list) else [{"text": content}]
        texts += [str(part["text"]) for part in parts if "text" in part]
    return "\n".join(texts)
