"""Counting: how often intervals hold the truth, how wide they are, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from baserate.stats.arrays import Array
from baserate.stats.intervals import Interval

#: A cell holds from this far below the nominal level; further below it is short.
TOLERATED = 0.01

CellVerdict: TypeAlias = Literal["holds", "unclear", "short"]


@dataclass
class WorldTally:
    """Counts of one interval in one world."""

    covered: int = 0
    above: int = 0
    below: int = 0
    fallback: int = 0
    half_widths: list[float] = field(default_factory=list)

    def add(self, interval: Interval, truth: float) -> None:
        """Count one interval: ``below`` if the truth lies below its lower end."""
        self.covered += interval.covers(truth)
        self.above += truth > interval.upper
        self.below += truth < interval.lower
        self.fallback += interval.is_fallback
        self.half_widths.append(0.5 * interval.width / truth)


@dataclass
class EstimatorTally:
    """Counts of one estimator in one world, and of its intervals."""

    errors: list[float] = field(default_factory=list)
    none_found: int = 0
    intervals: dict[str, WorldTally] = field(default_factory=dict)

    def add(self, value: float, n_positive: int, made: dict[str, Interval], truth: float) -> None:
        """Count one estimate and its intervals."""
        self.errors.append(value / truth - 1.0)
        self.none_found += n_positive == 0
        for name, interval in made.items():
            self.intervals.setdefault(name, WorldTally()).add(interval, truth)


def summary(worlds: list[EstimatorTally], level: float) -> list[dict[str, Any]]:
    """One row per interval, averaged over worlds.

    Monte-Carlo errors are those between worlds, and at least the binomial ones.

    Args:
        worlds: Two worlds or more with the same number of draws, >= 1, each.
        level: Nominal coverage.
    """
    errors = np.array([world.errors for world in worlds])
    count, draws = errors.shape
    shared = {
        "worlds": count,
        "draws": draws,
        "relative_se": float(np.sqrt((errors**2).mean())),
        "bias": float(errors.mean()),
        "bias_mc_error": _between(errors.mean(axis=1)),
        "none_found": sum(world.none_found for world in worlds) / errors.size,
    }
    base = _half_widths(worlds, "logit" if "logit" in worlds[0].intervals else None)
    rows = []
    for name in worlds[0].intervals:
        tallies = [world.intervals[name] for world in worlds]
        covered = np.array([t.covered / draws for t in tallies])
        coverage = float(covered.mean())
        error = max(_between(covered), _binomial(coverage, errors.size))
        widths = _half_widths(worlds, name)
        rows.append(
            {
                "interval": name,
                "coverage": coverage,
                "mc_error": error,
                "missed_above": sum(t.above for t in tallies) / errors.size,
                "missed_below": sum(t.below for t in tallies) / errors.size,
                "half_width": float(widths.mean()),
                "width_vs_logit": float(widths.mean() / base.mean()),
                "typical_width": float(np.median(widths / base)),
                "fallback": sum(t.fallback for t in tallies) / errors.size,
                "verdict": cell_verdict(coverage, error, level),
                **shared,
            }
        )
    return rows


def _half_widths(worlds: list[EstimatorTally], name: str | None) -> Array:
    """Relative half-widths of one interval in every sample; of the first, if none is named."""
    first = name or next(iter(worlds[0].intervals))
    widths = np.concatenate([world.intervals[first].half_widths for world in worlds])
    return np.asarray(np.maximum(widths, 1e-300))


def cell_verdict(coverage: float, mc_error: float, level: float) -> CellVerdict:
    """Whether an interval holds its level, within 0.01.

    "holds" from level - 0.01; "short" if below that by more than two Monte-Carlo errors;
    "unclear" between.

    Args:
        coverage: Measured coverage, in [0, 1].
        mc_error: Its Monte-Carlo standard error, >= 0.
        level: Nominal coverage.
    """
    least = level - TOLERATED
    if coverage >= least:
        return "holds"
    return "short" if coverage + 2.0 * mc_error < least else "unclear"


def _between(by_world: Array) -> float:
    return float(by_world.std(ddof=1) / math.sqrt(by_world.size))


def _binomial(share: float, count: int) -> float:
    """Standard error of a share, never 0 (Agresti and Coull's four more trials)."""
    moved = (share * count + 2.0) / (count + 4.0)
    return math.sqrt(moved * (1.0 - moved) / (count + 4.0))
