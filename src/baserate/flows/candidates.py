"""Candidates for the judge's place: made, run, paired with the judge."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np

from baserate.flows.picturing import shown_as
from baserate.flows.quality import candidate_table, gather, judge_labels, known_candidate
from baserate.flows.stages import Stages
from baserate.flows.unified import configured, equivalence_note
from baserate.flows.withholding import forget_erased
from baserate.flows.workspace import digest
from baserate.labels import make_judge
from baserate.labels.judges.base import Judge, PricedJudge, errors_of
from baserate.labels.judges.panel import judge_with_members
from baserate.labels.judges.settled import may_be_answered
from baserate.labels.judges.usage import Bill
from baserate.labels.quality import LabelPairs
from baserate.terms.errors import LabelError
from baserate.terms.label_tables import LABELS
from baserate.terms.programme import Policy


def make_candidate(stages: Stages, name: str) -> Judge:
    """A candidate, ready to be asked; its answers are kept where the judge's are."""
    return judge_under(stages, stages.programme.policies, name)


def judge_under(
    stages: Stages,
    policies: Sequence[Policy],
    name: str | None = None,
    *,
    a_call_for_each: bool = False,
) -> Judge:
    """The programme's judge, or a candidate, given these policies to judge by.

    Args:
        stages: The workspace.
        policies: The programme's policies, one of them perhaps in another wording.
        name: The candidate; None: the programme's judge.
        a_call_for_each: Ask about one policy a call, whatever its settings say.
    """
    if name is not None:
        known_candidate(stages, name)
    found, kept_as = configured(stages.programme, name), shown_as(stages)
    config, named = found.with_a_call_for_each() if a_call_for_each else found
    root, cache = stages.workspace.root, stages.cache_path
    with errors_of("judge" if name is None else f"candidates.{name}"):
        return make_judge(config, root, cache, policies, named=named, kept_as=kept_as)


#: What a run keeps of its answers: whether another try may bring some that are missing.
_SETTLED, _OPEN = {"answers": "settled"}, {"answers": "open"}


class CandidateRun(NamedTuple):
    """What a candidate's run did.

    Attributes:
        labelled: Interactions labelled per day; 0 where nothing had changed.
        usage: What it asked and paid; None for a judge that costs nothing.
    """

    labelled: dict[date, int]
    usage: dict[str, Any] | None


def run_candidate(stages: Stages, days: Sequence[date], name: str) -> CandidateRun:
    """Let a candidate label the people's sample of some days.

    Its labels are a table of its own, ``candidate_<name>``; no estimate reads it. A day on which
    it, or a member of a panel, failed on something is asked about again, that alone.
    """
    judge = make_candidate(stages, name)
    table, done = candidate_table(name), {}
    schema = LABELS.named(table, f"Labels of the candidate {name} on the people's sample.")
    for ds in days:
        inputs = _run_inputs(stages, judge, ds)
        if stages.is_current(table, ds, inputs | _SETTLED):
            done[ds] = 0
            continue
        ids = stages.sampled_ids("review_samples", ds)
        units = stages.content(ds, ids)
        with errors_of(f"candidates.{name}"):
            labels, members = judge_with_members(
                judge,
                units,
                stages.programme.policies,
                ds=ds,
                now=stages.now(),
                on_progress=stages.advance,
            )
        failed = may_be_answered(labels if members is None else members)
        inputs |= _OPEN if failed else _SETTLED
        with stages.store.run(stage=table, ds=ds, inputs=inputs) as run:
            run.write(table, labels, schema)
        forget_erased(stages.store, stages.cache_path, ids, ds)
        done[ds] = len(units)
    usage = judge.usage.as_dict() if isinstance(judge, PricedJudge) else None
    return CandidateRun(done, usage)


def candidate_bill(stages: Stages, days: Sequence[date], name: str) -> Bill:
    """What :func:`run_candidate` would still cost; asks nothing."""
    judge = make_candidate(stages, name)
    units = []
    for ds in days_out_of_date(stages, days, name, judge):
        units += stages.content(ds, stages.sampled_ids("review_samples", ds))
    if isinstance(judge, PricedJudge):
        return judge.estimate(units, stages.programme.policies)
    return Bill(len(units) * len(stages.policy_ids), 0, 0, 0, 0.0)


def _run_inputs(stages: Stages, judge: Judge, ds: date) -> dict[str, str]:
    """What a candidate's labels of a day follow from."""
    inputs = {
        "judge": judge.version,
        "policies": digest(stages.programme.model_dump(mode="json", include={"policies"})),
        "review_samples": stages.commit_digest("review_samples", ds),
        "interactions": stages.commit_digest("interactions", ds),
    }
    if stages.programme.images is not None:
        inputs["images"] = stages.commit_digest("images", ds)
    return inputs


def days_out_of_date(stages: Stages, days: Sequence[date], name: str, judge: Judge) -> list[date]:
    """Days whose labels by a candidate are not those that it would give now, or are not there.

    Its settings, the policies, the people's sample or the content have changed since.

    Args:
        stages: The workspace.
        days: Days with people's labels.
        name: The candidate.
        judge: It, ready to be asked.
    """
    table, found = candidate_table(name), []
    for ds in days:
        inputs = _run_inputs(stages, judge, ds)
        if not any(stages.store.is_current(table, ds, inputs | how) for how in (_SETTLED, _OPEN)):
            found.append(ds)
    return found


def has_changed(stages: Stages, days: Sequence[date], name: str, judge: Judge) -> bool:
    """Whether some of a candidate's labels are not those that it would give now."""
    ran = [d for d in days if stages.store.current(candidate_table(name), d)]
    return bool(days_out_of_date(stages, ran, name, judge))


class Against(NamedTuple):
    """A candidate and the programme's judge, paired on the same subjects."""

    old: LabelPairs
    new: LabelPairs


def against(stages: Stages, days: Sequence[date], name: str) -> Against:
    """The candidate's labels and the programme judge's, of the subjects that both were asked."""
    evidence = gather(stages, days, name)
    new = evidence.pairs()
    old = evidence.pairs(judge_labels(stages, days))
    shared = np.intersect1d(_keys(old), _keys(new))
    return Against(old.where(np.isin(_keys(old), shared)), new.where(np.isin(_keys(new), shared)))


def refuse_unpaired(two: Against, name: str) -> None:
    """Raises: LabelError if there is nothing to compare a candidate by."""
    if not len(two.new):
        raise LabelError(
            "there is no interaction that both judges labelled, and people by the same version of "
            "the policy",
            code="no_shared_labels",
            where=candidate_table(name),
            hint=f"`baserate judge run {name}`, and `baserate label` for the programme's judge",
        )


def _keys(pairs: LabelPairs) -> Any:
    return np.char.add(np.char.add(pairs.policy, "\x1f"), pairs.interaction)


def calls_sentence(stages: Stages, name: str | None) -> str:
    """What is known of a judge's unified calls; '' for a judge that asks about one policy a call.

    Args:
        stages: The workspace.
        name: A candidate; None: the programme's judge.
    """
    if not configured(stages.programme, name).is_unified:
        return ""
    judge = stages.judge_of_programme if name is None else make_candidate(stages, name)
    return equivalence_note(stages.store, stages.programme, judge, name)
