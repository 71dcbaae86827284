"""Why a unit had the probability that it had, and what became of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from baserate.engines.keyed_hash import prn_array
from baserate.flows.design_draws import OWN, SIZES
from baserate.flows.design_evidence import DesignEvidence, gather_evidence, recorded_day
from baserate.flows.stages import Stages
from baserate.sampling.frame import words
from baserate.sampling.history import Calibrations
from baserate.sampling.phase1 import allocate, design_digest
from baserate.sampling.phase2 import review_size
from baserate.stats.arrays import Array
from baserate.stats.designs import Design, draw_design
from baserate.stats.designs.order import OrderDesign
from baserate.stats.inclusion import inclusion_probs
from baserate.terms.errors import DesignError, TableError


@dataclass(frozen=True)
class PolicyPart:
    """What one policy and estimand knew of the unit, and how much it steered.

    Attributes:
        policy: Policy id.
        estimand: What the rate counts.
        score: Risk score, or the judge's confidence in phase 2; None where missing.
        probability: Calibrated expected share of the largest numerator.
        steering: Its part in the square of the core size, adding up to 1 over all.
    """

    policy: str
    estimand: str
    score: float | None
    probability: float
    steering: float


@dataclass(frozen=True)
class PhaseExplained:
    """One phase's draw of one unit.

    Attributes:
        phase: 1: for the judge. 2: for people, given phase 1.
        stratum: The stratum it was drawn in.
        stratum_units: Units of the stratum.
        n: Units drawn in it (expected, for a Poisson draw).
        size: Size measure; 1 is the mean.
        shares: Part of the size that each share of the design gave, adding up to 1.
        inclusion_prob: Probability, given the phases before.
        prn: Permanent random number of the phase.
        design: How units are selected.
        key: Ranking key of the unit; the prn itself for a Poisson draw; 0: certain.
        last_key: Key of the last unit drawn, or the probability for a Poisson draw.
        drawn: Whether it was drawn.
        parts: What each policy and estimand knew.
    """

    phase: int
    stratum: str
    stratum_units: int
    n: int
    size: float
    shares: dict[str, float]
    inclusion_prob: float
    prn: float
    design: str
    key: float
    last_key: float
    drawn: bool
    parts: tuple[PolicyPart, ...]

    @property
    def because(self) -> str:
        """Why it was drawn or not, in a sentence."""
        verb = "drawn" if self.drawn else "not drawn"
        if self.inclusion_prob >= 1.0:
            return f"{verb}: its probability is 1"
        if self.design == "poisson":
            place = "below" if self.drawn else "not below"
            return f"{verb}: its random number {self.prn:.4f} is {place} {self.inclusion_prob:.4f}"
        place = "among" if self.drawn else "not among"
        return (
            f"{verb}: its key {self.key:.4g} is {place} the {self.n:,} smallest "
            f"of its stratum (the last drawn: {self.last_key:.4g})"
        )


@dataclass(frozen=True)
class UnitExplanation:
    """Why one unit had the probability that it had.

    Attributes:
        unit_id: The interaction.
        day: Its day.
        exposure: Impressions of its Pins.
        quarantined_rows: Rows of it that were set aside: reason -> number.
        control: In the control arm.
        control_prob: Probability of the control arm.
        first: The judge's draw; None: not drawn from yet.
        second: People's draw; None: it did not come so far.
        second_because: Why there is no second phase for it; empty where there is.
    """

    unit_id: str
    day: date
    exposure: int
    quarantined_rows: dict[str, int]
    control: bool
    control_prob: float
    first: PhaseExplained
    second: PhaseExplained | None
    second_because: str

    def as_dict(self) -> dict[str, Any]:
        """As plain fields, for JSON."""
        fields = asdict(self)
        fields["first"]["because"] = self.first.because
        if self.second is not None:
            fields["second"]["because"] = self.second.because
        return fields

    def chart(self) -> Any:
        """Which share of the design gave it its size, by phase: an Altair chart."""
        from baserate.flows.design_charts import explanation_chart

        return explanation_chart(self)

    def _repr_html_(self) -> str:
        from baserate.flows.design_tables import html
        from baserate.flows.explain_tables import explanation_tables

        return html(*explanation_tables(self))


@dataclass(frozen=True)
class QuarantinedUnit:
    """A unit that has no probability, because its rows were set aside.

    Attributes:
        unit_id: The interaction.
        day: The day whose run set it aside.
        rows: (logging table, reason, detail) of each of its rows.
    """

    unit_id: str
    day: date
    rows: tuple[tuple[str, str, str], ...]

    def as_dict(self) -> dict[str, Any]:
        """As plain fields, for JSON."""
        return {**asdict(self), "quarantined": True}


def explain_unit(
    stages: Stages, unit_id: str, day: date | None = None
) -> UnitExplanation | QuarantinedUnit:
    """Why a unit had its probability in the draw of its day, and what became of it.

    Args:
        stages: The stages of one workspace.
        unit_id: The interaction.
        day: Its day; the newest recorded by default.
    Raises: TableError if the unit is not of that day; DesignError if the day has no sample, or
        was drawn by another programme than the file now says.
    """
    chosen = recorded_day(stages, day)
    ids = stages.store.read("interactions", chosen, ["interaction_id"])["interaction_id"]
    aside = _quarantined(stages, unit_id, chosen)
    if not pc.is_in(pa.array([unit_id]), value_set=ids.combine_chunks())[0].as_py():
        if aside:
            return QuarantinedUnit(unit_id, chosen, aside)
        raise _unknown(stages, unit_id, chosen)
    evidence = _evidence_of_draw(stages, chosen)
    at = evidence.frame.unit_id.index(unit_id).as_py()
    first = _first(stages, evidence, at)
    samples = stages.store.read("samples", chosen, ["control_prob"])
    control_prob = float(samples["control_prob"][0].as_py()) if len(samples) else 0.0
    second, because = _second(stages, unit_id, chosen, first.drawn)
    reasons = [reason for _, reason, _ in aside]
    return UnitExplanation(
        unit_id,
        chosen,
        int(evidence.frame.exposure[at]),
        {r: reasons.count(r) for r in dict.fromkeys(reasons)},
        bool(first.prn < control_prob),
        control_prob,
        first,
        second,
        because,
    )


def _quarantined(stages: Stages, unit_id: str, day: date) -> tuple[tuple[str, str, str], ...]:
    """Rows of a unit that were set aside on a day, by their keys."""
    columns = ["source_table", "row_key", "reason", "detail"]
    table = stages.store.read("quarantine", day, columns)
    near = table.filter(pc.match_substring(table["row_key"], json.dumps(unit_id)))
    found = []
    for row in near.to_pylist():
        key = json.loads(row["row_key"])
        if unit_id in (key.get("interaction_id"), key.get("subject_id")):
            found.append((row["source_table"], row["reason"], row["detail"] or ""))
    return tuple(found)


def _unknown(stages: Stages, unit_id: str, day: date) -> TableError:
    for other in reversed(stages.store.days("interactions")):
        ids = stages.store.read("interactions", other, ["interaction_id"])["interaction_id"]
        if pc.is_in(pa.array([unit_id]), value_set=ids.combine_chunks())[0].as_py():
            return TableError(
                "this is an interaction of another day",
                code="unit_of_another_day",
                where=str(day),
                got=unit_id,
                hint=f"baserate design explain {unit_id} --day {other}",
            )
    return TableError(
        "no interaction has this id, used or set aside",
        code="unknown_unit",
        where=str(day),
        got=unit_id,
        hint="ids are those of the logs' column interaction_id; days not recorded yet are not "
        "searched",
    )


def _evidence_of_draw(stages: Stages, day: date) -> DesignEvidence:
    """The day's frame and calibrations, checked to be those of its draw."""
    if stages.store.current("samples", day) is None:
        raise DesignError(
            "nothing was drawn from this day yet",
            code="not_sampled",
            where=str(day),
            hint=f"baserate sample --from {day} --to {day}",
        )
    evidence = gather_evidence(stages, day, pilot_days=0)
    programme = stages.programme
    now = design_digest(
        programme, stages.calibrations("score", day), 1, programme.sampling.judge_budget
    )
    drawn_by = set(stages.store.read("samples", day, ["design_id"])["design_id"].to_pylist())
    if drawn_by and drawn_by != {now}:
        raise DesignError(
            "the programme file has changed since this day was drawn: its draw cannot be told",
            code="programme_changed",
            where=str(day),
            expected=", ".join(sorted(drawn_by)),
            got=now,
            hint="put the sampling settings back, or draw anew with `baserate sample --force`",
        )
    return evidence


