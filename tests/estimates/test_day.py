"""One day's estimates, from a frame with known truth, through the draw of both phases."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from baserate.estimates.cells import Cell, CellKey, add_days
from baserate.estimates.day import DayInputs, day_cells
from baserate.estimates.table import Provenance, estimates_table, rate_interval
from baserate.sampling.frame import Frame, categories
from baserate.sampling.history import (
    Calibrations,
    judge_calibrations,
    prior_calibration,
    score_calibrations,
)
from baserate.sampling.phase1 import draw_phase1, maxima, model_numerators
from baserate.sampling.phase2 import draw_phase2
from baserate.terms.our_tables import ESTIMATES
from baserate.terms.programme import Estimation, Programme
from baserate.terms.sampled_units import DayTables, SampledUnits, sampled_units
from baserate.terms.words import ALL

DAY = date(2026, 1, 5)
N = 8_000
PROGRAMME = Programme.model_validate(
    {
        "programme": "trial",
        "salt": "a salt of a test",
        "tables": {"requests": {"path": "requests"}, "responses": {"path": "responses"}},
        "policies": [{"id": "hate", "name": "Hate", "definition": "Hateful content."}],
        "pivots": ["country"],
        "sampling": {"judge_budget": 600, "human_budget": 200, "human_floor": 0.3},
        "judge": {"kind": "local", "training": "none"},
        "reviews": {"kind": "files", "path": "none"},
    }
)
E = len(PROGRAMME.estimands)


class World:
    """A day of N units with a score, a fallible judge and the truth, all seeded."""

    def __init__(self, seed: int, rate: float = 0.02) -> None:
        rng = np.random.default_rng(seed)
        exposure = np.floor(rng.lognormal(1.0, 1.2, N))
        violating = rng.random(N) < rate
        score = np.where(violating, rng.beta(3, 3, N), rng.beta(0.6, 12, N))
        confidence = np.where(violating, rng.beta(4, 2, N), rng.beta(1, 6, N))
        self.truth = np.stack([violating, violating * exposure, violating]).astype(float)
        self.confidence = confidence
        self.country = rng.choice(["AA", "BB", "CC"], N, p=[0.6, 0.3, 0.1])
        self.ids = np.array([f"u{i:06d}" for i in range(N)])
        self.exposure, self.score = exposure, score

    def frame(self, rng: np.random.Generator) -> Frame:
        return Frame(
            unit_id=pa.array(self.ids.tolist()),
            prn=rng.random(N),
            exposure=self.exposure,
            score=self.score[None, :],
            stratum=categories(pa.chunked_array([[ALL] * N])),
            domains={"country": categories(pa.chunked_array([self.country.tolist()]))},
        )

    def measure(self, rng: np.random.Generator, score_cal: Calibrations, judge_cal: Calibrations):
        """Draw both phases with the calibrations given, label, and estimate."""
        frame = self.frame(rng)
        phase1 = draw_phase1(frame, score_cal, PROGRAMME, DAY)
        units = self.units(phase1.samples, None)
        at = np.searchsorted(self.ids, units.unit_id)
        phase2 = draw_phase2(units, rng.random(len(units)), judge_cal, PROGRAMME, DAY)
        units = self.units(phase1.samples, phase2)
        model, *_ = model_numerators(frame, score_cal, PROGRAMME)
        q, var_q = judge_cal.predict(units.confidence)
        inputs = DayInputs(
            units=units,
            domain_words={"country": self.country[at].tolist()},
            frame_totals=phase1.frame_totals,
            model=model[:, :, at],
            judge=q * units.maximum,
            judge_variance=(q * (1 - q) + var_q) * units.maximum**2,
        )
        return units, day_cells(inputs, PROGRAMME)

    def units(self, samples: pa.Table, review_samples: pa.Table | None) -> SampledUnits:
        """Phase-1 units with the judge's verdicts and, where reviewed, the truth."""
        ids = samples.sort_by("interaction_id")["interaction_id"].to_pylist()
        at = np.searchsorted(self.ids, ids)
        maximum = maxima(self.exposure[at], PROGRAMME)
        tables = [_outcomes(ids, 1, self.confidence[at] > 0.5, self.confidence[at], maximum)]
        if review_samples is not None:
            reviewed = np.isin(ids, review_samples["interaction_id"].to_pylist())
            some = [i for i, r in zip(ids, reviewed, strict=True) if r]
            truth = self.truth[:, at][:, reviewed]
            tables.append(_outcomes(some, 2, truth[0], truth[0], maximum[:, reviewed]))
        day = DayTables(
            str(DAY), samples, tables[0], review_samples, tables[1] if len(tables) > 1 else None
        )
        return sampled_units([day], PROGRAMME.policy_ids(), [str(e) for e in PROGRAMME.estimands])


