"""Samples to labels: machines and people judge the same content and write the same shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from baserate.labels.consensus import Consensus, consensus
from baserate.labels.judges.base import Judge, Progress, errors_of, judge_units
from baserate.labels.policies import written_policies
from baserate.labels.render import SubjectKey, UnitContent, render_unit
from baserate.labels.reviews import ReviewImport, collect_reviews
from baserate.labels.worklist import write_worklist
from baserate.terms.programme import Policy, resolve_path
from baserate.terms.programme_labelers import LocalJudge, OpenAIJudge, PanelJudge

__all__ = [
    "Consensus",
    "Judge",
    "Progress",
    "ReviewImport",
    "SubjectKey",
    "UnitContent",
    "collect_reviews",
    "consensus",
    "judge_units",
    "make_judge",
    "render_unit",
    "write_worklist",
]


def make_judge(
    config: LocalJudge | OpenAIJudge | PanelJudge,
    base: Path,
    cache_path: Path,
    policies: Sequence[Policy],
    *,
    named: Mapping[str, LocalJudge | OpenAIJudge | PanelJudge] | None = None,
    kept_as: str | None = None,
) -> Judge:
    """The judge that a programme names.

    Args:
        config: Section ``judge`` of the programme.
        base: Folder of the programme file: relative paths start there.
        cache_path: File where an LLM judge keeps its answers; made if it is not there.
        policies: The programme's policies.
        named: Judges by name, of which a panel is made: section ``candidates``.
        kept_as: How kept images are shown to judges; None where images are not kept.
    Raises: LabelError if the judge can't be made: no training file, no address, no cache;
        PolicyError if a written policy is wrong.
    """
    if isinstance(config, PanelJudge):
        from baserate.labels.judges.panel import Panel

        settings = {name: (named or {})[name] for name in config.members}
        made = {}
        for name, member in settings.items():
            with errors_of(f"candidates.{name}"):
                made[name] = make_judge(member, base, cache_path, policies, kept_as=kept_as)
        return Panel(config, made)
    if isinstance(config, LocalJudge):
        from baserate.labels.judges.local import LocalTextJudge

        training = Path(resolve_path(config.training, base))
        return LocalTextJudge.from_file(config, training, policies)
    from baserate.labels.judges.openai import ChatJudge

    documents = written_policies(policies, base)
    return ChatJudge(
        config,
        cache_path,
        images_below=base,
        policies=policies,
        documents=documents,
        kept_as=kept_as,
    )
