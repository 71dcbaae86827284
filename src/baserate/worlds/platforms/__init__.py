"""Known-truth platforms as arrays: seeded populations with dials, for trials of `stats`.

`PlatformSpec` holds the dials, `build_platform` turns it into a `Platform`. Nothing here draws a
sample: that is what is on trial.
"""

from baserate.worlds.platforms.logs import census, write_logs
from baserate.worlds.platforms.parts import ComponentArrays
from baserate.worlds.platforms.platform import (
    Outcome,
    Platform,
    PlatformEstimand,
    build_platform,
)
from baserate.worlds.platforms.spec import (
    SCORE_QUALITIES,
    Clusters,
    Components,
    Drift,
    Exposure,
    JudgeErrors,
    Labeler,
    PlatformSpec,
    ScoreQuality,
    Scores,
)

__all__ = [
    "SCORE_QUALITIES",
    "Clusters",
    "ComponentArrays",
    "Components",
    "Drift",
    "Exposure",
    "JudgeErrors",
    "Labeler",
    "Outcome",
    "Platform",
    "PlatformEstimand",
    "PlatformSpec",
    "ScoreQuality",
    "Scores",
    "build_platform",
    "census",
    "write_logs",
]