def _first(stages: Stages, evidence: DesignEvidence, at: int) -> PhaseExplained:
    programme, frame, units = evidence.programme, evidence.frame, evidence.units
    sampling = programme.sampling
    size = SIZES[OWN][0](evidence, units)
    n = min(sampling.judge_budget, len(frame))
    h = int(frame.stratum.codes[at])
    members = np.flatnonzero(frame.stratum.codes == h)
    n_h = allocate(size, frame.stratum, n)[h]
    prob = inclusion_probs(size[members], n_h)
    place = int(np.searchsorted(members, at))
    outcome = _outcome(draw_design(sampling.design, prob), frame.prn[members], place)
    ids = stages.store.read("samples", evidence.day, ["interaction_id"])["interaction_id"]
    drawn = bool(pc.is_in(frame.unit_id.slice(at, 1), value_set=ids.combine_chunks())[0].as_py())
    exposure = float(frame.exposure.sum())
    given = {
        "control arm": sampling.control_share,
        "exposure": sampling.exposure_share * frame.exposure[at] * len(frame) / exposure
        if exposure > 0.0
        else 0.0,
    }
    rest = max(0.0, float(size[at]) - sum(given.values()))
    totals = units.mu.sum(axis=1)
    steering = units.sigma2[:, at] / np.where(totals > 0.0, totals, np.inf) ** 2
    return PhaseExplained(
        1,
        words(frame.stratum, np.array([at]))[0],
        int(members.size),
        n_h,
        float(size[at]),
        _as_shares({**given, "what is open": rest}),
        float(prob[place]),
        float(frame.prn[at]),
        sampling.design,
        *outcome,
        drawn,
        _parts(evidence, np.repeat(frame.score[:, at], len(programme.estimands)),
               units.share[:, at], steering),
    )  # fmt: skip


