"""Everything wrong at once: the records agree, row by row, with the rules in plain Python."""

from __future__ import annotations

import itertools
import json
import math
import random
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from tests.records.awkward import DAY, Built, Logs, at, build, day, programme, write_rows
from tests.records.oracle import Expected, Oracle

from baserate.records import content_digest

LOGGED = ("requests", "responses", "components", "scores")
POLICIES = ("p1", "p2")
DAYS = range(3)


def soup(base, seed: int) -> Logs:
    """Logs of some days with few ids, so that everything collides with everything."""
    chance = random.Random(seed)
    logs = Logs(base)
    for user, p in itertools.product(range(4), range(-2, 8)):
        logs.user(f"u{user}", p, country="FR", is_internal=user == 1, is_test=user == 2)
    ids = [f"i{k}" for k in range(40)]
    for tag in range(180):
        p = chance.choice(DAYS)
        if chance.random() < 0.5:
            _whole_turn(logs, chance, chance.choice(ids), p, tag)
        _stray_rows(logs, chance, ids, p, tag)
    for table in LOGGED:
        rows = [row for rows in logs.rows[table].values() for row in rows]
        for number, row in enumerate(rows):
            row["tag"] = number
    return logs


def _whole_turn(logs: Logs, chance: random.Random, i: str, p: int, tag: int) -> None:
    turn = chance.choice([1, 1, 1, 2, 3])
    if chance.random() < 0.1:
        logs.request(f"{i}-alone", p, turn=turn, user_id=None, is_test=None)
    logs.request(i, p, turn=turn, user_id=None, is_test=None, requested_at=_time(chance, p, 0))
    logs.response(i, p, turn=turn, responded_at=None)
    logs.pin(i, p, position=tag % 3, turn=turn, component_id=f"pin{tag % 9}", impressions=tag % 5)


def _stray_rows(logs: Logs, chance: random.Random, ids: list[str], p: int, tag: int) -> None:
    some = chance.choice
    i = some([*ids, "", None, "nobody"])
    logged = some([None, None, at(p, 20), at(p, 21)])
    table = some(["requests", "responses", "components", "scores", "scores", "scores"])
    turn = some([1, 1, 2])
    if table == "requests":
        user = some([None, "u0", "u1", "u2", "u3", "stranger"] if chance.random() < 0.3 else [None])
        test = chance.random() < 0.05 or None
        time = _time(chance, p, some([0, 0, 0, 1, -1, -1, -2, -3]))
        time = None if chance.random() < 0.05 else time
        logs.request(
            i, p, turn=turn, user_id=user, is_test=test, requested_at=time, logged_at=logged
        )
    elif table == "responses":
        logs.response(i, p, turn=turn, responded_at=some([None, at(p)]), logged_at=logged)
    elif table == "components":
        position, pin = some([0, 1, 1, 2, None]), some([*(f"pin{k}" for k in range(9)), ""])
        seen = some([0, 1, 2, -1, 2**62])
        logs.pin(i, p, position, pin, turn=turn, impressions=seen, logged_at=logged)
    else:
        kind = some(["interaction", "query", "response", "component", "component", "other", None])
        subject = some([f"pin{k}" for k in range(11)]) if kind == "component" else i
        score = some([0.0, 0.25, 0.5, 0.5, 1.0, -0.5, 1.5, math.nan, None])
        scored = some([None, at(p, 1), at(p, 2)])
        policy = some([*POLICIES, *POLICIES, "other", None])
        logs.score(kind, subject, score, p, policy, turn=turn, scored_at=scored, logged_at=logged)


def _time(chance: random.Random, p: int, offset: int) -> Any:
    return at(p + offset, chance.randrange(24), chance.randrange(60))


def write_shuffled(logs: Logs, seed: int) -> None:
    """The same rows in another order, in one to three files a day."""
    chance = random.Random(seed)
    logs.write(("users",), range(-8, 8))
    for table in LOGGED:
        for p in range(min(DAYS) - 1, max(DAYS) + 4):
            rows = list(logs.rows[table][p])
            chance.shuffle(rows)
            pieces = chance.choice([1, 2, 3])
            for piece in range(pieces):
                path = logs.folder(table, p) / f"part-{piece}.parquet"
                write_rows(table, rows[piece::pieces], path)


