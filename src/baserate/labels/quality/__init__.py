"""The quality of decisions: judges and people against people, with the design's weights."""

from baserate.labels.quality.compare import (
    JOINING,
    Bridge,
    Comparison,
    Difference,
    bridges,
    compare_judges,
)
from baserate.labels.quality.curves import (
    ClauseRow,
    CurvePoint,
    calibration_curve,
    clause_confusion,
)
from baserate.labels.quality.measures import (
    SUBJECT_KIND,
    JudgeQuality,
    Measure,
    Slice,
    judge_quality,
    quality_by_slice,
)
from baserate.labels.quality.pairs import COMPONENTS, LabelPairs, label_pairs
from baserate.labels.quality.people import PolicyAgreement, people_agreement
from baserate.labels.quality.promotion import Check, Margins, promotion_checks
from baserate.labels.quality.raters import Scorecard, scorecards
from baserate.labels.quality.votes import Votes, votes_from

__all__ = [
    "COMPONENTS",
    "JOINING",
    "SUBJECT_KIND",
    "Bridge",
    "Check",
    "ClauseRow",
    "Comparison",
    "CurvePoint",
    "Difference",
    "JudgeQuality",
    "LabelPairs",
    "Margins",
    "Measure",
    "PolicyAgreement",
    "Scorecard",
    "Slice",
    "Votes",
    "bridges",
    "calibration_curve",
    "clause_confusion",
    "compare_judges",
    "judge_quality",
    "label_pairs",
    "people_agreement",
    "promotion_checks",
    "quality_by_slice",
    "scorecards",
    "votes_from",
]
