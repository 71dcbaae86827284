"""`baserate design`: what is planned adds up, what is compared is named, what was drawn is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from baserate.flows.design_draws import USUAL, draw_named
from baserate.flows.design_evidence import DesignEvidence, gather_evidence
from baserate.flows.designing import compare_designs, plan_budget
from baserate.flows.explaining import QuarantinedUnit, explain_unit
from baserate.flows.measure import days_to_run, run_days
from baserate.flows.stages import Stages
from baserate.flows.workspace import open_workspace
from baserate.worlds.replay import PlantedChange, build_replay, made_up_material
from tests.docs.pages import script

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days that were measured, drawn by strata; what labels cost is known."""
    out = tmp_path_factory.mktemp("design") / "world"
    build_replay(
        out,
        days=2,
        interactions_per_day=500,
        seed=3,
        change=PlantedChange(from_day=1),
        material=made_up_material(),
    )
    path = out / "baserate.yaml"
    programme = yaml.safe_load(path.read_text())
    programme["sampling"] |= {"judge_budget": 150, "human_budget": 60, "strata": ["surface"]}
    programme["costs"] = {"judge_label": 0.01, "human_label": 2.0, "currency": "EUR"}
    path.write_text(yaml.safe_dump(programme, sort_keys=False))
    with open_workspace(out) as workspace:
        stages = Stages(workspace)
        run_days(stages, days_to_run(workspace, None, None, _never()))
    return out


def _never() -> Any:
    from datetime import date

    return date.max


@pytest.fixture(scope="module")
def stages(measured: Path) -> Iterator[Stages]:
    with open_workspace(measured) as workspace:
        yield Stages(workspace)


@pytest.fixture(scope="module")
def evidence(stages: Stages) -> DesignEvidence:
    return gather_evidence(stages)


# -- the evidence and the draws --------------------------------------------------------------------


def test_the_programmes_own_design_is_the_one_that_was_drawn(stages, evidence):
    drawn = stages.store.read("samples", evidence.day)
    first = draw_named("programme", evidence).first_phase(evidence, 150)
    place = {u: i for i, u in enumerate(evidence.frame.unit_id.to_pylist())}
    at = np.array([place[u] for u in drawn["interaction_id"].to_pylist()])
    assert len(set(drawn["stratum"].to_pylist())) > 1
    np.testing.assert_allclose(first.frame_prob[at], drawn["inclusion_prob"].to_numpy(), rtol=1e-12)


def test_judged_units_get_the_probabilities_that_the_frames_units_get(stages, evidence):
    """The pilot's last day is the frame's day: the same units must get the same numbers."""
    ids = stages.units(list(evidence.pilot_days), reviews=False)
    today = ids.day == str(evidence.day)
    place = {u: i for i, u in enumerate(evidence.frame.unit_id.to_pylist())}
    at = np.array([place[u] for u in ids.unit_id[today]])
    for word in USUAL:
        first = draw_named(word, evidence).first_phase(evidence, 150)
        np.testing.assert_allclose(
            first.pilot_prob[today], first.frame_prob[at], rtol=1e-6, err_msg=word
        )
        assert first.n == pytest.approx(150), word


# -- plan ------------------------------------------------------------------------------------------


def test_a_plan_names_every_rate_and_more_labels_help(evidence):
    plan = plan_budget(evidence)
    programme = evidence.programme
    assert len(plan.rows) == len(programme.policies) * len(programme.estimands)
    assert plan.cost == pytest.approx(150 * 0.01 + 60 * 2.0)
    for row in plan.rows:
        assert row.lower <= row.rate <= row.upper
        assert row.judged == pytest.approx(150)
        assert row.reviewed == pytest.approx(60)
        assert 0.0 <= row.from_people <= 1.0
    # more for the judge alone may cost a little: people's labels are spread over more units
    assert all(m.n_more_judged == len(evidence) - 150 for m in plan.more)
    assert all(m.more_reviewed < m.now for m in plan.more)
    errors = np.array([list(told.values()) for _, _, told in plan.curve])
    assert (np.diff(errors, axis=0) <= 1e-9).all()


def test_days_that_are_pooled_shrink_the_error_by_their_square_root(evidence):
    day, week = plan_budget(evidence), plan_budget(evidence, days=7)
    for one, seven in zip(day.rows, week.rows, strict=True):
        assert seven.std_error == pytest.approx(one.std_error / np.sqrt(7))
        assert seven.change_day == one.change_day


def test_pivot_values_share_the_labels_of_the_whole(evidence):
    plan = plan_budget(evidence, pivot="surface")
    rows = [
        r for r in plan.rows if (r.policy, r.estimand) == (plan.rows[0].policy, "interaction_rate")
    ]
    assert len(rows) == len(evidence.frame.domains["surface"].values)
    assert sum(r.judged for r in rows) == pytest.approx(150)
    assert sum(r.reviewed for r in rows) == pytest.approx(60)


