"""Inference that may be looked at every day: confidence sequences, e-processes, alarms."""

from baserate.stats.sequential._looks import ConfidenceSequence
from baserate.stats.sequential.bernstein import empirical_bernstein_sequence
from baserate.stats.sequential.betting import (
    betting_sequence,
    weighted_without_replacement_sequence,
)
from baserate.stats.sequential.capital import (
    Bets,
    DailyCapital,
    daily_capital,
    rate_sequence,
    spread_bets,
)
from baserate.stats.sequential.drift import ErrorWatch, evidence_of_drift, watch_errors
from baserate.stats.sequential.evidence import (
    alarm_threshold,
    evidence_against_band,
    evidence_against_constancy,
)
from baserate.stats.sequential.rolling import rolling_z
from baserate.stats.sequential.watch import (
    Attribution,
    Watch,
    attribute_change,
    first_alarm,
    shift_interval,
    watch_rate,
)

__all__ = [
    "Attribution",
    "Bets",
    "ConfidenceSequence",
    "DailyCapital",
    "ErrorWatch",
    "Watch",
    "alarm_threshold",
    "attribute_change",
    "betting_sequence",
    "daily_capital",
    "empirical_bernstein_sequence",
    "evidence_against_band",
    "evidence_against_constancy",
    "evidence_of_drift",
    "first_alarm",
    "rate_sequence",
    "rolling_z",
    "shift_interval",
    "spread_bets",
    "watch_errors",
    "watch_rate",
    "weighted_without_replacement_sequence",
]