def _outcomes(ids, phase, violating, expected, maximum) -> pa.Table:  # type: ignore[no-untyped-def]
    rows = []
    for e, estimand in enumerate(PROGRAMME.estimands):
        for i, unit in enumerate(ids):
            rows.append(
                {
                    "interaction_id": unit,
                    "policy": "hate",
                    "estimand": str(estimand),
                    "value": float(violating[i]) * maximum[e, i],
                    "expected": float(expected[i]) * maximum[e, i],
                    "maximum": maximum[e, i],
                }
            )
    return pa.Table.from_pylist(rows)


def _prior(role: str) -> Calibrations:
    return Calibrations(role, ((prior_calibration(0.01, 20),) * E,), ((0,) * E,))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def learned() -> tuple[World, Calibrations, Calibrations]:
    """A world and calibrations learned from a day before it."""
    world, rng = World(1), np.random.default_rng(7)
    units, _ = world.measure(rng, _prior("score"), _prior("judge"))
    judge = judge_calibrations(units, PROGRAMME)
    at = np.searchsorted(world.ids, units.unit_id)
    return World(2), score_calibrations(units, world.score[None, at], judge, PROGRAMME), judge


@pytest.mark.slow
def test_estimates_average_to_the_truth_and_intervals_cover(learned) -> None:  # type: ignore[no-untyped-def]
    world, score_cal, judge_cal = learned
    rng = np.random.default_rng(11)
    runs = 200
    truth = dict(zip(map(str, PROGRAMME.estimands), world.truth.sum(axis=1), strict=True))
    totals: dict[tuple[str, str], list[float]] = {}
    covered: dict[tuple[str, str], int] = {}
    variances: dict[tuple[str, str], list[float]] = {}
    for _ in range(runs):
        _, cells = world.measure(rng, score_cal, judge_cal)
        for (_, estimand, kind, _, method), cell in cells.items():
            if kind == ALL:
                key = (estimand, method)
                totals.setdefault(key, []).append(cell.total)
                variances.setdefault(key, []).append(cell.variance)
                interval = rate_interval(cell, PROGRAMME)
                hit = interval.lower <= truth[estimand] / cell.denominator <= interval.upper
                covered[key] = covered.get(key, 0) + hit
    for (estimand, method), values in totals.items():
        mean, sd = np.mean(values), np.std(values)
        if method == "judge_only":
            continue
        assert abs(mean - truth[estimand]) < 4 * sd / np.sqrt(runs), (estimand, method)
        assert 0.6 < np.mean(variances[estimand, method]) / sd**2 < 1.6, (estimand, method)
        assert covered[estimand, method] >= 0.90 * runs, (estimand, method, covered)
    for estimand, total in truth.items():
        spread = {m: np.std(totals[estimand, m]) for m in ("human_only", "two_phase_difference")}
        assert spread["two_phase_difference"] < spread["human_only"], estimand
        bias = abs(np.mean(totals[estimand, "judge_only"]) / total - 1)
        assert bias > 0.05, "this judge errs; a judge alone must show it"