def test_labels_that_are_found_reach_what_was_wanted_and_not_much_more(evidence):
    from baserate.flows.design_search import Plans
    from baserate.flows.designing import plan_precision

    found = plan_precision(evidence, relative_std_error=0.8, policies=("violence",), judge=400)
    needed = found.rows[0]
    errors = Plans(evidence).relative_std_errors
    cell = evidence.cell("violence", found.estimand)
    assert needed.judge == 400
    assert errors(400, needed.human)[cell] <= 0.8
    assert errors(400, needed.human - 3)[cell] > 0.8


def test_more_people_than_todays_judge_could_serve_ask_for_a_larger_judge(evidence):
    from baserate.flows.designing import plan_precision

    found = plan_precision(evidence, relative_std_error=1.0, policies=("violence",), human=200)
    assert found.split == "people fixed"
    assert found.rows[0].human == 200
    assert found.rows[0].judge >= 200 > evidence.programme.sampling.judge_budget


def test_the_cheapest_split_costs_no_more_than_growing_both_budgets(evidence):
    from dataclasses import replace

    from baserate.flows.designing import plan_precision
    from baserate.terms.programme import Costs

    cheapest = plan_precision(evidence, relative_std_error=0.7, policies=("violence",))
    free = evidence.programme.model_copy(update={"costs": Costs()})
    even = plan_precision(
        replace(evidence, programme=free), relative_std_error=0.7, policies=("violence",)
    )
    assert (cheapest.split, even.split) == ("cheapest", "in the programme's proportion")
    cost = evidence.programme.costs.of
    one, other = cheapest.rows[0], even.rows[0]
    assert one.cost == cost(one.judge, one.human, 1)
    assert other.cost is None
    assert one.cost <= cost(other.judge, other.human, 1) * 1.02


