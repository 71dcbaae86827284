"""What the two phases promise, whatever the scores say."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baserate.engines.keyed_hash import prn_array
from baserate.sampling.frame import Categories, Frame, categories, frame_of
from baserate.sampling.history import (
    Calibrations,
    judge_calibrations,
    prior_calibration,
    read_calibrations,
)
from baserate.sampling.phase1 import SIZE_STEP, allocate, draw_phase1, mixed_size
from baserate.terms.programme import Programme
from baserate.terms.sample_tables import MAX_WEIGHT, SAMPLES
from baserate.terms.sampled_units import sampled_units
from baserate.terms.words import ALL

DAY = date(2026, 3, 1)


def programme(**sampling: object) -> Programme:
    return Programme.model_validate(
        {
            "programme": "trial",
            "salt": "a salt of a test",
            "tables": {"requests": {"path": "r"}, "responses": {"path": "s"}},
            "policies": [
                {"id": "hate", "name": "Hate", "definition": "Hateful content."},
                {"id": "spam", "name": "Spam", "definition": "Spam."},
            ],
            "pivots": ["country"],
            "sampling": {"judge_budget": 200, "human_budget": 0, **sampling},
            "judge": {"kind": "local", "training": "none"},
        }
    )


def prior(chosen: Programme) -> Calibrations:
    cell = prior_calibration(0.01, 20)
    n = len(chosen.estimands)
    return Calibrations("score", ((cell,) * n,) * 2, ((0,) * n,) * 2)


def frame(n: int, seed: int = 0, strata: int = 1) -> Frame:
    rng = np.random.default_rng(seed)
    score = rng.beta(0.5, 8, (2, n))
    score[:, rng.random(n) < 0.1] = np.nan
    ids = [f"unit {i:05d}" for i in range(n)]
    return Frame(
        unit_id=pa.array(ids),
        prn=prn_array(ids, f"salt {seed}"),
        exposure=np.floor(rng.lognormal(1, 1.5, n)),
        score=score,
        stratum=categories(pa.chunked_array([[f"s{i % strata}" for i in range(n)]])),
        domains={"country": categories(pa.chunked_array([["AA", "BB"] * (n // 2)]))},
    )


@pytest.mark.parametrize("design", ["pareto", "sequential_poisson"])
@pytest.mark.parametrize("strata", [1, 3])
def test_a_fixed_size_draw_has_the_budget_and_probabilities_that_add_up(
    design: str, strata: int
) -> None:
    chosen = programme(design=design, judge_budget=150)
    drawn = draw_phase1(frame(2000, strata=strata), prior(chosen), chosen, DAY).samples
    assert len(drawn) == 150
    assert drawn.schema == SAMPLES.arrow()
    estimate = (1 / drawn["inclusion_prob"].to_numpy()).sum()
    assert estimate == pytest.approx(2000, rel=0.35)


def test_a_draw_is_a_function_of_its_inputs_and_not_of_the_order_of_rows() -> None:
    chosen, units = programme(), frame(1000)
    table = pa.table(
        {
            "interaction_id": units.unit_id,
            "prn": units.prn,
            "exposure": units.exposure.astype(np.int64),
            "country": ["AA", "BB"] * 500,
            "score_hate": pa.array(units.score[0], mask=np.isnan(units.score[0])),
            "score_spam": pa.array(units.score[1], mask=np.isnan(units.score[1])),
        }
    )
    shuffled = table.take(np.random.default_rng(1).permutation(1000))
    one = draw_phase1(frame_of(table, chosen), prior(chosen), chosen, DAY)
    two = draw_phase1(frame_of(shuffled, chosen), prior(chosen), chosen, DAY)
    assert one.samples.equals(two.samples)
    assert one.frame_totals.equals(two.frame_totals)


def test_sizes_are_whole_steps_so_that_every_engine_sums_them_alike() -> None:
    chosen = programme()
    size = mixed_size(np.random.default_rng(0).random(500), np.ones(500), chosen)
    assert (size / SIZE_STEP == np.floor(size / SIZE_STEP)).all()
    assert size.min() > 0


def test_the_control_share_bounds_every_weight_however_wrong_the_scores() -> None:
    chosen = programme(control_share=0.25, exposure_share=0.0, design="poisson")
    drawn = draw_phase1(frame(4000), prior(chosen), chosen, DAY)
    bound = 4000 / (0.25 * 200)
    totals = drawn.frame_totals.to_pylist()
    largest = [t["value"] for t in totals if t["measure"] == f"{MAX_WEIGHT}interaction_rate"]
    assert max(largest) <= bound * 1.001
    assert (1 / drawn.samples["inclusion_prob"].to_numpy()).max() <= bound * 1.001


def test_the_control_arm_is_inside_the_sample_and_blind_to_scores() -> None:
    chosen = programme(judge_budget=400, control_share=0.5, design="poisson")
    units = frame(4000)
    drawn = draw_phase1(units, prior(chosen), chosen, DAY).samples
    control = drawn.filter(drawn["control"])
    by_prn_alone = units.unit_id.filter(pa.array(units.prn < 0.5 * 400 / 4000))
    assert set(control["interaction_id"].to_pylist()) == set(by_prn_alone.to_pylist())
    assert control["control_prob"].to_pylist() == [0.05] * len(control)


def test_a_small_frame_is_taken_whole_and_an_empty_one_gives_nothing() -> None:
    chosen = programme(judge_budget=200)
    whole = draw_phase1(frame(50), prior(chosen), chosen, DAY).samples
    assert whole["inclusion_prob"].to_pylist() == [1.0] * 50
    nothing = draw_phase1(frame(0), prior(chosen), chosen, DAY)
    assert len(nothing.samples) == 0
    assert len(nothing.frame_totals) == 0


def test_frame_totals_add_up_over_strata_and_pivots() -> None:
    chosen, units = programme(), frame(1200, strata=4)
    rows = draw_phase1(units, prior(chosen), chosen, DAY).frame_totals.to_pylist()
    for kind in (ALL, "country"):
        of_kind = [r for r in rows if r["domain_kind"] == kind]
        n_units = sum(r["value"] for r in of_kind if r["measure"] == "n_units")
        exposure = sum(r["value"] for r in of_kind if r["measure"] == "exposure")
        missing = sum(r["value"] for r in of_kind if r["measure"] == "n_missing_score:hate")
        assert n_units == 1200
        assert exposure == units.exposure.sum()
        assert missing == np.isnan(units.score[0]).sum()


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 400), min_size=1, max_size=8),
    share=st.floats(0.01, 1.0),
    seed=st.integers(0, 2**31),
)
def test_strata_share_the_budget_within_their_means(
    counts: list[int], share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(counts)), counts)
    size = rng.lognormal(0, 2, codes.size)
    n = max(1, int(share * codes.size))
    given_out = allocate(size, Categories(tuple(map(str, range(len(counts)))), codes), n)
    least = [min(2, c) for c in counts]
    assert all(lo <= g <= c for lo, g, c in zip(least, given_out, counts, strict=True))
    assert sum(given_out) == max(n, sum(least))


def test_calibrations_survive_their_table() -> None:
    chosen = programme()
    none = sampled_units([], chosen.policy_ids(), [str(e) for e in chosen.estimands])
    before = judge_calibrations(none, chosen)
    table = before.table(DAY, chosen)
    after = read_calibrations(table, "judge", chosen)
    score = np.tile(np.linspace(0, 1, 50), (2, 1))
    assert np.array_equal(before.predict(score)[0], after.predict(score)[0])
    assert table["n_labels"].to_pylist() == [0] * 6
