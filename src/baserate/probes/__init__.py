"""Adversarial suites: instructions planted in content, and how many verdicts they move.

What is probed is a frame of its own and never mixed into prevalence: twins of judged interactions
that differ from them in the planted text alone.
"""

from baserate.probes.canaries import Canary, Pair, make_pairs
from baserate.probes.flips import FamilyFlips, Outcome, flips_by_family, flips_table, withstands
from baserate.probes.payloads import OWN_FAMILIES, Family, Goal, Payload, own_payloads
from baserate.probes.sources import PayloadSource, payload_source

__all__ = [
    "OWN_FAMILIES",
    "Canary",
    "Family",
    "FamilyFlips",
    "Goal",
    "Outcome",
    "Pair",
    "Payload",
    "PayloadSource",
    "flips_by_family",
    "flips_table",
    "make_pairs",
    "own_payloads",
    "payload_source",
    "withstands",
]
