"""One call about every policy: labels as of one-policy calls, and a test on gold before use."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import yaml
from tests.labels.reading import write_workspace

from baserate.engines.store import Store
from baserate.labels.judges.base import judge_units
from baserate.labels.judges.cache import AnswerCache
from baserate.labels.judges.openai import ChatJudge
from baserate.labels.judges.panel import Panel, judge_by_panel
from baserate.labels.judges.usage import Tokens
from baserate.labels.policies import load_policy, write_starters
from baserate.terms.errors import LabelError
from baserate.terms.programme import Policy
from baserate.terms.programme_labelers import PanelJudge

Run = Callable[..., tuple[int, str, str]]
DAY, NOW = date(2026, 3, 1), datetime(2026, 3, 2, tzinfo=UTC)
HARASSMENT = Policy(id="harassment", name="Harassment", document="policies/harassment.md")
FRUIT = Policy(id="fruit", name="Fruit", definition="Content that offers forbidden fruit.")
ROOTS = Policy(
    id="roots", name="Roots", definition="Content that offers forbidden fruit in spring."
)
POLICIES = (FRUIT, ROOTS, HARASSMENT)


def keys(call: Any) -> list[str]:
    """The policies that a call is about; one that is about one policy has no keys."""
    found = re.findall(r"under each of the keys (.*?) \"interaction\"", call.user)
    return re.findall(r'"(\w+)"', found[0]) if found else []


def both_ways(server: Any, wrong: Callable[[Any], dict[str, Any]] | None = None) -> None:
    """A model that answers for each key what it would answer alone."""

    def respond(call: Any) -> Any:
        answer = server.honest_labels(call)
        whole = dict.fromkeys(keys(call), answer) or answer
        return server.completion(whole if wrong is None else whole | wrong(call))

    server.respond = respond


@pytest.fixture
def judge_of(config: Any, tmp_path: Path) -> Any:
    write_starters(tmp_path / "policies")
    documents = {"harassment": load_policy(tmp_path / "policies" / "harassment.md")}
    made = []

    def make(policies: tuple[Policy, ...] = POLICIES, **changes: Any) -> ChatJudge:
        changes = {"calls": "unified"} | changes
        judge = ChatJudge(
            config.model_copy(update=changes),
            tmp_path / "answers.db",
            images_below=tmp_path,
            policies=policies,
            documents=documents,
            backoff_seconds=0.01,
        )
        made.append(judge)
        return judge

    yield make
    for judge in made:
        judge.close()


def rows(judge: Any, units: list[Any], policies: tuple[Policy, ...] = POLICIES) -> list[Any]:
    table = judge_units(judge, units, policies, ds=DAY, now=NOW)
    return [{k: v for k, v in r.items() if k != "labeler_version"} for r in table.to_pylist()]


def test_one_call_labels_a_unit_under_every_policy_with_the_very_rows_of_calls_for_each(
    chat_server, judge_of, make_unit
):
    both_ways(chat_server)
    units = [
        make_unit(f"i{k}", response=f"{k} forbidden fruit" if k % 2 else f"{k}") for k in range(4)
    ]
    unified = judge_of(price_per_1k_input=1.0)
    together = rows(unified, units)
    assert len(chat_server.calls) == 4
    assert rows(judge_of(calls="one_policy"), units) == together
    assert len(chat_server.calls) == 4 + 12
    assert unified.usage.together == 8
    call = chat_server.calls[0]
    system, schema = call.system, call.body["response_format"]["json_schema"]["schema"]
    assert FRUIT.definition in system
    assert load_policy_text(judge_of) in system
    assert [system.index(f'with key "{p.id}"') for p in POLICIES] == sorted(
        system.index(f'with key "{p.id}"') for p in POLICIES
    )
    assert "forbidden fruit" not in system.replace(FRUIT.definition, "").replace(
        ROOTS.definition, ""
    )
    alone = [c.body["response_format"]["json_schema"]["schema"] for c in chat_server.calls[4:]]
    assert [schema["properties"][p.id] for p in POLICIES] == alone[::4]
    jsonschema.Draft202012Validator.check_schema(schema)


def load_policy_text(judge_of: Any) -> str:
    return str(judge_of()._documents["harassment"].text())


@pytest.mark.parametrize(
    "fault",
    [None, {"interaction": {"verdict": "safe"}, "parts": []}],
)
def test_a_policy_that_is_missing_or_invalid_has_no_label_alone_and_is_asked_again(
    fault, chat_server, judge_of, make_unit
):
    both_ways(chat_server, lambda call: {"roots": fault} if keys(call) else {})
    unit = make_unit(response="forbidden fruit")
    said = {}
    for row in rows(judge_of(), [unit]):
        said.setdefault(row["policy"], set()).add((row["verdict"], row["reason"]))
    assert said["roots"] == {("no_label", "invalid_output")}
    assert all(v != "no_label" for p in ("fruit", "harassment") for v, _ in said[p])
    assert len(chat_server.calls) == 3
    both_ways(chat_server)
    again = judge_of()
    assert all(r["verdict"] != "no_label" for r in rows(again, [unit]))
    assert len(chat_server.calls) == 4
    assert (again.usage.from_cache, again.usage.together) == (2, 0)
    assert rows(judge_of(), [unit])
    assert len(chat_server.calls) == 4


def test_two_objects_that_disagree_or_a_key_given_twice_are_no_answer(
    chat_server, judge_of, make_unit
):
    def respond(call):
        yes, no = ({"interaction": chat_server.label(v), "parts": []} for v in (True, False))
        twice = json.dumps({"fruit": yes, "roots": no, "harassment": no})
        twice = twice[:-1] + f', "fruit": {json.dumps(no)}}}'
        return chat_server.completion(twice)

    chat_server.respond = respond
    whole = {r["policy"]: r["verdict"] for r in rows(judge_of(), [make_unit()])
             if r["subject_kind"] == "interaction"}  # fmt: skip
    assert whole == {"fruit": "no_label", "roots": "not_violating", "harassment": "not_violating"}
    chat_server.respond = lambda call: chat_server.completion(
        " and ".join(
            json.dumps({p.id: {"interaction": chat_server.label(v), "parts": []} for p in POLICIES})
            for v in (True, False)
        )
    )
    told = rows(judge_of(), [make_unit("i2", response="other")])
    assert {r["verdict"] for r in told} == {"no_label"}


def test_what_a_call_cost_is_shared_out_to_the_last_token(
    chat_server, judge_of, make_unit, tmp_path
):
    assert Tokens(100, 20).shared_out(3) == [Tokens(34, 7), Tokens(33, 7), Tokens(33, 6)]
    both_ways(chat_server)
    units = [make_unit(f"i{k}", response=f"soup {k}") for k in range(5)]
    judge = judge_of(price_per_1k_input=1.0, price_per_1k_output=10.0)
    bill = judge.estimate(units, POLICIES)
    assert (bill.pairs, bill.calls) == (15, 5)
    rows(judge, units)
    spent = judge.spent_per_unit(units, POLICIES)
    assert spent == pytest.approx((1.0, 100, 20, 0.3))
    assert judge.usage.cost == pytest.approx(5 * 0.3)
    assert judge.estimate(units, POLICIES).calls == 0
    kept = AnswerCache(tmp_path / "answers.db")
    stored = kept._db.execute("SELECT sum(prompt_tokens), sum(completion_tokens) FROM answers")
    assert stored.fetchone() == (500, 100)
    assert kept.n_about(["i0"]) == 3
    kept.close()


def test_another_wording_of_one_policy_is_another_version_under_all(judge_of):
    first, same = judge_of(), judge_of()
    versions = {first.version_for(p) for p in POLICIES}
    assert versions == {same.version_for(p) for p in POLICIES}
    assert len(versions) == 1
    reworded = ROOTS.model_copy(update={"definition": "Roots of forbidden trees."})
    changed = judge_of((FRUIT, reworded, HARASSMENT))
    assert not {changed.version_for(p) for p in (FRUIT, reworded, HARASSMENT)} & versions
    assert first.version_for(reworded) == changed.version_for(FRUIT)
    alone = judge_of(calls="one_policy")
    assert alone.version_for(FRUIT) not in versions
    assert alone.version_for(FRUIT) == judge_of((FRUIT, reworded), calls="one_policy").version_for(
        FRUIT
    )


def test_a_budget_that_ends_between_two_asks_keeps_what_was_given_and_paid(
    chat_server, judge_of, make_unit
):
    both_ways(chat_server, lambda call: {"roots": None})
    prices = {"price_per_1k_input": 10.0, "max_cost": 1.0}
    with pytest.raises(LabelError, match="budget"):
        rows(judge_of(**prices), [make_unit()])
    assert len(chat_server.calls) == 1
    both_ways(chat_server)
    rest = judge_of(price_per_1k_input=10.0)
    assert all(r["verdict"] == "not_violating" for r in rows(rest, [make_unit()]))
    assert (len(chat_server.calls), rest.usage.from_cache) == (2, 2)
    assert rest.spent_per_unit([make_unit()], POLICIES)[1:3] == (200, 40)


def test_members_of_a_panel_may_differ_in_their_calls(chat_server, judge_of, make_unit):
    both_ways(chat_server)
    members = {"together": judge_of(), "each": judge_of(calls="one_policy")}
    panel = Panel(PanelJudge(kind="panel", members=tuple(members)), members)
    units = [make_unit(f"i{k}", response=f"{k} forbidden fruit") for k in range(3)]
    assert panel.estimate(units, POLICIES).calls == 3 + 9
    told = judge_by_panel(panel, units, POLICIES, ds=DAY, now=NOW)
    assert len(chat_server.calls) == 3 + 9
    assert len(told.members) == 2 * len(told.labels)
    assert {r["reason"] for r in told.labels.to_pylist()} == {"2 of 2 members"}
    assert panel.spent_per_unit(units, POLICIES)[:3] == pytest.approx((4, 400, 80))


# --- the test on gold -----------------------------------------------------------------------


WEEDS, TREES = "weeds", "trees"


@pytest.fixture(scope="module")
def garden(tmp_path_factory: pytest.TempPathFactory, module_server: Any) -> Path:
    """Two policies, a judge with unified calls, and 120 gold items under each."""
    from baserate.cli.running import open_stages
    from baserate.flows.gold import import_gold

    out = tmp_path_factory.mktemp("unified") / "world"
    write_workspace(out, module_server)
    path = out / "baserate.yaml"
    programme = yaml.safe_load(path.read_text())
    programme["policies"].append({"id": TREES, "name": "Trees", "definition": "Names a tree."})
    programme["judge"] |= {"calls": "unified", "price_per_1k_output": 0.04, "concurrency": 16}
    programme["candidates"] = {"each": programme["judge"] | {"calls": "one_policy"}}
    programme["gates"] = {"unified_sensitivity_margin": 0.15, "unified_specificity_margin": 0.15}
    path.write_text(yaml.safe_dump(programme))
    rng, items = np.random.default_rng(11), []
    for k in range(120):
        words = " ".join(f"w{x}" for x in rng.integers(0, 9999, 8))
        item = {
            "item_id": f"g{k}",
            "text": f"{words} nettle" if k % 2 else words,
            "verdict": "violating" if k % 2 else "not_violating",
            "kind": "probability",
            "inclusion_prob": 0.02,
            "provenance": "made up",
        }
        items += [item | {"policy": policy} for policy in (WEEDS, TREES)]
    gold = out.parent / "gold.jsonl"
    gold.write_text("\n".join(map(json.dumps, items)))
    with open_stages(out, "duckdb", force=False) as stages:
        import_gold(stages, [gold])
    return out


def change(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


def nettles(server: Any, missed_together: float = 0.0) -> None:
    """A model that finds nettles; about all policies at once it misses some of the trees."""

    def respond(call: Any) -> Any:
        block = call.block("r1")
        missed = sum(map(ord, block)) % 100 < 100 * missed_together

        def answer(violates: bool) -> dict[str, Any]:
            label = server.label(violates, clause="V1" if violates else "N1")
            return {"interaction": label, "parts": [{"id": i, **label} for i in call.part_ids]}

        found = "nettle" in block
        told = {key: answer(found and not (key == TREES and missed)) for key in keys(call)}
        return server.completion(told or answer(found))

    server.respond = respond


def test_a_judge_that_is_not_shown_alike_is_refused_and_one_that_is_measures(
    run: Run, garden: Path, module_server: Any
) -> None:
    day = ("--from", "2026-03-01", "--to", "2026-03-01")
    before = len(module_server.calls)
    code, _, err = run("run", "-w", garden, *day)
    assert code == 2
    assert "baserate judge equivalence" in err
    assert len(module_server.calls) == before

    nettles(module_server, missed_together=0.2)
    code, out, _ = run("judge", "equivalence", "-w", garden, "--json")
    told = json.loads(out)
    assert (code, told["equivalent"]) == (1, False)
    shown = {(t["policy"], t["measure"]): t["shown"] for t in told["tests"]}
    assert shown == {(WEEDS, "sensitivity"): True, (WEEDS, "specificity"): True,
                     (TREES, "sensitivity"): False, (TREES, "specificity"): True}  # fmt: skip
    code, _, err = run("label", "-w", garden, *day)
    assert code == 2
    assert "trees: sensitivity -0." in err

    change(garden, "baserate.yaml", "model: reader", "model: better")
    nettles(module_server)
    bill = json.loads(run("judge", "equivalence", "-w", garden, "--dry-run", "--json")[1])
    assert bill["one_policy"]["calls"] == 2 * bill["unified"]["calls"] > 0
    before = len(module_server.calls)
    code, out, err = run("judge", "equivalence", "-w", garden, "--json")
    assert code == 0, err
    told = json.loads(out)
    assert len(module_server.calls) - before == 3 * bill["unified"]["calls"]
    each, one = told["per_unit"]["one_policy"], told["per_unit"]["unified"]
    assert (each["calls"], one["calls"]) == (2, 1)
    assert one["prompt_tokens"] / each["prompt_tokens"] == 0.5
    assert one["cost"] == pytest.approx((100 * 0.01 + 20 * 0.04) / 1000)
    with Store(garden) as store:
        kept = [
            r for d in store.days("equivalences") for r in store.read("equivalences", d).to_pylist()
        ]
    assert {r["labeler_id"] for r in kept} == {"reader", "better"}
    assert len(kept) == 8

    code, _, err = run("label", "-w", garden, *day)
    assert code == 0, err
    change(garden, "policies/weeds.md", "Holds none", "Has none")
    code, _, err = run("label", "-w", garden, *day)
    assert code == 2
    assert "not tested" in err
