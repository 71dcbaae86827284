"""``baserate judge``: the group with all its commands."""

from __future__ import annotations

from baserate.cli import (
    judge_anchors,
    judge_equivalence,
    judge_frontier,
    judge_people,
    judge_probe,
    judge_quality,
)
from baserate.cli.judge import judge_app

__all__ = [
    "judge_anchors",
    "judge_app",
    "judge_equivalence",
    "judge_frontier",
    "judge_people",
    "judge_probe",
    "judge_quality",
]
