"""Sessions from a gap and units of several interactions, as a few lines of plain Python say."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import timedelta

import pytest
from tests.records.awkward import DAY, Logs, at, build, programme

from baserate.terms.programme import Programme

GAP = timedelta(minutes=30)
TABLES = ("requests", "responses", "components", "users", "scores")


def grouped(unit: str, gap: int | None = 30) -> Programme:
    content = programme(TABLES).model_dump(mode="json", exclude_none=True)
    content["records"] |= {"unit": unit, "session_gap_minutes": gap}
    return Programme.model_validate(content)


def write(base, seed: int):
    """A day of a few users, busy around midnight: the rows of requests, and the logs."""
    rng, logs, asked = random.Random(seed), Logs(base), []
    logs.user("staff", is_internal=True)
    for k in range(60):
        minute = rng.choice([*range(0, 1440, 10), *range(1400, 1440), *range(10)])
        start = at(hour=0) + timedelta(minutes=minute)
        row = {
            "user_id": rng.choice(["a", "b", "c", None, "", *["staff"] * (k % 20 == 0)]),
            "session_id": rng.choice([None, None, None, "", "s1", "s2"]),
            "conversation_id": rng.choice([None, "", "c1", "c2", "c3", "c4"]),
            "is_test": rng.random() < 0.03,
        }
        turns = rng.choice([1, 1, 1, 2, 3])
        for turn in range(1, turns + 1):
            time = start + timedelta(minutes=rng.choice([0, 5, 29, 31]) * (turn - 1))
            one = row | {"turn": turn, "requested_at": time, "query_text": f"q{k}.{turn}"}
            logged = (time - at(hour=0)).days
            logs.request(f"i{k:02}", logged, **one)
            answered = rng.random() < 0.9
            if answered:
                logs.response(f"i{k:02}", logged, turn=turn, response_text=f"r{k}.{turn}")
            if rng.random() < 0.4:
                logs.score("query", f"i{k:02}", rng.random(), logged, turn=turn)
            asked.append(one | {"id": f"i{k:02}", "answered": answered})
    logs.write(TABLES, range(-2, 3))
    return asked


def oracle(asked, unit: str, gap: timedelta | None):
    """Per unit: session, conversation, and the texts of its turns in order."""
    by_id = defaultdict(list)
    for row in asked:
        by_id[row["id"]].append(row)
    began = {i: min(r["requested_at"] for r in rows) for i, rows in by_id.items()}
    ended = {i: max(r["requested_at"] for r in rows) for i, rows in by_id.items()}
    in_order = sorted(by_id, key=lambda i: (began[i], i))
    session = {i: rows[0]["session_id"] for i, rows in by_id.items()}
    open_session: dict[str, tuple[str, object]] = {}
    for i in in_order if gap is not None else ():
        user = by_id[i][0]["user_id"]
        session[i] = session[i] or None
        if session[i] or not user:
            continue
        name, last = open_session.get(user, (None, None))
        if name is None or began[i] > last + gap:
            name, last = f"session of {i}", ended[i]
        open_session[user] = (name, max(last, ended[i]))
        session[i] = name
    talk = {i: rows[0]["conversation_id"] for i, rows in by_id.items()}
    shared = {"session": session, "conversation": talk}.get(unit, {})
    key = {i: ("shared", shared[i]) if shared.get(i) else ("alone", i) for i in by_id}
    out = {key[r["id"]] for r in asked if r["is_test"] or r["user_id"] == "staff"}
    units = defaultdict(list)
    for i in in_order:
        for row in sorted(by_id[i], key=lambda r: r["turn"]):
            if row["answered"] and key[i] not in out:
                units[key[i]].append(row)
    return {
        rows[0]["id"]: (
            session[rows[0]["id"]],
            began[rows[0]["id"]],
            [r["query_text"] for r in rows],
        )
        for rows in units.values()
    }


@pytest.mark.parametrize(
    ("unit", "gap", "seed"),
    [("session", 30, 1), ("conversation", None, 2), ("interaction", 30, 3)],
)
def test_units_are_what_plain_python_makes_of_the_same_rows(engine, tmp_path, unit, gap, seed):
    asked = write(tmp_path, seed)
    built = build(engine, grouped(unit, gap), tmp_path, DAY)
    expected = oracle(asked, unit, GAP if gap else None)
    found = {
        r["interaction_id"]: (
            r["session_id"],
            r["started_at"],
            [t["query_text"] for t in r["turns"]],
        )
        for r in built.interactions
    }
    assert found == expected
    assert len(found) > 5
    for row in built.interactions:
        assert [t["turn"] for t in row["turns"]] == (
            list(range(1, row["n_turns"] + 1))
            if unit != "interaction"
            else sorted(t["turn"] for t in row["turns"])
        )
    used = built.audit["requests", "rows_used"]
    assert used == sum(len(texts) for _, _, texts in expected.values())


def test_a_unit_has_the_scores_and_the_faults_of_all_its_interactions(logs, run):
    for k, hour in enumerate((9, 23)):
        logs.request(f"i{k}", requested_at=at(hour=hour), conversation_id="c")
        logs.response(f"i{k}").pin(f"i{k}", impressions=k + 1)
        logs.score("query", f"i{k}", (k + 1) / 10).score("response", f"i{k}", 7.0)
    logs.user("u")
    built = run(grouped("conversation", None))
    (row,) = built.interactions
    assert (row["interaction_id"], row["conversation_id"], row["n_turns"]) == ("i0", "c", 2)
    assert (row["score_p1"], row["exposure"], row["n_quarantined"]) == (0.2, 3, 2)
    assert row["started_at"] == at(hour=9)
