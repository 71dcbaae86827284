"""A seeded platform in memory: frames, draws, verdicts and the figures they give."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from baserate.release.gate_inputs import GateInputs
from baserate.stats.designs.registry import draw_design
from baserate.stats.inclusion import inclusion_probs
from baserate.stats.intervals.binomial import logit_interval
from baserate.stats.intervals.interval import zero_count_limit
from baserate.stats.ladder import domain_columns, ladder_estimate
from baserate.stats.phases import Phase
from baserate.terms.label_tables import LABELS, OUTCOMES, REVIEW_LABELS, REVIEW_OUTCOMES
from baserate.terms.our_tables import ESTIMATES
from baserate.terms.programme import Programme
from baserate.terms.record_tables import AUDIT
from baserate.terms.sample_tables import FRAME_TOTALS, REVIEW_SAMPLES, SAMPLES

POLICIES = {
    "hate": ("Hate", 0.012, "Attacks people for who they are."),
    "violence": ("Violence", 0.006, "Threatens, incites or celebrates violence."),
    "sexual": ("Sexual content", 0.018, "Explicit sexual content."),
    "self_harm": ("Self-harm", 0.0016, "Encourages self-harm or gives methods for it."),
    "misinformation": ("Information integrity", 0.0035, "False claims that can cause harm."),
    "minors": ("Safety of minors", 0.0000001, "Endangers children."),
}
COUNTRIES = ("BR", "DE", "IN", "JP", "US")
SURFACES = ("assistant", "home", "search")
ESTIMANDS = ("interaction_rate", "exposure_rate", "any_component_rate")
START = date(2026, 1, 1)


@dataclass(frozen=True)
class World:
    """A made-up platform's tables."""

    programme: Programme
    programme_text: str
    inputs: GateInputs
    frame: dict[date, pa.Table]

    @property
    def tables(self) -> dict[str, pa.Table]:
        names = (
            "estimates audit frame_totals samples labels outcomes "
            "review_samples review_labels review_outcomes"
        )
        return {name: getattr(self.inputs, name) for name in names.split()}


def programme_text(judge_budget: int, human_budget: int, policies: tuple[str, ...]) -> str:
    return yaml.safe_dump(
        {
            "programme": "assistant",
            "title": "Assistant safety",
            "salt": "a-salt-of-this-test",
            "tables": {
                "requests": {"path": "requests/ds={ds}/*.parquet"},
                "responses": {"path": "responses/ds={ds}/*.parquet"},
            },
            "policies": [
                {"id": p, "name": POLICIES[p][0], "definition": POLICIES[p][2]} for p in policies
            ],
            "sampling": {"judge_budget": judge_budget, "human_budget": human_budget},
            "judge": {"kind": "local", "training": "training.parquet"},
            "reviews": {"kind": "lookup", "path": "reviews.parquet"},
        },
        sort_keys=False,
    )


