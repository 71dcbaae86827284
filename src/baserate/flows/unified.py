"""Judges whose calls are about all policies at once: measured by only where gold shows them equal.

What was found is committed as table ``equivalences``, by the judge's version, which any change of
model, parameters, template or wording of any policy changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from baserate.engines.store import Store
from baserate.labels.judges.base import Judge
from baserate.labels.quality.equivalence import equivalence_checks
from baserate.labels.quality.promotion import Check, Margins
from baserate.terms.errors import LabelError
from baserate.terms.programme import Programme
from baserate.terms.programme_labelers import LocalJudge, OpenAIJudge, PanelJudge

EQUIVALENCES = "equivalences"
JudgeConfig: TypeAlias = LocalJudge | OpenAIJudge | PanelJudge


class Configured(NamedTuple):
    """A judge's settings, and those of the judges that a panel may name."""

    config: JudgeConfig
    named: Mapping[str, JudgeConfig]

    @property
    def is_unified(self) -> bool:
        """Whether it, or a member, asks about all policies in one call."""
        if isinstance(self.config, PanelJudge):
            return any(Configured(self.named[m], {}).is_unified for m in self.config.members)
        return isinstance(self.config, OpenAIJudge) and self.config.calls == "unified"

    def with_a_call_for_each(self) -> Configured:
        """The same judge, asking about one policy at a time."""
        return Configured(
            _one_policy(self.config), {n: _one_policy(j) for n, j in self.named.items()}
        )


def _one_policy(config: JudgeConfig) -> JudgeConfig:
    if isinstance(config, OpenAIJudge):
        return config.model_copy(update={"calls": "one_policy"})
    return config


def configured(programme: Programme, name: str | None = None) -> Configured:
    """The programme's judge, or a candidate."""
    named = programme.candidates
    return Configured(programme.judge if name is None else named[name], named)


def margins_of(programme: Programme) -> Margins:
    """How far unified calls may differ from one-policy calls."""
    gates = programme.gates
    return Margins(gates.unified_sensitivity_margin, gates.unified_specificity_margin)


def equivalence_rows(store: Store, programme: Programme, judge: Judge) -> list[dict[str, Any]]:
    """What the newest test of exactly this judge found; no rows if it was never tested."""
    versions = {p.id: judge.version_for(p) for p in programme.policies}
    for day in reversed(store.days(EQUIVALENCES)):
        rows = store.read(EQUIVALENCES, day).to_pylist()
        mine = [r for r in rows if versions.get(r["policy"]) == r["labeler_version"]]
        if mine:
            return mine
    return []


def unified_checks(
    store: Store, programme: Programme, judge: Judge, name: str | None = None
) -> list[Check]:
    """The gate of every policy for a judge with unified calls; none for any other.

    Args:
        store: The workspace's tables.
        programme: The programme.
        judge: The judge, ready to be asked.
        name: The candidate that it is; None: the programme's judge.
    """
    if not configured(programme, name).is_unified:
        return []
    how = "`baserate judge equivalence`" if name is None else f"`baserate judge equivalence {name}`"
    rows = equivalence_rows(store, programme, judge)
    hint = f"{how} tests it on gold; until it passes, keep calls: one_policy"
    return list(equivalence_checks(rows, programme.policy_ids(), margins_of(programme), hint))


def refuse_untested(store: Store, programme: Programme, judge: Judge) -> None:
    """Raises: LabelError if the judge has unified calls that were not shown to judge alike."""
    held = [c for c in unified_checks(store, programme, judge) if not c.passed]
    if held:
        first = held[0]
        raise LabelError(
            "one call about all policies was not shown to judge as a call for each policy does",
            code="unified_not_equivalent",
            where="judge.calls",
            expected="equivalence on gold under every policy, for exactly this version of the "
            "judge: model, parameters and the wording of all policies",
            got=f"{first.policy}: {first.found}"
            + (f"; and {len(held) - 1} more" * (len(held) > 1)),
            hint=first.hint,
        )


def equivalence_note(store: Store, programme: Programme, judge: Judge, name: str | None) -> str:
    """A sentence about a judge's unified calls; '' for a judge without any."""
    checks = unified_checks(store, programme, judge, name)
    if not checks:
        return ""
    rows = equivalence_rows(store, programme, judge)
    if not rows:
        return "one call asks about all policies: not tested against a call for each"
    shown = all(c.passed for c in checks)
    return (
        f"one call asks about all policies: {'shown' if shown else 'NOT shown'} on "
        f"{rows[0]['ds']} to judge as a call for each does, {saving_sentence(rows[0])}"
    )


def saving_sentence(row: Mapping[str, Any]) -> str:
    """What unified calls save, in words."""
    if not row["one_policy_calls"]:
        return "what it saves is not known"
    priced = row["one_policy_cost"] > 0.0
    what = "cost" if priced else "tokens"
    calls = f"{_saved(row, 'calls'):.0%} fewer calls"
    return f"{calls}, {_saved(row, what):.0%} less {what}" if row["one_policy_tokens"] else calls


def _saved(row: Mapping[str, Any], what: str) -> float:
    return float(1.0 - row[f"unified_{what}"] / row[f"one_policy_{what}"])
