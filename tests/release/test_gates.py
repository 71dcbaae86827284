"""No figure is released that its evidence does not carry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from baserate.release.day_gates import (
    every_sampled_unit_is_labelled_or_accounted_for,
    frame_is_complete,
    horvitz_thompson_total,
    ht_totals_agree_with_frame_totals,
)
from baserate.release.gate_inputs import GateInputs
from baserate.release.gates import GATE_NAMES, decide, require_a_figure, run_gates
from baserate.release.results import FIGURE, GateResult, Scope, gates_from_table, gates_table
from baserate.terms.errors import ReleaseHeld

Changed = Callable[..., GateInputs]


def with_rows(table: pa.Table, change: Callable[[dict[str, Any]], dict[str, Any]]) -> pa.Table:
    rows = [change(dict(row)) for row in table.to_pylist()]
    return pa.Table.from_pylist(rows, schema=table.schema)


def on_audit(inputs: GateInputs, table: str, measure: str, value: int, day: int) -> pa.Table:
    row = {
        "ds": date(2026, 1, day),
        "source_table": table,
        "measure": measure,
        "value": value,
    }
    kept = [
        r
        for r in inputs.audit.to_pylist()
        if (r["ds"], r["source_table"], r["measure"]) != (row["ds"], table, measure)
    ]
    return pa.Table.from_pylist([*kept, row], schema=inputs.audit.schema)


def decision_of(decisions: pa.Table, **key: Any) -> dict[str, Any]:
    whole = {"period_start": date(2026, 1, 1), "period_end": date(2026, 1, 3)}
    wanted = {**whole, "domain_kind": "all", "domain_value": "all", **key}
    (row,) = [r for r in decisions.to_pylist() if wanted.items() <= r.items()]
    return row


def test_a_sound_measurement_releases_rates_and_bounds(world: Any) -> None:
    results = run_gates(world.inputs)
    decisions = decide(world.inputs, results)
    assert {r.name for r in results} == set(GATE_NAMES)
    assert decision_of(decisions, policy="hate", estimand="interaction_rate")["decision"] == "rate"
    bound = decision_of(decisions, policy="minors", estimand="interaction_rate")
    assert (bound["decision"], bound["gate"]) == (
        "upper_bound_only",
        "enough_positives_or_an_upper_bound_only",
    )
    assert len(decisions) == len(world.inputs.figures)
    require_a_figure(world.inputs, decisions)


def test_results_survive_the_table_they_are_kept_in(world: Any) -> None:
    results = run_gates(world.inputs)[:40]
    again = gates_from_table(gates_table(results))
    assert again == results


class TestFrame:
    def test_internal_and_test_traffic_is_no_fault(self, world: Any, changed: Changed) -> None:
        audit = on_audit(world.inputs, "requests", "quarantined:internal_traffic", 3000, 2)
        audit = with_rows(
            audit,
            lambda r: r | {"value": r["value"] + 3000 - 75} if _is(r, 2, "rows_in") else r,
        )
        result = frame_is_complete(changed(audit=audit), world.inputs.whole)
        assert result.status == "passed", result.sentence

    def test_faulty_rows_hold_the_day_and_every_period_with_it(
        self, world: Any, changed: Changed
    ) -> None:
        audit = on_audit(world.inputs, "requests", "quarantined:invalid_time", 303, 2)
        audit = with_rows(
            audit, lambda r: r | {"value": r["value"] + 300} if _is(r, 2, "rows_in") else r
        )
        inputs = changed(audit=audit)
        results = [frame_is_complete(inputs, period) for period in inputs.periods]
        assert [r.status for r in results] == ["held", "passed", "held", "passed"]
        assert "requests, 2 January 2026" in results[0].sentence
        assert results[0].found == pytest.approx((303 + 3) / _rows_in(audit, 2))

    def test_a_row_that_is_neither_used_nor_quarantined_holds(
        self, world: Any, changed: Changed
    ) -> None:
        audit = with_rows(
            world.inputs.audit,
            lambda r: r | {"value": r["value"] + 1} if _is(r, 3, "rows_in") else r,
        )
        result = frame_is_complete(changed(audit=audit), world.inputs.whole)
        assert (result.status, result.found, result.unit) == ("held", 1, "rows")

    def test_a_day_without_interactions_holds(self, world: Any, changed: Changed) -> None:
        totals = world.inputs.frame_totals
        kept = totals.filter(pc.not_equal(totals["ds"], pa.scalar(date(2026, 1, 2))))
        result = frame_is_complete(changed(frame_totals=kept), world.inputs.whole)
        assert (result.status, result.found) == ("held", 1)
        assert "2 January 2026" in result.sentence

    def test_a_day_without_an_audit_holds(self, world: Any, changed: Changed) -> None:
        audit = world.inputs.audit
        kept = audit.filter(pc.not_equal(audit["ds"], pa.scalar(date(2026, 1, 1))))
        result = frame_is_complete(changed(audit=kept), world.inputs.whole)
        assert (result.status, result.found, result.unit) == ("held", 1, "days")

    def test_an_empty_day_names_itself_and_both_ways_out(
        self, world: Any, changed: Changed
    ) -> None:
        sentence = frame_is_complete(_emptied(world, changed, 2), world.inputs.whole).sentence
        assert "The logs hold no requests of 2 January 2026 (1 of 3 days)" in sentence
        assert "Have its logs written" in sentence
        assert "`--from 2026-01-01 --to 2026-01-01` or `--from 2026-01-03 --to" in sentence

    def test_only_periods_with_the_empty_day_are_held(self, world: Any, changed: Changed) -> None:
        inputs = _emptied(world, changed, 2)
        held = {p for p in inputs.periods if frame_is_complete(inputs, p).status == "held"}
        assert held == {p for p in inputs.periods if date(2026, 1, 2) in p.days()}
        assert len(held) < len(inputs.periods)

    def test_a_day_of_which_only_late_rows_came_is_no_day(
        self, world: Any, changed: Changed
    ) -> None:
        used = next(r["value"] for r in world.inputs.audit.to_pylist() if _is(r, 2, "rows_used"))
        almost = on_audit(world.inputs, "requests", "late", used - 1, 2)
        assert frame_is_complete(changed(audit=almost), world.inputs.whole).status == "passed"
        late = on_audit(world.inputs, "requests", "late", used, 2)
        result = frame_is_complete(changed(audit=late), world.inputs.whole)
        assert result.status == "held"
        assert "The logs of 2 January 2026 (1 of 3 days) hold no requests but" in result.sentence

    def test_a_site_that_logs_every_day_late_is_not_held_for_it(
        self, world: Any, changed: Changed
    ) -> None:
        def all_late(r: dict[str, Any]) -> dict[str, Any]:
            return r | {"measure": "late"} if r["measure"] == "rows_used" else r

        audit = pa.concat_tables([world.inputs.audit, with_rows(world.inputs.audit, all_late)])
        late = audit.filter(pc.is_in(audit["measure"], pa.array(["late"])))
        rest = world.inputs.audit.filter(pc.not_equal(world.inputs.audit["measure"], "late"))
        inputs = changed(audit=pa.concat_tables([rest, late]))
        assert not inputs.some_logs_are_in_time
        assert frame_is_complete(inputs, inputs.whole).status == "passed"


def _emptied(world: Any, changed: Changed, day: int) -> GateInputs:
    """The world with a day whose logs hold nothing."""
    audit, totals = world.inputs.audit, world.inputs.frame_totals
    on = pa.scalar(date(2026, 1, day))
    return changed(
        audit=with_rows(audit, lambda r: r | {"value": 0} if r["ds"].day == day else r),
        frame_totals=totals.filter(pc.not_equal(totals["ds"], on)),
    )


def _is(row: dict[str, Any], day: int, measure: str) -> bool:
    return (row["ds"].day, row["source_table"], row["measure"]) == (day, "requests", measure)


def _rows_in(audit: pa.Table, day: int) -> int:
    (row,) = [r for r in audit.to_pylist() if _is(r, day, "rows_in")]
    return int(row["value"])


class TestLabels:
    def results(self, inputs: GateInputs) -> dict[tuple[str | None, str | None], GateResult]:
        found = every_sampled_unit_is_labelled_or_accounted_for(inputs, inputs.whole)
        return {(r.scope.policy, r.scope.estimand): r for r in found}

    def test_a_unit_without_any_row_holds_its_policy_alone(
        self, world: Any, changed: Changed
    ) -> None:
        labels = world.inputs.labels
        first = labels["interaction_id"][0]
        lost = pc.and_(
            pc.equal(labels["interaction_id"], first), pc.equal(labels["policy"], "hate")
        )
        results = self.results(changed(labels=labels.filter(pc.invert(lost))))
        held = results["hate", "interaction_rate"]
        assert (held.status, held.found, held.unit) == ("held", 1, "units")
        assert results["violence", "interaction_rate"].status == "passed"

    def test_a_review_that_is_still_out_holds(self, world: Any, changed: Changed) -> None:
        results = self.results(changed(review_labels=world.inputs.review_labels.slice(0, 0)))
        assert {r.status for r in results.values()} == {"held"}
        assert "360 by people" in results["hate", "exposure_rate"].sentence

    def test_no_label_is_accounted_for_until_there_are_too_many(
        self, world: Any, changed: Changed
    ) -> None:
        for share, status in ((0.015, "passed"), (0.05, "held")):
            outcomes = _blanked(world.inputs.outcomes, "hate", "exposure_rate", share)
            results = self.results(changed(outcomes=outcomes))
            found = results["hate", "exposure_rate"]
            assert found.status == status
            assert found.found == pytest.approx(1 - share, abs=0.001)
            assert results["hate", "interaction_rate"].found == 1.0

    def test_labels_of_units_outside_the_sample_count_for_nothing(
        self, world: Any, changed: Changed
    ) -> None:
        samples = world.inputs.samples
        day = world.frame[date(2026, 1, 1)]["interaction_id"].to_pylist()
        sampled = set(samples["interaction_id"].to_pylist())
        swapped = dict(zip(sorted(sampled), (i for i in day if i not in sampled), strict=False))
        labels = with_rows(
            world.inputs.labels,
            lambda r: r | {"interaction_id": swapped.get(r["interaction_id"], r["interaction_id"])},
        )
        results = self.results(changed(labels=labels))
        assert results["hate", "interaction_rate"].found == len(samples)

    def test_a_judge_s_row_does_not_stand_for_a_person_s(
        self, world: Any, changed: Changed
    ) -> None:
        by_judge = with_rows(
            world.inputs.review_labels, lambda r: r | {"labeler_kind": "llm_judge"}
        )
        results = self.results(changed(review_labels=by_judge))
        assert {r.status for r in results.values()} == {"held"}

    def test_a_day_without_a_sample_holds(self, world: Any, changed: Changed) -> None:
        inputs = changed(samples=world.inputs.samples.slice(0, 0))
        results = self.results(inputs)
        assert {r.status for r in results.values()} == {"held"}


def _blanked(outcomes: pa.Table, policy: str, estimand: str, share: float) -> pa.Table:
    mine = pc.and_(pc.equal(outcomes["policy"], policy), pc.equal(outcomes["estimand"], estimand))
    place = np.flatnonzero(mine.to_numpy())
    blank = np.zeros(len(outcomes), dtype=bool)
    blank[place[: round(share * place.size)]] = True
    value = pc.if_else(pa.array(blank), pa.scalar(None, pa.float64()), outcomes["value"])
    return outcomes.set_column(outcomes.column_names.index("value"), "value", value)


class TestTotals:
    def test_both_known_totals_are_found_again(self, world: Any) -> None:
        results = list(ht_totals_agree_with_frame_totals(world.inputs, world.inputs.whole))
        assert [r.status for r in results] == ["passed", "passed"]
        assert all(0 <= r.found < 4 for r in results)

    @pytest.mark.parametrize("fault", ["lost rows", "doubled rows", "wrong probability"])
    def test_a_sample_that_is_not_the_frame_s_is_seen(
        self, world: Any, changed: Changed, fault: str
    ) -> None:
        samples = world.inputs.samples
        broken = {
            "lost rows": lambda: samples.slice(0, len(samples) // 2),
            "doubled rows": lambda: pa.concat_tables([samples, samples]),
            "wrong probability": lambda: samples.set_column(
                samples.column_names.index("inclusion_prob"),
                "inclusion_prob",
                pc.multiply(samples["inclusion_prob"], 0.7),
            ),
        }[fault]()
        inputs = changed(samples=broken)
        results = list(ht_totals_agree_with_frame_totals(inputs, inputs.whole))
        assert "held" in [r.status for r in results]

    def test_totals_of_a_fixed_equal_draw_agree_exactly(self) -> None:
        n, N = 8, 40
        units = pa.table(
            {
                "stratum": ["all"] * n,
                "inclusion_prob": [n / N] * n,
                "exposure": list(range(n)),
            }
        )
        total = horvitz_thompson_total(units, "n_units", fixed_size=True)
        assert total.estimate == pytest.approx(N, rel=1e-12)
        assert total.variance == pytest.approx(0.0, abs=1e-9)

    def test_the_variance_is_the_textbook_s_on_every_simple_random_sample(self) -> None:
        population = np.array([0, 1, 1, 4, 9, 30], dtype=np.int64)
        n, N = 3, population.size
        made = [
            horvitz_thompson_total(
                pa.table(
                    {
                        "stratum": ["all"] * n,
                        "inclusion_prob": [n / N] * n,
                        "exposure": population[list(rows)],
                    }
                ),
                "exposure",
                fixed_size=True,
            )
            for rows in combinations(range(N), n)
        ]
        truth = N**2 * (1 - n / N) * population.var(ddof=1) / n
        assert np.mean([m.estimate for m in made]) == pytest.approx(population.sum(), rel=1e-12)
        assert np.mean([m.variance for m in made]) == pytest.approx(truth, rel=1e-12)


class TestFigures:
    def figure(self, inputs: GateInputs, **key: Any) -> dict[str, Any]:
        return decision_of(
            decide(inputs, run_gates(inputs)),
            **{"policy": "hate", "estimand": "interaction_rate", **key},
        )

    def altered(self, world: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> pa.Table:
        def one(row: dict[str, Any]) -> dict[str, Any]:
            mine = (row["policy"], row["estimand"]) == ("hate", "interaction_rate")
            return change(row) if mine else row

        return with_rows(world.inputs.estimates, one)

    def test_a_judge_alone_is_never_the_rate(self, world: Any, changed: Changed) -> None:
        estimates = self.altered(
            world, lambda r: r | {"headline": r["method"] == "judge_only", "n_reviewed": 0}
        )
        row = self.figure(changed(estimates=estimates))
        assert (row["decision"], row["gate"]) == ("held", "judge_is_corrected_by_people")

    def test_a_figure_without_a_headline_is_held(self, world: Any, changed: Changed) -> None:
        estimates = self.altered(world, lambda r: r | {"headline": False})
        row = self.figure(changed(estimates=estimates))
        assert (row["decision"], row["gate"]) == ("held", "judge_is_corrected_by_people")

    def test_a_policy_that_was_not_estimated_is_held_not_forgotten(
        self, world: Any, changed: Changed
    ) -> None:
        estimates = world.inputs.estimates
        kept = estimates.filter(pc.not_equal(estimates["policy"], "hate"))
        assert self.figure(changed(estimates=kept))["decision"] == "held"

    def test_few_positives_leave_an_upper_bound(self, world: Any, changed: Changed) -> None:
        for positives, decision in ((5, "rate"), (4, "upper_bound_only")):
            estimates = self.altered(world, lambda r, n=positives: r | {"n_positive": n})
            assert self.figure(changed(estimates=estimates))["decision"] == decision

    def test_a_wide_interval_leaves_an_upper_bound(self, world: Any, changed: Changed) -> None:
        estimates = self.altered(world, lambda r: r | {"lower": 0.0, "upper": r["value"] * 3.1})
        row = self.figure(changed(estimates=estimates))
        assert (row["decision"], row["gate"]) == ("upper_bound_only", "interval_is_narrow_enough")

    def test_the_width_of_a_day_or_a_pivot_is_shown_not_gated(
        self, world: Any, changed: Changed
    ) -> None:
        estimates = self.altered(
            world,
            lambda r: (
                r | {"lower": 0.0, "upper": r["value"] * 9, "n_positive": 9, "status": "rate"}
            ),
        )
        row = self.figure(changed(estimates=estimates), domain_kind="country", domain_value="BR")
        assert row["decision"] == "rate"

    def test_a_figure_that_cannot_be_estimated_is_held(self, world: Any, changed: Changed) -> None:
        estimates = self.altered(world, lambda r: r | {"status": "not_estimable"})
        assert self.figure(changed(estimates=estimates))["decision"] == "held"

    def test_the_strictest_gate_decides(self, world: Any, changed: Changed) -> None:
        estimates = self.altered(world, lambda r: r | {"n_positive": 1})
        inputs = changed(estimates=estimates, frame_totals=world.inputs.frame_totals.slice(0, 0))
        row = self.figure(inputs)
        assert (row["decision"], row["gate"]) == ("held", "frame_is_complete")

    def test_a_release_in_which_all_is_held_is_refused_with_the_gate_s_name(
        self, changed: Changed, world: Any
    ) -> None:
        inputs = changed(frame_totals=world.inputs.frame_totals.slice(0, 0))
        decisions = decide(inputs, run_gates(inputs))
        with pytest.raises(ReleaseHeld, match="frame_is_complete"):
            require_a_figure(inputs, decisions)

    def test_a_threshold_of_the_programme_is_the_one_that_holds(self, world: Any) -> None:
        strict = world.programme.gates.model_copy(update={"min_positives": 10_000})
        programme = world.programme.model_copy(update={"gates": strict})
        row = self.figure(replace(world.inputs, programme=programme))
        assert row["decision"] == "upper_bound_only"


def test_every_gate_whose_scope_holds_a_figure_is_heard(world: Any) -> None:
    def holds(wide: Scope, figure: Scope) -> bool:
        pairs = zip(wide.key(), figure.key(), strict=True)
        return all(ours is None or ours == theirs for ours, theirs in pairs)

    results = run_gates(world.inputs)
    strictness = ("rate", "upper_bound_only", "held")
    words = {"passed": 0, "bound_only": 1, "held": 2}
    decided = decide(world.inputs, results)
    assert len(decided) == 324
    for row in decided.to_pylist()[::7]:
        scope = Scope(*(row[name] for name in FIGURE))
        heard = [r for r in results if holds(r.scope, scope)]
        assert strictness[max(words[r.status] for r in heard)] == row["decision"]


def test_a_scope_is_held_by_what_leaves_its_parts_open() -> None:
    day = date(2026, 1, 1)
    figure = Scope(day, day, "hate", "interaction_rate", "country", "BR")
    period, policy = (False,) * 2 + (True,) * 4, (False,) * 3 + (True,) * 3
    assert list(figure.wider([period, policy, (False,) * 6])) == [
        Scope(day, day).key(),
        Scope(day, day, "hate").key(),
        figure.key(),
    ]
