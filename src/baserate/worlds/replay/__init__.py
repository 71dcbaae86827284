"""A replay platform with known truth, made of real texts that people scored.

``build_replay`` writes a workspace: logging tables, reviews, a programme and the census of every
rate. The texts come from a published wheel, read at run time; where it cannot be had, a made-up
stand-in of the same shapes takes its place and says so.
"""

from baserate.worlds.replay.build import ReplayWorld, build_replay, replay_material
from baserate.worlds.replay.made_up import made_up_material
from baserate.worlds.replay.scorer import ScorerQuality
from baserate.worlds.replay.spec import PlantedChange, ReplaySpec
from baserate.worlds.replay.wheel import default_cache

__all__ = [
    "PlantedChange",
    "ReplaySpec",
    "ReplayWorld",
    "ScorerQuality",
    "build_replay",
    "default_cache",
    "made_up_material",
    "replay_material",
]
