"""A panel: several judges label the same units, and a stated rule makes one verdict of theirs.

Members that make different mistakes outvote each other's; members that were all trained on the
same texts agree in their mistakes. Whether a panel is worth its price is for people's labels to
say, as of any judge.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

import pyarrow as pa

from baserate.labels.judges.base import (
    Judge,
    PricedJudge,
    Progress,
    SubjectVerdict,
    UnitVerdicts,
    errors_of,
    judge_units,
    no_label,
)
from baserate.labels.judges.usage import Account, Bill, SharedAccount, Spent
from baserate.labels.render import SubjectKey, UnitContent
from baserate.terms.errors import LabelError
from baserate.terms.label_tables import PANEL_LABELS
from baserate.terms.programme import Policy
from baserate.terms.programme_labelers import PanelJudge
from baserate.terms.words import LabelerKind, NoLabelReason, Verdict

#: From this mean probability on, a panel that votes by mean calls a subject violating.
_HALF = 0.5
_LEFT_OUT = no_label(NoLabelReason.INVALID_OUTPUT)


class Panel:
    """Judges by name, and how their verdicts become one.

    A member without a verdict on a subject has no vote. With fewer votes than the quorum the
    subject has no label, for the reason that most members gave. A member that can't work at all
    stops the panel, as it would stop alone: a panel of fewer is another judge.

    Args:
        config: Members, vote and quorum.
        members: The judges by name, those of ``config.members``.
    Raises: LabelError if two members are the same judge.
    """

    def __init__(self, config: PanelJudge, members: Mapping[str, Judge]) -> None:
        self._config = config
        self.members = dict(members)
        versions = [m.version for m in self.members.values()]
        if len(set(versions)) < len(versions):
            raise LabelError(
                "two members of the panel are one and the same judge, which would vote twice",
                code="panel_members",
                where="judge.members",
                got=", ".join(self.members),
                hint="let members differ in model, wording, temperature or training",
            )

    @property
    def kind(self) -> LabelerKind:
        """An LLM judge where one of its members is."""
        kinds = {m.kind for m in self.members.values()}
        return LabelerKind.LLM_JUDGE if LabelerKind.LLM_JUDGE in kinds else kinds.pop()

    @property
    def id(self) -> str:
        """Its members' names."""
        return f"panel({'+'.join(sorted(self.members))})"

    @property
    def version(self) -> str:
        """Digest of the members and the rule; the order of members is not in it."""
        return self._digest([m.version for m in self.members.values()])

    def version_for(self, policy: Policy) -> str:
        """Digest of the members under one policy, and of the rule."""
        return self._digest([m.version_for(policy) for m in self.members.values()])

    @property
    def usage(self) -> Account:
        """What all members asked and paid."""
        return SharedAccount(
            {n: m.usage for n, m in self.members.items() if isinstance(m, PricedJudge)}
        )

    def estimate(self, units: Sequence[UnitContent], policies: Sequence[Policy]) -> Bill:
        """What labelling would cost: the members' bills added up."""
        priced = [m for m in self.members.values() if isinstance(m, PricedJudge)]
        bills = [m.estimate(units, policies) for m in priced]
        return Bill(
            max((b.pairs for b in bills), default=0),
            sum(b.calls for b in bills),
            sum(b.prompt_tokens for b in bills),
            sum(b.completion_tokens for b in bills),
            sum(b.cost for b in bills),
        )

    def spent_per_unit(
        self, units: Sequence[UnitContent], policies: Sequence[Policy]
    ) -> Spent | None:
        """What its members took for one unit, added up; None where one of them is not known."""
        priced = [m for m in self.members.values() if isinstance(m, PricedJudge)]
        spent = [m.spent_per_unit(units, policies) for m in priced]
        known = [s for s in spent if s is not None]
        return sum(known, Spent()) if len(known) == len(spent) else None

    def label(self, units: Sequence[UnitContent], policy: Policy) -> Iterator[UnitVerdicts]:
        """Every member labels, one after another; then the verdicts they come to, in order.

        Raises: LabelError if a member can't work at all.
        """
        said = []
        for name, member in self.members.items():
            with errors_of(f"candidates.{name}"):
                said.append({a.interaction_id: a.verdicts for a in member.label(units, policy)})
        for unit in units:
            votes = [of.get(unit.interaction_id, {}) for of in said]
            yield UnitVerdicts(unit.interaction_id, self._verdicts(unit, votes))

    def with_members(self, members: Mapping[str, Judge]) -> Panel:
        """The same rule over other members."""
        return Panel(self._config, members)

    def _verdicts(
        self, unit: UnitContent, votes: Sequence[Mapping[SubjectKey, SubjectVerdict]]
    ) -> dict[SubjectKey, SubjectVerdict]:
        return {key: self._one([of.get(key, _LEFT_OUT) for of in votes]) for key in unit.keys}

    def _one(self, said: Sequence[SubjectVerdict]) -> SubjectVerdict:
        """One verdict from the members' on a subject."""
        voting = [v for v in said if v.verdict is not Verdict.NO_LABEL]
        if len(voting) < self._config.least_votes:
            reasons = Counter(v.reason for v in said if v.verdict is Verdict.NO_LABEL)
            most = min(reasons, key=lambda r: (-reasons[r], r or ""))
            return SubjectVerdict(Verdict.NO_LABEL, reason=most)
        mean = round(sum(map(_probability, voting)) / len(voting), 12)
        words = [v.verdict for v in voting]
        if self._config.vote == "mean" and set(words) != {Verdict.UNSURE}:
            verdict = Verdict.VIOLATING if mean >= _HALF else Verdict.NOT_VIOLATING
        else:
            verdict = majority(words)
        mine = [v for v in voting if v.verdict is verdict]
        levels = sorted(v.severity for v in mine if v.severity is not None)
        clauses = Counter(v.clause for v in mine if v.clause is not None)
        return SubjectVerdict(
            verdict,
            severity=levels[(len(levels) - 1) // 2] if levels else None,
            confidence=mean,
            reason=self._why(len(mine), len(voting)),
            clause=min(clauses, key=lambda c: (-clauses[c], c)) if clauses else None,
        )

    def _why(self, mine: int, voting: int) -> str:
        by_mean = self._config.vote == "mean"
        return f"mean of {voting} members" if by_mean else f"{mine} of {voting} members"

    def _digest(self, versions: Sequence[str]) -> str:
        rule = [self._config.vote, self._config.least_votes, _HALF]
        made_of = ["panel", sorted(versions), rule]
        return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:16]


