"""What a design is planned on: a day's frame, the calibrations that stand, and a judged pilot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from baserate.flows.stages import Stages
from baserate.sampling.frame import Categories, Frame, categories, frame_columns, frame_of
from baserate.sampling.history import (
    Calibrations,
    judge_calibrations,
    read_calibrations,
    score_calibrations,
)
from baserate.sampling.phase1 import maxima
from baserate.stats.anticipation import Pilot
from baserate.stats.arrays import Array, IntArray
from baserate.terms.errors import DesignError, TableError
from baserate.terms.programme import Programme
from baserate.terms.record_tables import score_column
from baserate.terms.sampled_units import SampledUnits
from baserate.terms.words import ALL

#: Judged days, counted back from the planned one, whose units show what the judge leaves open.
PILOT_DAYS = 7


class Units(NamedTuple):
    """Units as a draw sees them: C cells (policy x estimand, policies outermost), n units.

    Attributes:
        exposure: Impressions, shape (n,).
        share: Calibrated share of the largest numerator, in [0, 1], shape (C, n).
        mu: Expected numerator, shape (C, n).
        sigma2: E (y - mu)^2 under the calibrated model, shape (C, n).
        stratum: Code of the frame's stratum; below 0 where the frame has none such, shape (n,).
    """

    exposure: Array
    share: Array
    mu: Array
    sigma2: Array
    stratum: IntArray


@dataclass(frozen=True, eq=False)
class DesignEvidence:
    """All that planning reads; N units of the frame, m of the pilot.

    Attributes:
        day: The day whose frame stands for the days to come.
        programme: Policies, budgets, shares.
        frame: The day's units.
        units: The same, under the calibrations that stand.
        pilot_units: Judged units of earlier days as the draw would see them.
        pilot: What they say of the frame; the frame itself where nothing was judged yet.
        pilot_share: Expected share of the largest numerator given the judge, shape (C, m).
        pilot_domains: Per pivot, the frame's code of each pilot unit's value, below 0 for none.
        pilot_days: The days that were judged; none: the judge is taken to add nothing.
    """

    day: date
    programme: Programme
    frame: Frame
    units: Units
    pilot_units: Units
    pilot: Pilot
    pilot_share: Array
    pilot_domains: dict[str, IntArray]
    pilot_days: tuple[date, ...]

    def __len__(self) -> int:
        """Number of units in the frame, N."""
        return len(self.frame)

    @property
    def denominators(self) -> Array:
        """v of each unit per estimand: 1, or its impressions, shape (E, N)."""
        return maxima(self.frame.exposure, self.programme)

    def cell(self, policy: str, estimand: str) -> int:
        """Row of one policy and estimand."""
        estimands = [str(e) for e in self.programme.estimands]
        at = self.programme.policy_ids().index(policy) * len(estimands)
        return at + estimands.index(estimand)


def gather_evidence(
    stages: Stages, day: date | None = None, *, pilot_days: int = PILOT_DAYS
) -> DesignEvidence:
    """Read what a design is planned on.

    Args:
        stages: The stages of one workspace.
        day: A recorded day; the newest by default.
        pilot_days: Judged days up to it that show how the judge errs; 0: none is read.
    Raises: TableError if the day is not recorded; DesignError if it has no interaction.
    """
    programme = stages.programme
    chosen = recorded_day(stages, day)
    frame = frame_of(stages.store.read("interactions", chosen, frame_columns(programme)), programme)
    if len(frame) == 0:
        raise DesignError(
            "no unit to plan on: the day has no interaction", code="empty_frame", where=str(chosen)
        )
    judge, scores = calibrations_that_stand(stages, chosen)
    units = _units(frame.score, frame.exposure, frame.stratum.codes, scores, programme)
    judged_days = [d for d in stages.store.days("outcomes") if d <= chosen]
    days = tuple(judged_days[-pilot_days:]) if pilot_days else ()
    if not days:
        pilot = Pilot(np.ones(len(frame)), units.mu, units.sigma2)
        codes = {p: c.codes for p, c in frame.domains.items()}
        return DesignEvidence(chosen, programme, frame, units, units, pilot, units.share, codes, ())
    judged, seen = _judged(stages, days)
    pilot_units = _units(
        _scores(seen, programme),
        judged.exposure,
        _codes_in(frame.stratum, _stratum_words(seen, programme)),
        scores,
        programme,
    )
    return DesignEvidence(
        chosen,
        programme,
        frame,
        units,
        pilot_units,
        *_pilot(judged, judge, len(frame)),
        {p: _codes_in(c, categories(seen[p])) for p, c in frame.domains.items()},
        days,
    )


def recorded_day(stages: Stages, day: date | None) -> date:
    """The day asked for, or the newest recorded one. Raises: TableError if there is none."""
    days = stages.store.days("interactions")
    if not days or (day is not None and day not in days):
        raise TableError(
            "the day is not recorded" if days else "no day is recorded yet",
            code="day_not_recorded",
            where="--day",
            expected=f"a day from {days[0]} to {days[-1]}" if days else None,
            got=None if day is None else str(day),
            hint="`baserate run` records and measures days; `baserate records` only records them",
        )
    return days[-1] if day is None else day


def calibrations_that_stand(stages: Stages, day: date) -> tuple[Calibrations, Calibrations]:
    """What confidences and scores are worth on a day: as it was drawn with, or from days before.

    Returns: the judge's and the scores' calibrations.
    """
    programme = stages.programme
    if stages.store.current("calibrations", day) is not None:
        table = stages.store.read("calibrations", day)
        known = set(zip(table["policy"].to_pylist(), table["estimand"].to_pylist(), strict=True))
        cells = {(p, str(e)) for p in programme.policy_ids() for e in programme.estimands}
        if cells <= known:
            return (
                read_calibrations(table, "judge", programme),
                read_calibrations(table, "score", programme),
            )
    reach = timedelta(days=programme.sampling.calibration.history_days)
    days = tuple(d for d in stages.store.days("outcomes") if day - reach <= d < day)
    history = stages.units(list(days))
    judge = judge_calibrations(history, programme)
    found = (
        _scores(_seen(stages, history, days), programme)
        if days
        else np.empty((len(programme.policies), 0))
    )
    return judge, score_calibrations(history, found, judge, programme)


def _judged(stages: Stages, days: Sequence[date]) -> tuple[SampledUnits, pa.Table]:
    units = stages.units(list(days), reviews=False)
    return units, _seen(stages, units, days)


def _seen(stages: Stages, units: SampledUnits, days: Sequence[date]) -> pa.Table:
    """The frame's columns of judged units, in their order."""
    columns = [c for c in frame_columns(stages.programme) if c != "interaction_id"]
    return pa.concat_tables(
        stages.sampled_interactions(d, units.unit_id[units.day == str(d)].tolist(), columns)
        for d in days
    )