class _Day:
    """One day's population, draw and verdicts."""

    def __init__(self, day: date, n_units: int, programme: Programme, rng: np.random.Generator):
        policies = programme.policy_ids()
        self.day, self.n = day, n_units
        self.ids = np.array(
            [hashlib.md5(f"{day}{i}".encode()).hexdigest()[:16] for i in range(n_units)]
        )
        self.country = rng.choice(5, n_units, p=[0.15, 0.1, 0.3, 0.1, 0.35])
        self.surface = rng.choice(3, n_units, p=[0.3, 0.25, 0.45])
        self.exposure = np.floor(rng.lognormal(1.0, 1.2, n_units)).astype(np.int64)
        base = np.array([POLICIES[p][1] for p in policies])
        lift = np.where((self.country == 2) & (day.day == 9), 4.0, 1.0)
        tilt = np.array([1.3, 0.7, 0.9, 0.5, 1.2])[self.country]
        tilt = tilt * np.array([0.8, 0.7, 1.3])[self.surface]
        tilt = tilt * rng.lognormal(-0.5, 1.0, n_units)
        risk = base[:, None] * tilt
        risk[0] *= lift
        risk = np.clip(risk, 0, 0.9)
        self.human = (rng.random(risk.shape) < risk).astype(np.float64)
        noise = rng.lognormal(0, 0.5, risk.shape)
        self.score = np.clip(risk * noise * 3 + 0.5 * self.human * rng.random(risk.shape), 0, 1)
        false_alarm = rng.random(risk.shape) < 0.01 + 0.5 * self.score * 0.2
        self.judged = np.where(self.human > 0, rng.random(risk.shape) < 0.8, false_alarm) * 1.0
        self.prn, self.prn2 = rng.random(n_units), rng.random(n_units)
        self._draw(programme)

    def _draw(self, programme: Programme) -> None:
        size = np.sqrt(np.maximum(self.score, 1e-4)).mean(axis=0)
        size = 0.6 * size / size.sum() + 0.2 / self.n + 0.2 * self.exposure / self.exposure.sum()
        self.size = size
        self.pi = inclusion_probs(size, programme.sampling.judge_budget)
        self.first = draw_design("pareto", self.pi).select(self.prn)
        self.rows = np.flatnonzero(self.first)
        size2 = 0.25 + 0.75 * self.judged[:, self.rows].max(axis=0)
        self.pi2 = inclusion_probs(size2, programme.sampling.human_budget)
        self.second = draw_design("pareto", self.pi2).select(self.prn2[self.rows])
        self.size2 = size2

    def values(self, verdict: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Numerators, shape (n, P * E): interaction, exposure, any component."""
        y = verdict[:, rows]
        per = np.stack([y, y * self.exposure[rows] * 0.4, np.minimum(y, 1.0)], axis=1)
        return per.reshape(-1, rows.size).T

    def domains(self, rows: np.ndarray | slice = slice(None)) -> list[np.ndarray]:
        return [np.zeros(self.n, dtype=np.int64)[rows], self.country[rows], self.surface[rows]]


DOMAINS = (("all", ("all",)), ("country", COUNTRIES), ("surface", SURFACES))


def estimate_rows(days: list[_Day], programme: Programme) -> list[dict[str, Any]]:
    policies = programme.policy_ids()
    pi = np.concatenate([d.pi[d.rows] for d in days])
    pi2 = np.concatenate([d.pi2 for d in days])
    second = np.concatenate([d.second for d in days])
    stratum = np.concatenate([np.full(d.rows.size, i) for i, d in enumerate(days)])
    judged = np.concatenate([d.values(d.judged, d.rows) for d in days])
    human = np.concatenate([d.values(d.human, d.rows) for d in days])
    human[~second] = np.nan
    phases = [
        Phase(pi, fixed_size=True, stratum=stratum),
        Phase(pi2, second, fixed_size=True, stratum=stratum),
    ]
    rows: list[dict[str, Any]] = []
    for axis, (kind, names) in enumerate(DOMAINS):
        domain = np.concatenate([d.domains(d.rows)[axis] for d in days])
        size = len(names)
        n_units = sum(np.bincount(d.domains()[axis], minlength=size) for d in days)
        exposure = sum(
            np.bincount(d.domains()[axis], weights=d.exposure, minlength=size) for d in days
        )
        total = np.stack([n_units, exposure, n_units])[None].repeat(len(policies), 0).reshape(-1)
        both = [domain_columns(v, domain, size) for v in (judged, human)]
        both[1][~second] = np.nan
        two = ladder_estimate(both, phases, denominator_total=total.astype(np.float64))
        one = ladder_estimate(both[:1], phases[:1], denominator_total=total.astype(np.float64))
        spread = {
            "n_judged": np.bincount(domain, minlength=size),
            "n_reviewed": np.bincount(domain[second], minlength=size),
            "n_units": n_units,
        }
        w_max = float((1 / pi).max())
        for method, made in (("two_phase_difference", two), ("judge_only", one)):
            for column in range(total.size):
                policy, rest = divmod(column, 3 * size)
                estimand, d = divmod(rest, size)
                rows.append(
                    {
                        "period_start": days[0].day,
                        "period_end": days[-1].day,
                        "policy": policies[policy],
                        "policy_version": "1",
                        "estimand": ESTIMANDS[estimand],
                        "domain_kind": kind,
                        "domain_value": names[d],
                        "method": method,
                        "headline": method == "two_phase_difference",
                        **_figure(made.cell(column), w_max),
                        **{name: int(v[d]) for name, v in spread.items()},
                    }
                )
    return rows


def _figure(cell: Any, w_max: float) -> dict[str, Any]:
    value, se = max(cell.rate, 0.0), cell.std_error
    if cell.n_positive and value > 0:
        interval = logit_interval(value, se)
        lower, upper, name = interval.lower, interval.upper, "logit"
    else:
        value, lower = 0.0, 0.0
        upper = min(zero_count_limit(0.95) * w_max / cell.denominator, 1.0)
        name = "zero_count_limit"
    return {
        "value": value,
        "std_error": se,
        "lower": lower,
        "upper": upper,
        "level": 0.95,
        "interval": name,
        "status": "rate" if value > 0 else "upper_bound_only",
        "denominator": cell.denominator,
        "n_positive": cell.n_positive,
        "n_effective": value * (1 - value) / se**2 if se > 0 else None,
        "largest_share": 0.05,
        "n_no_label": 0,
        "nonresponse_lower": value,
        "nonresponse_upper": value,
        "design_id": "0f3a" * 8,
        "judge_version": "9c1d" * 8,
    }


def _samples(day: _Day, phase: int) -> pa.Table:
    rows = day.rows if phase == 1 else day.rows[day.second]
    n = rows.size
    second = day.second
    return pa.table(
        {
            "ds": pa.array([day.day] * n, pa.date32()),
            "interaction_id": pa.array(day.ids[rows]),
            "phase": pa.array(np.full(n, phase)),
            "design_id": pa.array(["0f3a" * 8] * n),
            "stratum": pa.array(["all"] * n),
            "cluster": pa.array(day.ids[rows]),
            "prn": pa.array((day.prn if phase == 1 else day.prn2)[rows]),
            "size": pa.array(day.size[rows] if phase == 1 else day.size2[second]),
            "inclusion_prob": pa.array(day.pi[rows] if phase == 1 else day.pi2[second]),
            "control": pa.array(np.zeros(n, dtype=bool)),
            "control_prob": pa.array(np.zeros(n)),
            "exposure": pa.array(day.exposure[rows]),
        }
    ).cast((SAMPLES if phase == 1 else REVIEW_SAMPLES).arrow())


def _labels(day: _Day, phase: int, policies: tuple[str, ...]) -> pa.Table:
    rows = day.rows if phase == 1 else day.rows[day.second]
    verdict = (day.judged if phase == 1 else day.human)[:, rows]
    n = rows.size
    parts = [
        pa.table(
            {
                "ds": pa.array([day.day] * n, pa.date32()),
                "interaction_id": pa.array(day.ids[rows]),
                "subject_kind": pa.array(["interaction"] * n),
                "turn": pa.array(np.zeros(n, dtype=np.int64)),
                "position": pa.array(np.zeros(n, dtype=np.int64)),
                "policy": pa.array([policy] * n),
                "policy_version": pa.array(["1"] * n),
                "verdict": pa.array(np.where(verdict[p] > 0, "violating", "not_violating")),
                "severity": pa.nulls(n, pa.int64()),
                "confidence": pa.nulls(n, pa.float64()),
                "reason": pa.array(["words of a model about the text"] * n),
                "clause": pa.nulls(n, pa.string()),
                "labeler_kind": pa.array(["local_judge" if phase == 1 else "human"] * n),
                "labeler_id": pa.array(["judge" if phase == 1 else "r7"] * n),
                "labeler_version": pa.array(["9c1d" * 8 if phase == 1 else ""] * n),
                "phase": pa.array(np.full(n, phase)),
                "labeled_at": pa.array([1_767_225_600_000_000 + phase] * n, pa.int64()).cast(
                    pa.timestamp("us", tz="UTC")
                ),
            }
        )
        for p, policy in enumerate(policies)
    ]
    return pa.concat_tables(parts).cast((LABELS if phase == 1 else REVIEW_LABELS).arrow())


def _outcomes(day: _Day, phase: int, policies: tuple[str, ...]) -> pa.Table:
    rows = day.rows if phase == 1 else day.rows[day.second]
    values = day.values(day.judged if phase == 1 else day.human, rows)
    n = rows.size
    parts = [
        pa.table(
            {
                "ds": pa.array([day.day] * n, pa.date32()),
                "interaction_id": pa.array(day.ids[rows]),
                "phase": pa.array(np.full(n, phase)),
                "policy": pa.array([policies[column // 3]] * n),
                "estimand": pa.array([ESTIMANDS[column % 3]] * n),
                "value": pa.array(values[:, column]),
                "expected": pa.array(values[:, column]),
                "maximum": pa.array(np.where(column % 3 == 1, day.exposure[rows], 1.0)),
            }
        )
        for column in range(values.shape[1])
    ]
    return pa.concat_tables(parts).cast((OUTCOMES if phase == 1 else REVIEW_OUTCOMES).arrow())


def _frame_totals(day: _Day) -> pa.Table:
    rows = [
        {
            "ds": day.day,
            "stratum": "all",
            "domain_kind": kind,
            "domain_value": name,
            "measure": measure,
            "value": float((x * (codes == d)).sum()),
        }
        for (kind, names), codes in zip(DOMAINS, day.domains(), strict=True)
        for d, name in enumerate(names)
        for measure, x in (("n_units", np.ones(day.n)), ("exposure", day.exposure))
    ]
    return pa.Table.from_pylist(rows, FRAME_TOTALS.arrow())


def _audit(day: _Day) -> pa.Table:
    n = day.n
    aside = {
        "requests": {"internal_traffic": n // 40, "invalid_time": n // 900, "duplicate": 3},
        "responses": {"parent_quarantined": n // 40, "duplicate": n // 300, "orphan": 2},
        "components": {"parent_quarantined": n // 8, "negative_impressions": n // 500},
        "scores": {"invalid_score": n // 700},
    }
    used = {"requests": n, "responses": n, "components": 5 * n, "scores": 2 * n}
    rows = []
    for table, reasons in aside.items():
        measures = {"rows_in": used[table] + sum(reasons.values()), "rows_used": used[table]}
        measures |= {f"quarantined:{reason}": count for reason, count in reasons.items()}
        rows += [
            {"ds": day.day, "source_table": table, "measure": m, "value": v}
            for m, v in measures.items()
        ]
    return pa.Table.from_pylist(rows, AUDIT.arrow())


def _frame(day: _Day, policies: tuple[str, ...]) -> pa.Table:
    columns = {
        "interaction_id": pa.array(day.ids),
        "prn": pa.array(day.prn),
        "exposure": pa.array(day.exposure),
        "stratum": pa.array(["all"] * day.n),
        "country": pa.array(np.array(COUNTRIES)[day.country]),
        "surface": pa.array(np.array(SURFACES)[day.surface]),
    }
    scores = {f"score_{p}": pa.array(day.score[i]) for i, p in enumerate(policies)}
    return pa.table(columns | scores)


def make_world(
    days: int = 3,
    n_units: int = 3000,
    judge_budget: int = 400,
    human_budget: int = 120,
    policies: tuple[str, ...] = ("hate", "violence", "minors"),
    seed: int = 20260101,
) -> World:
    rng = np.random.default_rng(seed)
    text = programme_text(judge_budget, human_budget, policies)
    programme = Programme.model_validate(yaml.safe_load(text))
    made = [_Day(START + timedelta(days=i), n_units, programme, rng) for i in range(days)]
    periods = [made, *([d] for d in made)] if days > 1 else [made]
    rows = [row for period in periods for row in estimate_rows(period, programme)]

    def together(make: Callable[..., pa.Table], *args: Any) -> pa.Table:
        return pa.concat_tables([make(d, *args) for d in made])

    inputs = GateInputs(
        programme=programme,
        start=made[0].day,
        end=made[-1].day,
        estimates=pa.Table.from_pylist(rows, ESTIMATES.arrow()),
        audit=together(_audit),
        frame_totals=together(_frame_totals),
        samples=together(_samples, 1),
        labels=together(_labels, 1, policies),
        outcomes=together(_outcomes, 1, policies),
        review_samples=together(_samples, 2),
        review_labels=together(_labels, 2, policies),
        review_outcomes=together(_outcomes, 2, policies),
    )
    return World(programme, text, inputs, {d.day: _frame(d, policies) for d in made})


@pytest.fixture(scope="session")
def world() -> World:
    return make_world()


@pytest.fixture
def changed(world: World) -> Callable[..., GateInputs]:
    """The world's gate inputs with some tables replaced."""
    return lambda **tables: replace(world.inputs, **tables)