def test_plan_prints_its_tables_and_writes_its_chart(run, measured, tmp_path):
    code, out, err = run("design", "plan", "-w", measured, "--chart", tmp_path / "plan.svg")
    assert code == 0, err
    assert "150 judged and 60 labelled by people" in out
    assert "violence" in out
    assert "EUR" in out
    assert (tmp_path / "plan.svg").read_text().startswith("<svg")
    code, out, _ = run("design", "plan", "-w", measured, "--half-width", 0.02, "--json",
                       "--policy", "violence", "--judge", 300)  # fmt: skip
    needed = json.loads(out)
    assert code == 0
    assert (needed["measure"], needed["wanted"]) == ("half_width", 0.02)
    assert needed["rows"][0]["human"] >= 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("plan", "--judge", 20, "--human", 50), "subsample"),
        (("plan", "--policy", "weather"), "no such policy"),
        (("plan", "--estimand", "reach"), "does not measure"),
        (("plan", "--by", "moon"), "not cut by"),
        (("plan", "--half-width", 0.1, "--relative-se", 0.1), "one precision"),
        (("plan", "--day", "2020-01-01"), "not recorded"),
        (("plan", "--chart", "plan.pdf"), "PNG"),
        (("compare", "--design", "astrology"), "no design"),
        (("compare", "--design", "programme:simple_random"), "same probability"),
        (("compare", "--blind-share", 2), "blind share"),
        (("explain", "nobody"), "no interaction has this id"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_a_reason(run, measured, words, told):
    code, _, err = run("design", *words, "-w", measured)
    assert code == 2
    assert told in " ".join(err.split())


# -- compare ---------------------------------------------------------------------------------------


def test_designs_are_compared_worst_policy_first_with_the_blind_spot_rule(evidence):
    found = compare_designs(evidence, designs=USUAL, blind_share=0.3)
    assert [r.worst for r in found.rows] == sorted(r.worst for r in found.rows)
    rows = {r.design: r for r in found.rows}
    plain = rows["simple_random"]
    assert plain.guaranteed_share == pytest.approx(1.0)
    assert plain.largest_weight == pytest.approx(len(evidence) / 150)
    assert rows["programme:poisson"].labels_spread > 0.0 == rows["programme"].labels_spread
    assert rows["programme"].guaranteed_share >= 0.2 * (1 - 1e-6)
    again = rows["programme:pps_with_replacement"].relative_std_error
    assert all(again[p] > e for p, e in rows["programme"].relative_std_error.items())
    for row in found.rows:
        for policy, rule in row.blind_spot.items():
            expected = row.guaranteed_share * row.labels * 0.3 * found.rates[policy]
            assert rule.expected_positives == pytest.approx(expected)
            assert rule.defended == (expected >= 3.0)
    assert all("not defended against a blind spot" in row["blind_spot"][p]["verdict"]
               for row in found.as_dict()["rows"] for p in found.policies
               if not row["blind_spot"][p]["defended"])  # fmt: skip


def test_compare_draws_itself_in_terminal_notebook_and_file(run, measured, evidence, tmp_path):
    code, out, err = run("design", "compare", "-w", measured, "--chart", tmp_path / "c.png",
                         "--design", "simple_random", "--design", "programme")  # fmt: skip
    assert code == 0, err
    assert "guaranteed" in out
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    found = compare_designs(evidence, designs=("simple_random", "programme"))
    assert found._repr_html_().count("<table ") == 3
    assert set(found.chart().to_dict()["encoding"]) >= {"x", "y", "color", "shape"}


# -- explain ---------------------------------------------------------------------------------------


def test_every_unit_is_told_as_it_was_drawn(stages, evidence):
    """All of a day: probability, draw and phase 2 agree with the committed tables."""
    drawn = {r["interaction_id"]: r for r in stages.store.read("samples", evidence.day).to_pylist()}
    people = {
        r["interaction_id"]: r
        for r in stages.store.read("review_samples", evidence.day).to_pylist()
    }
    not_drawn = [u for u in evidence.frame.unit_id.to_pylist() if u not in drawn]
    judged_only = [u for u in drawn if u not in people]
    for unit in [*list(people)[:3], *judged_only[:3], *not_drawn[:3]]:
        told = explain_unit(stages, unit)
        assert told.first.drawn == (unit in drawn)
        assert (told.first.key <= told.first.last_key) == told.first.drawn
        assert sum(told.first.shares.values()) == pytest.approx(1.0)
        assert sum(p.steering for p in told.first.parts) == pytest.approx(1.0)
        if unit not in drawn:
            assert told.second is None
            assert "not drawn for the judge" in told.second_because
            continue
        row = drawn[unit]
        assert told.first.inclusion_prob == row["inclusion_prob"]
        assert told.first.size == row["size"]
        assert told.first.stratum == row["stratum"]
        assert told.control == row["control"]
        assert told.second.drawn == (unit in people)
        assert (told.second.key <= told.second.last_key) == told.second.drawn
        if unit in people:
            assert told.second.inclusion_prob == people[unit]["inclusion_prob"]
            assert told.second.prn == people[unit]["prn"]


def test_a_unit_that_was_set_aside_is_told_its_reason(stages, evidence, run, measured):
    rows = stages.store.read("quarantine", evidence.day).to_pylist()
    inside = set(evidence.frame.unit_id.to_pylist())
    keys = [(json.loads(r["row_key"]).get("interaction_id"), r["reason"]) for r in rows]
    unit, reason = next(k for k in keys if k[0] and k[0] not in inside)
    told = explain_unit(stages, unit)
    assert isinstance(told, QuarantinedUnit)
    assert reason in {why for _, why, _ in told.rows}
    code, out, _ = run("design", "explain", unit, "-w", measured)
    assert code == 0
    assert "not in the frame" in out
    assert reason in out


def test_a_unit_of_another_day_is_sent_there(run, measured, stages):
    first = stages.store.days("interactions")[0]
    unit = stages.store.read("samples", first)["interaction_id"][0].as_py()
    code, _, err = run("design", "explain", unit, "-w", measured)
    assert code == 2
    assert f"--day {first}" in err
    code, out, _ = run("design", "explain", unit, "-w", measured, "--day", first, "--json")
    told = json.loads(out)
    assert code == 0
    assert told["first"]["drawn"] is True
    assert "because" in told["first"]


def test_a_draw_of_another_programme_is_not_told_as_if_it_were_this_one(run, measured, stages):
    unit = stages.store.read("samples", stages.store.days("samples")[-1])["interaction_id"][0]
    path = measured / "baserate.yaml"
    text = path.read_text()
    try:
        path.write_text(text.replace("control_share: 0.2", "control_share: 0.3"))
        code, _, err = run("design", "explain", unit.as_py(), "-w", measured)
    finally:
        path.write_text(text)
    assert code == 2
    assert "has changed" in err


# -- the notebook ----------------------------------------------------------------------------------


def test_the_notebook_of_the_docs_runs_on_any_measured_workspace(measured, tmp_path):
    (tmp_path / "demo-workspace").symlink_to(measured)
    path = Path(__file__).parents[2] / "docs" / "howto" / "design.ipynb"
    done = script("notebook").run(path, tmp_path)
    outputs = [o for c in done["cells"] if c["cell_type"] == "code" for o in c["outputs"]]
    shown = [kind for o in outputs for kind in o["data"]]
    assert shown.count("text/html") == 3
    assert shown.count("image/svg+xml") == 3
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert [len(c.get("outputs", ())) for c in kept["cells"]] == [
        len(c.get("outputs", ())) for c in done["cells"]
    ]