def _second(
    stages: Stages, unit_id: str, day: date, drawn: bool
) -> tuple[PhaseExplained | None, str]:
    if not drawn:
        return None, "people only see what the judge saw: it was not drawn for the judge"
    if stages.store.current("outcomes", day) is None:
        return None, "the judge has not labelled this day yet"
    drawn_for_people = stages.store.current("review_samples", day)
    if drawn_for_people is None:
        return None, "people's sample of this day is not drawn yet"
    programme, sampling = stages.programme, stages.programme.sampling
    if sampling.human_budget == 0:
        return None, "the programme asks no people: human_budget is 0"
    judged = stages.units([day], reviews=False)
    calibration: Calibrations = stages.calibrations("judge", day)
    size = review_size(judged, calibration, programme)
    n = min(sampling.human_budget, len(judged))
    prob = inclusion_probs(size, n)
    prn = prn_array(judged.unit_id.tolist(), stages.workspace.phase_salt(2))
    at = int(np.flatnonzero(judged.unit_id == unit_id)[0])
    ids = stages.store.read("review_samples", day, ["interaction_id"])["interaction_id"]
    q, variance = calibration.predict(judged.confidence)
    weight = 1.0 / judged.inclusion_prob
    flat = q.reshape(-1, len(judged))
    totals = (q * judged.maximum * weight).reshape(-1, len(judged)).sum(axis=1)
    open_ = (q * (1.0 - q) + variance) * judged.maximum**2
    steering = open_.reshape(-1, len(judged))[:, at] / np.where(totals > 0.0, totals, np.inf) ** 2
    evidence = _Names(programme.policy_ids(), tuple(str(e) for e in programme.estimands))
    return (
        PhaseExplained(
            2,
            "all",
            len(judged),
            n,
            float(size[at]),
            _as_shares({"even": sampling.human_floor,
                        "what is open": max(0.0, float(size[at]) - sampling.human_floor)}),
            float(prob[at]),
            float(prn[at]),
            sampling.design,
            *_outcome(draw_design(sampling.design, prob), prn, at),
            unit_id in set(ids.to_pylist()),
            _named_parts(evidence, judged.confidence.reshape(-1, len(judged))[:, at], flat[:, at],
                         steering),
        ),
        "",
    )  # fmt: skip


class _Names(NamedTuple):
    policies: tuple[str, ...]
    estimands: tuple[str, ...]


def _parts(
    evidence: DesignEvidence, score: Array, probability: Array, steering: Array
) -> tuple[PolicyPart, ...]:
    programme = evidence.programme
    names = _Names(programme.policy_ids(), tuple(str(e) for e in programme.estimands))
    return _named_parts(names, score, probability, steering)


def _named_parts(
    names: _Names, score: Array, probability: Array, steering: Array
) -> tuple[PolicyPart, ...]:
    whole = float(steering.sum())
    cells = [(p, e) for p in names.policies for e in names.estimands]
    return tuple(
        PolicyPart(
            policy,
            estimand,
            None if np.isnan(score[c]) else float(score[c]),
            float(probability[c]),
            float(steering[c]) / whole if whole > 0.0 else 0.0,
        )
        for c, (policy, estimand) in enumerate(cells)
    )


def _as_shares(sizes: dict[str, float]) -> dict[str, float]:
    whole = sum(sizes.values())
    return {name: float(size) / whole for name, size in sizes.items()}


def _outcome(design: Design, prn: Array, at: int) -> tuple[float, float]:
    """The unit's key, and the key of the last unit drawn."""
    if not isinstance(design, OrderDesign):
        return float(prn[at]), float(design.inclusion_prob[at])
    keys = design.key(prn)
    return float(keys[at]), float(np.max(keys[design.select(prn)], initial=0.0))