def _scores(table: pa.Table, programme: Programme) -> Array:
    columns = [table[score_column(p)] for p in programme.policy_ids()]
    return np.stack([c.to_numpy().astype(np.float64) for c in columns])


def _stratum_words(table: pa.Table, programme: Programme) -> Categories:
    """The strata of units as the frame writes them."""
    if len(table) == 0 or not programme.sampling.strata:
        return Categories((ALL,), np.zeros(len(table), dtype=np.int64))
    return frame_of(_with_ids(table), programme).stratum


def _with_ids(table: pa.Table) -> pa.Table:
    """Rows named by their place, so that a frame keeps their order."""
    names = pa.array([f"{i:012d}" for i in range(len(table))])
    return table.drop_columns(["interaction_id"]).append_column("interaction_id", names)


def _codes_in(known: Categories, found: Categories) -> IntArray:
    """Codes of words in another list; -1 where they are not in it."""
    place = {word: code for code, word in enumerate(known.values)}
    codes = np.array([place.get(word, -1) for word in found.values], dtype=np.int64)
    return np.asarray(codes[found.codes])


def _units(
    score: Array,
    exposure: Array,
    stratum: IntArray,
    calibrations: Calibrations,
    programme: Programme,
) -> Units:
    share, variance = calibrations.predict(score)
    v = maxima(exposure, programme)
    n = exposure.size
    return Units(
        exposure,
        share.reshape(-1, n),
        (share * v).reshape(-1, n),
        ((share * (1.0 - share) + variance) * v**2).reshape(-1, n),
        stratum,
    )


def _pilot(judged: SampledUnits, judge: Calibrations, n_frame: int) -> tuple[Pilot, Array]:
    """What judged units say of the frame, and their calibrated shares."""
    q, variance = judge.predict(judged.confidence)
    weight = 1.0 / judged.inclusion_prob
    n = len(judged)
    pilot = Pilot(
        weight * (n_frame / weight.sum()),
        (q * judged.maximum).reshape(-1, n),
        ((q * (1.0 - q) + variance) * judged.maximum**2).reshape(-1, n),
    )
    return pilot, q.reshape(-1, n)