@pytest.fixture(params=[(1, 1), (3, 0), (4, 2)], ids=lambda p: f"seed{p[0]}-late{p[1]}")
def case(request, tmp_path, engine):
    """Expected and built records of every day."""
    seed, late = request.param
    logs = soup(tmp_path, seed)
    write_shuffled(logs, seed)
    expected = Oracle(logs, late, POLICIES).expected()
    reach = range(min(DAYS) - 1, max(DAYS) + 2)
    built = {d: build(engine, programme(late_days=late), tmp_path, day(d)) for d in reach}
    return logs, expected, built


def test_every_row_has_the_fate_that_the_rules_give(case):
    logs, expected, built = case
    for d, records in built.items():
        same_day(d, records, expected)
    _each_row_counted_once(logs, expected, built)


def same_day(d: int, records: Built, expected: Expected) -> None:
    """A day's records are those expected, every row of them."""
    for table in LOGGED:
        aside = {
            json.loads(r["row_json"])["tag"]: r["reason"]
            for r in records.quarantine
            if r["source_table"] == table
        }
        assert aside == expected.aside(d, table), (d, table)
    _same_interactions(d, records, expected)


def _same_interactions(d: int, records: Built, expected: Expected) -> None:
    wanted = {i: turns for (day_, i), turns in expected.turns.items() if day_ == d}
    assert records.ids() == sorted(wanted)
    for row in records.interactions:
        turns = wanted[row["interaction_id"]]
        assert [t["turn"] for t in row["turns"]] == sorted(turns)
        pins = [c for _, _, shown in turns.values() for c in shown]
        assert row["n_turns"] == len(turns)
        assert row["n_components"] == len(pins)
        assert sum(len(t["components"]) for t in row["turns"]) == len(pins)
        assert row["exposure"] == sum(c["impressions"] for c in pins)
        assert row["started_at"] == expected.started[d, row["interaction_id"]]
        assert row["started_at"].date() == DAY + timedelta(days=d) == row["ds"]
        assert row["content_digest"] == content_digest(row["turns"])
        for turn in row["turns"]:
            shown = [(c["position"], c["component_id"]) for c in turn["components"]]
            assert shown == [(c["position"], c["component_id"]) for c in turns[turn["turn"]][2]]
            assert (turn["response_text"] is None) == (turns[turn["turn"]][1] is None)
        _same_scores(d, row, expected)


def _same_scores(d: int, row: dict[str, Any], expected: Expected) -> None:
    first, second = (expected.scores.get((d, row["interaction_id"], p)) for p in POLICIES)
    assert row["score_p1"] == (None if first is None else max(first))
    if second is None:
        assert row["score_p2"] is None
    else:
        assert row["score_p2"] == pytest.approx(1 - math.prod(1 - s for s in second), abs=1e-15)


def _each_row_counted_once(logs: Logs, expected: Expected, built: dict[int, Built]) -> None:
    for table in LOGGED:
        written = sum(len(rows) for rows in logs.rows[table].values())
        outside = sum(
            1 for (t, _), fate in expected.fates.items() if t == table and fate.day not in built
        )
        counted = sum(records.audit[table, "rows_in"] for records in built.values())
        assert counted + outside == written > 20
    used = Counter(t for (t, _), fate in expected.fates.items() if fate.reason is None)
    for table in LOGGED:
        assert sum(r.audit[table, "rows_used"] for r in built.values()) == used[table] > 5
    seen = {fate.reason for fate in expected.fates.values()}
    assert {"duplicate", "orphan", "too_late", "parent_quarantined", "no_response"} <= seen


def test_records_do_not_depend_on_the_order_or_the_files_of_rows(tmp_path, engine):
    logs = soup(tmp_path / "once", 7)
    again = soup(tmp_path / "again", 7)
    write_shuffled(logs, 1)
    write_shuffled(again, 2)
    first, second = (build(engine, programme(), x.base, DAY) for x in (logs, again))

    def rows(table):
        return sorted(json.dumps(row, sort_keys=True, default=str) for row in table)

    assert rows(first.interactions) == rows(second.interactions)
    assert rows(first.quarantine) == rows(second.quarantine)
    assert first.audit == second.audit
    assert len(first.interactions) > 20
    assert len(first.quarantine) > 20