def test_domains_add_up_to_the_whole(learned) -> None:  # type: ignore[no-untyped-def]
    world, score_cal, judge_cal = learned
    _, cells = world.measure(np.random.default_rng(3), score_cal, judge_cal)
    for key, cell in cells.items():
        if key.domain_kind != ALL:
            continue
        parts = [
            cells[key._replace(domain_kind="country", domain_value=c)] for c in ("AA", "BB", "CC")
        ]
        assert sum(p.total for p in parts) == pytest.approx(cell.total, rel=1e-9, abs=1e-9)
        assert sum(p.denominator for p in parts) == pytest.approx(cell.denominator)
        assert sum(p.n_reviewed for p in parts) == cell.n_reviewed


def test_days_add_up_and_the_table_has_its_shape(learned) -> None:  # type: ignore[no-untyped-def]
    world, score_cal, judge_cal = learned
    rng = np.random.default_rng(5)
    days = [world.measure(rng, score_cal, judge_cal)[1] for _ in range(3)]
    period = add_days([*days, {}])
    key = CellKey("hate", "interaction_rate", ALL, ALL, "two_phase_difference")
    assert period[key].total == pytest.approx(sum(d[key].total for d in days))
    assert period[key].days == 3
    table = estimates_table(period, DAY, DAY, PROGRAMME, Provenance("d", "j"))
    assert table.schema == ESTIMATES.arrow()
    for row in table.to_pylist():
        assert 0 <= row["lower"] <= row["upper"] <= 1
        assert row["lower"] <= row["value"] <= row["upper"] or row["status"] != "rate"
        assert row["headline"] == (row["method"] == "two_phase_difference")
        assert row["nonresponse_lower"] <= row["value"] <= row["nonresponse_upper"]


def test_no_positive_gives_an_upper_limit_only() -> None:
    world = World(4, rate=0.0)
    _, cells = world.measure(np.random.default_rng(5), _prior("score"), _prior("judge"))
    table = estimates_table(cells, DAY, DAY, PROGRAMME, Provenance("d", "j"))
    rows = [r for r in table.to_pylist() if r["method"] != "judge_only"]
    assert rows
    for row in rows:
        assert row["status"] == "upper_bound_only"
        assert row["lower"] == 0
        assert 0 < row["upper"] <= 1
        assert row["interval"] == "zero_positives"


def _cell(**changes: float) -> Cell:
    numbers = {
        "total": 500.0,
        "variance": 2500.0,
        "denominator": 100_000.0,
        "model_total": 480.0,
        "model_variance": 3000.0,
        "largest_weight": 200.0,
        "control_units": 400.0,
        "largest_square": 100.0,
        "n_units": 100_000,
        "n_judged": 2000,
        "n_reviewed": 300,
        "n_positive": 40,
        "n_no_label": 0,
        "missing_total": 0.0,
        "missing_maximum": 0.0,
    }
    return Cell(**(numbers | changes))


def _with(**estimation: object) -> Programme:
    return PROGRAMME.model_copy(update={"estimation": Estimation(**estimation)})


def test_a_declared_blind_spot_that_the_control_arm_cannot_see_guards_the_interval() -> None:
    plain = rate_interval(_cell(), PROGRAMME)
    guarded = rate_interval(_cell(), _with(blind_share=0.25))
    assert (plain.method, guarded.method) == ("anticipated_gamma", "guarded_gamma")
    assert guarded.lower == plain.lower
    assert guarded.upper > plain.upper
    named = rate_interval(_cell(), _with(blind_share=0.25, interval="logit"))
    assert named.method == "logit, not defended against a blind spot"


def test_a_control_arm_that_expects_three_of_the_blind_spot_needs_no_guard() -> None:
    seeing = _cell(control_units=3.0 / (0.25 * 0.005) + 1)
    assert rate_interval(seeing, _with(blind_share=0.25)).method == "anticipated_gamma"
    assert rate_interval(seeing, _with(blind_share=0.25, interval="wilson")).method == "wilson"


def test_a_domain_of_which_the_model_expects_nothing_still_has_an_interval() -> None:
    unknown = rate_interval(_cell(model_total=0.0, model_variance=0.0), PROGRAMME)
    assert unknown.method == "logit"
    assert 0 < unknown.lower < 0.005 < unknown.upper < 1
