"""``baserate policy``: the group with all its commands."""

from __future__ import annotations

from baserate.cli import policy_impact, policy_optimise
from baserate.cli.policy import policy_app

__all__ = ["policy_app", "policy_impact", "policy_optimise"]