def majority(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict given most often, ``unsure`` among them; ``unsure`` where two are level."""
    counts = Counter(verdicts).most_common(2)
    level = len(counts) == 2 and counts[0][1] == counts[1][1]
    return Verdict.UNSURE if level else counts[0][0]


def _probability(said: SubjectVerdict) -> float:
    """A member's probability of violating; its bare verdict where it gave none."""
    if said.confidence is not None:
        return said.confidence
    return {Verdict.VIOLATING: 1.0, Verdict.NOT_VIOLATING: 0.0}.get(said.verdict, _HALF)


class PanelLabels(NamedTuple):
    """A judge's labels and, where it is a panel, each member's own: shape of ``panel_labels``."""

    labels: pa.Table
    members: pa.Table | None = None


def judge_with_members(
    judge: Judge,
    units: Sequence[UnitContent],
    policies: Sequence[Policy],
    *,
    ds: date,
    now: datetime,
    on_progress: Progress | None = None,
) -> PanelLabels:
    """Labels by any judge, as :func:`judge_units`; of a panel with what each member said."""
    if isinstance(judge, Panel):
        return judge_by_panel(judge, units, policies, ds=ds, now=now, on_progress=on_progress)
    return PanelLabels(judge_units(judge, units, policies, ds=ds, now=now, on_progress=on_progress))


def judge_by_panel(
    panel: Panel,
    units: Sequence[UnitContent],
    policies: Sequence[Policy],
    *,
    ds: date,
    now: datetime,
    on_progress: Progress | None = None,
) -> PanelLabels:
    """The panel's labels and, as evidence, what each member said for the very same vote.

    Args:
        panel: Who labels.
        units: What it sees, each interaction once.
        policies: What it judges by.
        ds: The day of the interactions.
        now: When it is labeled (UTC).
        on_progress: Called with (unit-policy pairs done, pairs in all).
    Raises: LabelError if a member can't work at all.
    """
    heard = {name: _Heard(name, member) for name, member in panel.members.items()}
    both = panel.with_members(heard)
    labels = judge_units(both, units, policies, ds=ds, now=now, on_progress=on_progress)
    own = [judge_units(m, units, policies, ds=ds, now=now) for m in heard.values()]
    members = pa.concat_tables(own) if own else labels.slice(0, 0)
    return PanelLabels(labels, members.cast(PANEL_LABELS.arrow()))


class _Heard:
    """A member whose answers are remembered, so that its labels are those that were counted."""

    def __init__(self, name: str, member: Judge) -> None:
        self._member = member
        self._said: dict[str, list[UnitVerdicts]] = {}
        self.kind, self.id, self.version = member.kind, name, member.version

    def version_for(self, policy: Policy) -> str:
        return self._member.version_for(policy)

    def label(self, units: Sequence[UnitContent], policy: Policy) -> Iterator[UnitVerdicts]:
        if policy.id not in self._said:
            self._said[policy.id] = list(self._member.label(units, policy))
        yield from self._said[policy.id]
