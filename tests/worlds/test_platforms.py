"""Known-truth platforms: what the dials say is what the arrays hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import beta, multivariate_normal, norm, spearmanr

from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.records import build_records
from baserate.terms.errors import DesignError
from baserate.terms.logging_tables import LOGGING_TABLES
from baserate.terms.programme import Programme
from baserate.worlds.platforms import (
    SCORE_QUALITIES,
    Clusters,
    Components,
    Drift,
    Exposure,
    JudgeErrors,
    Labeler,
    Platform,
    PlatformSpec,
    Scores,
    build_platform,
    write_logs,
)

FULL = PlatformSpec(
    units=60_000,
    seed=3,
    days=6,
    prevalence=(0.05, 0.02),
    policy_correlation=0.3,
    clusters=Clusters(users=2_000),
    components=Components(),
    drift=Drift(from_day=4, factor=3.0, policies=(1,)),
    labelers=(Labeler(), Labeler(0.6, 0.9)),
)
ARRAYS = (
    "day user session exposure violating score latent_score blind judged".split()  # noqa: SIM905
)


@pytest.fixture(scope="module")
def full() -> Platform:
    return build_platform(FULL)


def platform(**dials: object) -> Platform:
    return build_platform(replace(PlatformSpec(units=50_000, prevalence=(0.02,)), **dials))


def within(share: float, expected: float, n: float, errors: float = 4.0) -> bool:
    """Two-sided: within so many binomial errors."""
    return abs(share - expected) <= errors * np.sqrt(expected * (1.0 - expected) / n)


def test_the_same_dials_give_the_same_arrays_and_another_seed_gives_others(full: Platform) -> None:
    again, other = build_platform(FULL), build_platform(replace(FULL, seed=4))
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(again, name), getattr(full, name))
    assert (other.violating != full.violating).any()
    assert (other.exposure != full.exposure).any()


def test_turning_a_dial_leaves_what_other_dials_govern_as_it_was() -> None:
    plain = platform()
    for turned, kept in (
        (platform(scores=Scores("scrambled")), ("exposure", "violating", "judged")),
        (platform(exposure=Exposure(0.0, 0.5)), ("violating", "score", "judged")),
        (platform(judge=JudgeErrors((), (0.1,), (), (0.5,))), ("violating", "score", "exposure")),
        (platform(clusters=Clusters(1_000, 1.0, 2.0, 0.0, 0.0)), ("violating", "score")),
    ):
        for name in kept:
            np.testing.assert_array_equal(getattr(turned, name), getattr(plain, name))


def test_no_array_can_be_written_to(full: Platform) -> None:
    assert full.components is not None
    for array in [getattr(full, name) for name in ARRAYS] + list(full.components):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize("prevalence", [0.5, 0.01, 0.001])
def test_prevalence_is_the_dial(prevalence: float) -> None:
    made = platform(prevalence=(prevalence,), units=200_000)
    assert within(float(made.violating.mean()), prevalence, made.units)


def test_clusters_and_correlations_leave_the_marginals_alone() -> None:
    dials = Clusters(users=20_000, user_correlation=0.1, session_correlation=0.1)
    made = platform(prevalence=(0.1, 0.05), policy_correlation=0.5, clusters=dials, units=200_000)
    assert made.violating.mean(axis=0) == pytest.approx([0.1, 0.05], rel=0.05)


def test_correlated_policies_violate_together_more_often_than_chance() -> None:
    apart = platform(prevalence=(0.05, 0.05)).violating.all(axis=1).mean()
    together = platform(prevalence=(0.05, 0.05), policy_correlation=0.7).violating.all(axis=1)
    assert within(float(apart), 0.0025, 50_000)
    corner = multivariate_normal(cov=[[1.0, 0.7], [0.7, 1.0]]).cdf([norm.ppf(0.05)] * 2)
    assert within(float(together.mean()), float(corner), 50_000)


def test_users_and_sessions_are_alike_inside_and_sessions_stay_in_a_day(full: Platform) -> None:
    starts = np.flatnonzero(np.diff(full.session, prepend=-1))
    assert {*np.diff(full.session)} == {0, 1}
    for name in ("day", "user"):
        values = getattr(full, name)
        np.testing.assert_array_equal(values, values[starts][full.session])
    alike = platform(clusters=Clusters(2_000, 0.0, 3.0, 0.3, 0.3))
    y, same = alike.violating[:, 0], np.diff(alike.session) == 0
    pairs = y[1:][same] & y[:-1][same]
    assert pairs.mean() > 5 * 0.02**2
    single = platform(clusters=Clusters(2_000, 0.0, 3.0, 0.0, 0.0))
    y, same = single.violating[:, 0], np.diff(single.session) == 0
    assert within(float((y[1:][same] & y[:-1][same]).mean()), 0.02**2, float(same.sum()))


def test_session_length_and_activity_are_the_dials() -> None:
    made = platform(clusters=Clusters(500, 1.5, 4.0, 0.0, 0.0))
    assert made.units / (made.session[-1] + 1) == pytest.approx(4.0, rel=0.05)
    visits = np.sort(np.bincount(made.user, minlength=500))
    assert visits[-50:].sum() > 0.4 * made.units


def test_drift_changes_the_named_policy_from_the_named_day(full: Platform) -> None:
    daily = np.array([full.violating[full.day == d].mean(axis=0) for d in range(6)])
    assert daily[4:, 1].mean() / daily[:4, 1].mean() == pytest.approx(3.0, rel=0.25)
    assert daily[4:, 0].mean() / daily[:4, 0].mean() == pytest.approx(1.0, rel=0.2)


def test_exposure_is_the_heavy_tail_of_the_stand_in() -> None:
    log = np.log(platform().exposure)
    assert log.mean() == pytest.approx(1.0, abs=0.03)
    assert log.std() == pytest.approx(1.5, abs=0.03)


def test_scores_follow_the_stand_in_densities() -> None:
    made = platform(prevalence=(0.3,))
    y, score = made.violating[:, 0], made.score[:, 0]
    for group, law in ((y, beta(3, 3)), (~y, beta(0.6, 12))):
        for q in (0.1, 0.5, 0.9):
            assert within(float((score[group] < law.ppf(q)).mean()), q, float(group.sum()))


def test_a_perfect_reader_of_any_score_is_calibrated() -> None:
    for quality in SCORE_QUALITIES:
        made = platform(prevalence=(0.1,), scores=Scores(quality), units=200_000)
        prob, y = made.violation_prob()[:, 0], made.violating[:, 0]
        cuts = np.quantile(prob, [0.5, 0.9, 0.97])
        for part in range(4):
            rows = np.searchsorted(cuts, prob) == part
            if rows.sum() < 500:
                continue
            expected = float(prob[rows].mean())
            assert within(float(y[rows].mean()), expected, float(rows.sum())), (quality, part)


def test_score_qualities_are_what_they_are_called() -> None:
    made = {q: platform(prevalence=(0.1,), scores=Scores(q)) for q in SCORE_QUALITIES}
    good = made["good"]
    moved = made["miscalibrated"].score
    np.testing.assert_allclose(moved, good.score**1.7)
    np.testing.assert_array_equal(np.sort(made["scrambled"].score[:, 0]), np.sort(good.score[:, 0]))
    assert abs(spearmanr(made["scrambled"].score, made["scrambled"].violating)[0]) < 0.02
    gone = np.isnan(made["missing"].score)
    assert within(float(gone.mean()), 0.1, good.units)
    np.testing.assert_array_equal(made["missing"].score[~gone], good.score[~gone])
    blind = made["blind_spot"].blind
    assert within(float(blind[good.violating].mean()), 0.25, float(good.violating.sum()))
    assert not (blind & ~good.violating).any()
    assert np.median(made["blind_spot"].score[blind]) < 0.1


def test_the_judge_errs_as_the_score_says() -> None:
    made = platform(prevalence=(0.2,), units=400_000)
    y, s, z = made.violating[:, 0], made.score[:, 0], made.judged[:, 0]
    for rows, rate in (
        (~y & (s < 0.05), 0.0005),
        (~y & (s > 0.05) & (s < 0.2), 0.004),
        (~y & (s > 0.2), 0.03),
        (y & (s <= 0.3), 0.70),
        (y & (s > 0.3), 0.95),
    ):
        assert within(float(z[rows].mean()), rate, float(rows.sum()))


def test_a_labeler_errs_at_the_stated_rates_and_says_the_same_when_asked_again(
    full: Platform,
) -> None:
    for number, who in enumerate(FULL.labelers):
        said = full.labels(number)
        np.testing.assert_array_equal(said, full.labels(number))
        yes, no = said[full.violating], said[~full.violating]
        assert within(float(yes.mean()), who.sensitivity, yes.size)
        assert within(float(no.mean()), 1.0 - who.specificity, no.size)
    with pytest.raises(DesignError, match="no such labeler"):
        full.labels(2)


def test_the_whole_is_its_components_plus_the_emergent_less_the_resolved(full: Platform) -> None:
    counts = {
        name: full.outcome(name).y  # type: ignore[arg-type]
        for name in ("interaction_rate", "any_component_rate", "emergent_rate", "resolved_rate")
    }
    np.testing.assert_array_equal(
        counts["interaction_rate"],
        counts["any_component_rate"] + counts["emergent_rate"] - counts["resolved_rate"],
    )
    yes = float(full.violating.sum())
    assert within(counts["emergent_rate"].sum() / yes, 0.1, yes)
    assert counts["resolved_rate"].sum() / yes == pytest.approx(0.05, rel=0.3)


def test_pins_add_up_to_their_interactions(full: Platform) -> None:
    parts = full.components
    assert parts is not None
    assert parts.pin_impressions.min() >= 1
    per_unit = np.bincount(parts.pin_of, weights=parts.pin_impressions)
    np.testing.assert_array_equal(per_unit, full.exposure)
    assert parts.pin_of.size / full.units == pytest.approx(5.0, rel=0.02)
    exposed = full.outcome("exposure_rate")
    assert (exposed.y <= exposed.x[:, None]).all()
    direct = (parts.pin_violating * parts.pin_impressions[:, None]).sum(axis=0)
    np.testing.assert_allclose(exposed.rate(), direct / parts.pin_impressions.sum(), rtol=1e-12)


def test_without_components_the_exposure_rate_is_that_of_whole_interactions() -> None:
    made = platform()
    y, _ = made.outcome("exposure_rate")
    np.testing.assert_array_equal(y[:, 0], made.exposure * made.violating[:, 0])
    assert made.outcome("interaction_rate").rate()[0] == made.violating.mean()
    with pytest.raises(DesignError, match="counts components"):
        made.outcome("emergent_rate")


@pytest.mark.parametrize(
    "dials",
    [
        {"units": 0},
        {"days": 0},
        {"prevalence": ()},
        {"prevalence": (0.0,)},
        {"policy_correlation": 1.0},
        {"policy_correlation": -0.1},
        {"policy_correlation": 0.7, "clusters": Clusters(user_correlation=0.3)},
        {"scores": Scores("unheard of")},  # type: ignore[arg-type]
        {"scores": Scores("missing", missing_share=1.0)},
        {"scores": Scores(harm=(0.0, 1.0))},
        {"judge": JudgeErrors(recall=(0.5,))},
        {"judge": JudgeErrors(false_positive_edges=(0.2, 0.1))},
        {"labelers": (Labeler(1.1),)},
        {"exposure": Exposure(0.0, -1.0)},
        {"clusters": Clusters(session_length=0.5)},
        {"components": Components(emergent_share=1.5)},
        {"drift": Drift(from_day=1, factor=2.0)},
        {"drift": Drift(from_day=0, factor=100.0)},
    ],
)
def test_a_dial_outside_its_range_is_refused_by_name(dials: dict[str, object]) -> None:
    with pytest.raises(DesignError, match="platform cannot be made"):
        platform(**dials)


LOGGED = PlatformSpec(
    units=1_200,
    days=2,
    prevalence=(0.05, 0.02),
    scores=Scores("missing"),
    clusters=Clusters(users=200),
    components=Components(pins=3.0),
)
START = date(2026, 1, 5)


def programme() -> Programme:
    paths = {t: f"{t}/ds={{ds}}/*.parquet" for t in LOGGING_TABLES} | {"users": "users/*.parquet"}
    return Programme.model_validate(
        {
            "programme": "platform",
            "salt": "a-salt-of-tests",
            "tables": {name: {"path": path, "columns": {}} for name, path in paths.items()},
            "records": {"late_days": 0},
            "policies": [{"id": p, "name": p, "definition": "made up"} for p in ("p0", "p1")],
            "sampling": {"human_budget": 0},
            "judge": {"kind": "local", "training": "none.parquet"},
        }
    )


def test_logs_become_the_interactions_that_the_platform_has(tmp_path: Path) -> None:
    made = build_platform(LOGGED)
    written = write_logs(made, tmp_path, START)
    assert written["requests"] == written["responses"] == made.units
    assert written["scores"] == (~np.isnan(made.score)).sum()
    with DuckDBEngine(memory_limit="500MB", threads=1, temp_directory=tmp_path / "t") as engine:
        for day in range(2):
            built = build_records(engine, programme(), tmp_path, START + timedelta(days=day))
            table = built.interactions.to_pyarrow().sort_by("interaction_id").to_pylist()
            mine = made.day == day
            assert len(table) == mine.sum()
            assert [row["exposure"] for row in table] == made.exposure[mine].tolist()
            scores = np.array([[row["score_p0"], row["score_p1"]] for row in table], dtype=float)
            np.testing.assert_array_equal(scores, made.score[mine])
            assert built.quarantine.count().to_pyarrow().as_py() == 0


def test_the_census_beside_the_logs_is_the_truth(tmp_path: Path) -> None:
    made = build_platform(LOGGED)
    write_logs(made, tmp_path, START)
    truth = pq.read_table(tmp_path / "truth.parquet").to_pylist()
    assert len(truth) == 2 * 2 * 3
    for estimand in ("interaction_rate", "exposure_rate", "any_component_rate"):
        lines = [r for r in truth if r["estimand"] == estimand and r["policy"] == "p1"]
        whole = sum(r["numerator"] for r in lines) / sum(r["denominator"] for r in lines)
        assert whole == pytest.approx(made.outcome(estimand).rate()[1], rel=1e-12)
    again = tmp_path / "again"
    write_logs(made, again, START)
    for path in again.rglob("*.parquet"):
        assert path.read_bytes() == (tmp_path / path.relative_to(again)).read_bytes()


def test_a_platform_without_components_has_no_logs(tmp_path: Path) -> None:
    with pytest.raises(DesignError, match="with components"):
        write_logs(platform(), tmp_path)
