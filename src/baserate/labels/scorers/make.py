"""The scorers that a programme names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import TypeAlias

from baserate.labels.scorers.base import Scorer
from baserate.terms.errors import LabelError
from baserate.terms.programme import resolve_path
from baserate.terms.programme_scorers import AnyScorer, PackageScorer, TextScorer

#: A plug-in is a callable ``(base, policies, **options) -> Scorer``.
ScorerFactory: TypeAlias = Callable[..., Scorer]
ENTRY_POINT_GROUP = "baserate.scorers"


def make_scorers(
    configs: Sequence[AnyScorer], base: Path, policies: Sequence[str], made_as: str | None
) -> list[Scorer]:
    """Scorers ready to be asked, in the order of the programme.

    Args:
        configs: Section scorers of the programme.
        base: Folder of the programme file: relative paths start there.
        policies: The programme's policies.
        made_as: How pictures are made from their files; None where the programme reads none.
    Raises: LabelError if one can't be made.
    """
    return [_made(config, base, policies, made_as) for config in configs]


def _made(config: AnyScorer, base: Path, policies: Sequence[str], made_as: str | None) -> Scorer:
    if isinstance(config, TextScorer):
        from baserate.labels.scorers import text

        training = Path(resolve_path(config.training, base))
        return text.TextScorer(training, config.policies or policies)
    if isinstance(config, PackageScorer):
        return _plugged_in(config, base, policies)
    from baserate.labels.scorers.nsfw import OpenNsfwScorer

    return OpenNsfwScorer(config.policy, made_as or "")


def _plugged_in(config: PackageScorer, base: Path, policies: Sequence[str]) -> Scorer:
    for point in entry_points(group=ENTRY_POINT_GROUP, name=config.name):
        factory: ScorerFactory = point.load()
        return factory(base, tuple(policies), **config.options)
    known = sorted(point.name for point in entry_points(group=ENTRY_POINT_GROUP))
    raise LabelError(
        "no installed package brings this scorer",
        code="unknown_scorer",
        where="scorers",
        expected=f"one of {', '.join(known)}" if known else None,
        got=config.name,
        hint=f"install the package that registers it under {ENTRY_POINT_GROUP}",
    )
