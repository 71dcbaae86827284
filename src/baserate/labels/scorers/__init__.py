"""Risk scores for sites that have none: machines that say how likely a text or picture violates."""

from __future__ import annotations

from baserate.labels.scorers.base import Material, Scorer
from baserate.labels.scorers.make import ENTRY_POINT_GROUP, make_scorers

__all__ = ["ENTRY_POINT_GROUP", "Material", "Scorer", "make_scorers"]
