"""Watching a rate every day: when to alarm, since when, and which thing moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from baserate.stats.arrays import Array
from baserate.stats.sequential._looks import error_probability
from baserate.stats.sequential.capital import DailyCapital, mean_interval
from baserate.stats.sequential.evidence import (
    Detector,
    alarm_threshold,
    evidence_against_band,
    evidence_against_constancy,
)
from baserate.terms.errors import DesignError

Culprit: TypeAlias = Literal[
    "no_change", "system_moved", "judge_moved", "both_moved", "cannot_tell"
]


@dataclass(frozen=True)
class Watch:
    """What watching one rate has shown so far.

    Attributes:
        evidence: Log-evidence for a change after each day, shape (T,).
        threshold: Log-evidence at which the alarm is raised.
        alarm_day: First day at the threshold (0-based), or None.
        onset_day: Most likely first day of the new rate, or None without an alarm.
        direction: "rise", "fall" or None; which way the rate went at the alarm.
        alpha: P(an alarm within the horizon | no change) at most.
        horizon: Looks over which alpha is spent.
        detector: "e-process" or "shiryaev-roberts".
    """

    evidence: Array
    threshold: float
    alarm_day: int | None
    onset_day: int | None
    direction: str | None
    alpha: float
    horizon: int
    detector: Detector


@dataclass(frozen=True)
class Attribution:
    """Which thing moved: the system, or the judge that measures it.

    Attributes:
        verdict: "no_change", "system_moved", "judge_moved", "both_moved" or "cannot_tell".
        traffic: The watch on the judged traffic.
        anchors: The watch on the frozen anchor set.
        onset_day: Day that splits before from after, or None without an alarm.
        traffic_shift: Interval of the mean judged rate after minus before; None without an alarm.
        judge_shift: The same on the anchors: what the judge alone did.
        system_shift: Traffic less judge.
        alpha: All intervals together miss with at most this probability.
    """

    verdict: Culprit
    traffic: Watch
    anchors: Watch
    onset_day: int | None
    traffic_shift: tuple[float, float] | None
    judge_shift: tuple[float, float] | None
    system_shift: tuple[float, float] | None
    alpha: float


def watch_rate(
    capital: DailyCapital,
    *,
    band: tuple[float, float] | None = None,
    alpha: float = 0.05,
    horizon: int = 365,
    detector: Detector = "e-process",
    margin: float = 0.0,
) -> Watch:
    """Alarm when a rate leaves its band, or (without a band) when it does not stay constant.

    Recompute it daily from all days since the horizon began; no state is kept, so a re-run on the
    same days says the same.

    Args:
        capital: From `daily_capital`, its bets fixed before day 0.
        band: Rates that count as no change; None watches for any departure from constancy.
        alpha: P(alarm within the horizon | no change) at most.
        horizon: Number of daily looks that alpha covers; then start anew.
        detector: "e-process" (stronger without a band) or "shiryaev-roberts".
        margin: Relative wobble that counts as constant, when there is no band.
    Assumes: as `daily_capital` and `evidence_against_band` or `evidence_against_constancy`.
    Bias: the onset day is a best guess, late by chance as often as early.
    Raises: DesignError for bad arguments.
    References: as `evidence_against_band`.
    """
    if capital.rate.ndim != 1:
        raise DesignError("one rate at a time", got=f"shape {capital.rate.shape}")
    threshold = alarm_threshold(detector, alpha, horizon)
    if band is None:
        evidence = evidence_against_constancy(
            capital, detector=detector, horizon=horizon, margin=margin
        )
    else:
        evidence = evidence_against_band(
            capital, band[0], band[1], detector=detector, horizon=horizon
        )
    day, onset, direction = first_alarm(evidence, threshold), None, None
    if day is not None:
        onset = _onset(capital, day + 1, band)
        before = capital.rate[:onset].mean() if band is None and onset else np.mean(band or 0.0)
        direction = "rise" if capital.rate[onset : day + 1].mean() >= before else "fall"
    return Watch(evidence, threshold, day, onset, direction, alpha, horizon, detector)


def first_alarm(evidence: Array, threshold: float) -> int | None:
    """First day (0-based) whose evidence reaches the threshold, or None.

    Args:
        evidence: Log-evidence after each day, shape (T,).
        threshold: Of `alarm_threshold`.
    """
    reached = np.flatnonzero(evidence >= threshold)
    return int(reached[0]) if reached.size else None


def _onset(capital: DailyCapital, n_days: int, band: tuple[float, float] | None) -> int:
    """Start of the run of days, up to the last, that speaks most strongly for a change."""
    grown, theta = capital.log_growth[:n_days], capital.bets.theta
    if band is not None:
        against = np.where(capital.bets.on_more, band[1], band[0])
        since = np.cumsum((grown - theta * against)[::-1], axis=0)[::-1]
        return int(np.unravel_index(since.argmax(), since.shape)[0])
    if n_days == 1:
        return 0
    # Without a reference: the split whose two sides both speak most against the common mean.
    split = np.arange(1, n_days)
    cost = theta * capital.rate[:n_days].mean()
    net = np.cumsum(grown - cost, axis=0)
    before, after = net[split - 1], net[-1] - net[split - 1]
    return int(split[np.argmax(before.max(axis=1) + after.max(axis=1))])


def shift_interval(
    capital: DailyCapital,
    onset_day: int,
    *,
    alpha: float = 0.05,
    horizon: int = 365,
    rate_max: float = 1.0,
) -> tuple[float, float]:
    r"""Interval for the mean rate from a day on, minus the mean rate before it.

    Holds at every look and for every split at once, so the split may be chosen by looking:

    $$ C^{\text{after}}_{j,t} \text{ at } \frac{\alpha}{2H}, \qquad
       C^{\text{before}}_j \text{ at } \frac{\alpha}{2} $$

    Args:
        capital: From `daily_capital`, betting both ways.
        onset_day: j, first day of "after", in 1 … T − 1.
        alpha: P(any look or split misses) at most.
        horizon: H, the days among which the split is chosen.
        rate_max: Largest possible rate.
    Assumes: as `daily_capital`.
    Bias: conservative.
    Raises: DesignError for a split outside the days.
    References: Ville (1939) with a union over splits; Howard et al. (2021).
    """
    n_days, bets = capital.n_days, capital.bets
    if not 1 <= onset_day < n_days <= horizon:
        raise DesignError(
            "the split must leave days on both sides, within the horizon",
            expected=f"1 … {n_days - 1}, at most {horizon} days",
            got=str(onset_day),
        )
    log_once = float(np.log(2.0 / error_probability(alpha)))
    log_many = log_once + float(np.log(horizon))

    def mean(first: int, last: int, log_threshold: float) -> tuple[float, float]:
        grown = capital.over(first, last)[None]
        low, high, _ = mean_interval(grown, [last - first], bets, log_threshold, rate_max)
        return float(low[0]), float(high[0])

    before, after = mean(0, onset_day, log_once), mean(onset_day, n_days, log_many)
    return after[0] - before[1], after[1] - before[0]


def attribute_change(
    traffic: DailyCapital,
    anchors: DailyCapital,
    *,
    band: tuple[float, float] | None = None,
    alpha: float = 0.05,
    horizon: int = 365,
    detector: Detector = "e-process",
) -> Attribution:
    r"""Tell "the system moved" from "the judge moved" with a frozen anchor set.

    A probability sample of old traffic is frozen; each day the judge re-scores some of it, drawn
    anew at a steady pace, weighted to the traffic it came from. Its judged rate can move only
    if the judge moves, so

    $$ \Delta_{\text{system}} = \Delta_{\text{traffic}} - \Delta_{\text{anchors}} $$

    On an alarm of either, both shifts get intervals that hold at any look and split; a thing has
    moved if its interval excludes 0. No anchor alarm alone never acquits the judge: too few
    anchors give "cannot_tell".

    Args:
        traffic: The judged traffic, betting both ways.
        anchors: The anchors re-scored on the same days, betting both ways. An anchor drawn with
            probability π that day contributes verdict × its traffic share / π.
        band: Traffic rates that count as no change; None watches for constancy. Anchors are
            always watched for constancy.
        alpha: P(any alarm | nothing moves) at most, and separately P(any interval misses).
        horizon: Daily looks that alpha covers.
        detector: As in `watch_rate`.
    Assumes: anchors stand for today's traffic in what the judge finds hard; a judge that moves
        only on new kinds of content escapes them (refresh the set, bridging old and new). Anchor
        draws independent over days.
    Bias: conservative.
    Raises: DesignError if the two series have different numbers of days.
    References: `shift_interval` for the intervals; difference in differences for the logic.
    """
    if traffic.n_days != anchors.n_days:
        raise DesignError(
            "traffic and anchors need the same days",
            got=f"{traffic.n_days} and {anchors.n_days}",
            hint="re-score anchors every day, or give both only the days that have anchors",
        )
    half = error_probability(alpha) / 2.0
    watched = watch_rate(traffic, band=band, alpha=half, horizon=horizon, detector=detector)
    anchored = watch_rate(anchors, alpha=half, horizon=horizon, detector=detector)
    onset = watched.onset_day if watched.alarm_day is not None else anchored.onset_day
    if onset is None:
        return Attribution("no_change", watched, anchored, None, None, None, None, alpha)
    onset = min(max(onset, 1), traffic.n_days - 1)
    moved = shift_interval(traffic, onset, alpha=half, horizon=horizon)
    judge = shift_interval(anchors, onset, alpha=half, horizon=horizon)
    system = (moved[0] - judge[1], moved[1] - judge[0])
    verdict = _verdict(_excludes_zero(system), _excludes_zero(judge))
    return Attribution(verdict, watched, anchored, onset, moved, judge, system, alpha)


def _excludes_zero(interval: tuple[float, float]) -> bool:
    return interval[0] > 0.0 or interval[1] < 0.0


def _verdict(system: bool, judge: bool) -> Culprit:
    if system and judge:
        return "both_moved"
    if system:
        return "system_moved"
    return "judge_moved" if judge else "cannot_tell"
