"""A site's own shapes by configuration: expressions, lists exploded, rows left out, errors."""

from __future__ import annotations

import hmac
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.records.awkward import DAY, at, programme

from baserate.engines.pseudonyms import PseudonymKey
from baserate.records import build_records, check_mapping
from baserate.terms.errors import ProgrammeError, TableError
from baserate.terms.programme import Programme
from baserate.terms.programme_file import load_programme

TWO = ("requests", "responses")
SECRET = b"0123456789abcdef0123456789abcdef"


def mapped(tables, **changes) -> Programme:
    """A programme with more said of some tables: ``requests={"where": ...}``."""
    content = programme(tables).model_dump(mode="json", exclude_none=True)
    for table, more in changes.items():
        content["tables"][table] |= more
    return Programme.model_validate(content)


def test_a_value_that_a_cast_cannot_keep_sets_aside_its_row_and_no_other(logs, run):
    for name, n in (("good", "3"), ("bad", "3.5"), ("none", None)):
        logs.request(name, turn=None, n=n).response(name, turn=None if n is None else 3)
    logs.write(TWO)
    made = mapped(TWO, requests={"expressions": {"turn": "cast(n as bigint)"}})
    built = run(made, write=False)
    assert {row["interaction_id"] for row in built.interactions} == {"good", "none"}
    (bad,) = [row for row in built.quarantine if row["source_table"] == "requests"]
    assert (bad["reason"], bad["detail"]) == (
        "invalid_value",
        "its expression cannot be had: turn,",
    )
    assert '"n":"3.5"' in bad["row_json"]
    assert built.audit["requests", "quarantined:invalid_value"] == 1


def test_rows_that_where_leaves_out_are_counted_once_and_nothing_else_is_lost(logs, run):
    for name, kind in (("ask", "a"), ("beat", "b"), ("none", None), ("wrong", "?")):
        logs.request(name, kind=kind, flag="x" if name == "wrong" else "1").response(name)
    logs.request("late", logged=1, kind="b", flag="1")
    logs.write(TWO, range(2))
    where = "kind = 'a' and cast(flag as bigint) = 1"
    built = run(mapped(TWO, requests={"where": where}), write=False)
    assert [row["interaction_id"] for row in built.interactions] == ["ask"]
    assert built.audit["requests", "left_out"] == 2, "the late one is left out of the next day"
    reasons = [r["reason"] for r in built.quarantine if r["source_table"] == "requests"]
    assert reasons == ["invalid_value"], "a row whose condition cannot be had is set aside"
    assert built.audit["requests", "rows_in"] == 2
    assert ("responses", "left_out") not in built.audit


def test_elements_of_a_list_become_rows_with_their_places(logs, run):
    for name in ("i", "empty", "missing"):
        logs.request(name)
    kind = pa.list_(pa.struct([("pin", pa.string()), ("seen", pa.string())]))
    shown = [[{"pin": "x", "seen": "2"}, None, {"pin": "y", "seen": "no"}], [], None]
    table = pa.table(
        {
            "interaction_id": ["i", "empty", "missing"],
            "response_text": ["r"] * 3,
            "shown": pa.array(shown, kind),
        }
    )
    logs.write(("requests",))
    pq.write_table(table, logs.folder("responses", 0) / "part-0.parquet")
    components = {
        "path": "responses/ds={ds}/*.parquet",
        "explode": {"item": "shown"},
        "expressions": {
            "position": "item_position",
            "component_id": "item.pin",
            "impressions": "cast(item.seen as bigint)",
        },
    }
    built = run(mapped((*TWO, "components"), components=components), write=False)
    (turn,) = built.one("i")["turns"]
    assert [(c["position"], c["component_id"], c["impressions"]) for c in turn["components"]] == [
        (1, "x", 2)
    ]
    aside = {r["reason"]: r for r in built.quarantine}
    assert set(aside) == {"missing_key", "invalid_value"}
    assert '"seen":"no"' in aside["invalid_value"]["row_json"]
    assert '"pin":"x"' not in aside["invalid_value"]["row_json"], "its own element, not the list"
    assert built.audit["components", "rows_in"] == 3
    assert len(built.interactions) == 3


@pytest.mark.parametrize(
    ("section", "said", "wanted"),
    [
        ("expressions: {turn: random()}", "random is not the same twice", "7"),
        ("expressions: {turn: (select 1)}", "no subquery", "7"),
        ("expressions: {turn: max(n)}", "no aggregate (max)", "7"),
        ("expressions: {turn: row_number() over ()}", "no window function", "7"),
        ("expressions: {turn: \"read_text('secrets')\"}", "reads nothing but the row", "7"),
        ("where: lowr(kind) = 'a'", "did you mean lower?", "7"),
        ("where: kind like 'a' and", "this is not an SQL expression", "7"),
        ("expressions: {turn: n, turnn: n}", "has no column turnn", "7"),
        ("explode: {item: shown::varchar}", "takes no cast", "7"),
        ('where: "x := 1"', "`:=` names nothing", "7"),
        (f"where: {'(' * 3000}a{')' * 3000}", "parts within parts", "7"),
        (f"where: {' + '.join(['n'] * 3000)} > 1", "parts within parts", "7"),
        ("expressions: {turn: 'floor(n, 1)'}", "does not take", "7"),
        ('expressions: {turn: "cast(t as decimal(10,2))"}', "length or a precision", "7"),
        ("columns: {turn: n}\n    expressions: {turn: n}", "mapped twice", "8"),
    ],
)
def test_what_a_mapping_does_not_take_is_refused_by_name_and_line(tmp_path, section, said, wanted):
    file = tmp_path / "baserate.yaml"
    file.write_text(
        "programme: p\nsalt: a-salt-of-tests\ntables:\n  responses: {path: a}\n  requests:\n"
        f"    path: a\n    {section}\npolicies: [{{id: p, name: P, definition: d}}]\n"
        "judge: {kind: local, training: t}\nsampling: {human_budget: 0}\n"
    )
    with pytest.raises(ProgrammeError) as caught:
        load_programme(file)
    assert said in str(caught.value)
    assert f"{file}:{wanted}" in str(caught.value)


@pytest.mark.parametrize(
    ("expressions", "said"),
    [
        ({"turn": "n / 2"}, "put a cast around it: cast(... as bigint)"),
        ({"surface": "lower(s)"}, "s is no text but struct"),
        ({"turn": "nn + 1"}, "did you mean n?"),
        ({"surface": "interaction_id ->> '$'"}, "must lead into the text"),
        ({"query_text": "s.b"}, "'s' has no field 'b'"),
        ({"surface": "case when n then 'a' end"}, "a condition must be true or false, not int64"),
        ({"is_test": "n = 'a'"}, "int64 and string are not compared"),
        ({"requested_at": "epoch_ms(s.a)"}, "a time is made from a whole number, not from string"),
    ],
)
def test_an_expression_that_does_not_fit_is_named_by_doctor_and_by_the_build(
    logs, run, expressions, said
):
    logs.response("i").write(("responses",))
    made = pa.table({"interaction_id": ["i"], "requested_at": [at()], "n": [1], "s": [{"a": "x"}]})
    pq.write_table(made, logs.folder("requests", 0) / "part-0.parquet")
    wrong = mapped(TWO, requests={"expressions": expressions})
    for look in (
        lambda: check_mapping(wrong, "requests", logs.base),
        lambda: run(wrong, write=False),
    ):
        with pytest.raises(TableError) as caught:
            look()
        assert said in str(caught.value)
        assert caught.value.where == f"tables.requests.expressions.{next(iter(expressions))}"


def test_doctor_tries_the_expressions_on_a_real_file(logs):
    for k in range(5):
        logs.request(f"i{k}", kind="a" if k else "b", n="x" if k == 4 else str(k))
    logs.write(TWO, range(1))
    more = {"where": "kind = 'a'", "expressions": {"turn": "cast(n as bigint)"}}
    told = check_mapping(mapped(TWO, requests=more), "requests", logs.base)
    assert told.endswith("tried: 4 rows of this table, 1 left out, 1 with no value for turn")


def test_what_is_withheld_stays_so_whatever_an_expression_makes_of_it(engine, logs):
    logs.request("i", who="urn:ann", mail="ann@home").request("gone", who="urn:bob", mail="b@home")
    logs.response("i")
    logs.write(TWO, range(1))
    pins = {"interaction_id": ["i", "lost"], "notes": [["secret one"], ["secret two"]]}
    file = logs.folder("components", 0) / "part-0.parquet"
    pq.write_table(pa.table(pins), file)
    requests = {"expressions": {"user_id": "replace(who, 'urn:', '')", "surface": "lower(mail)"}}
    components = {
        "explode": {"note": "notes"},
        "expressions": {"position": "note_position", "component_id": "md5('x')", "title": "note"},
    }
    made = mapped((*TWO, "components"), requests=requests, components=components)
    drop = {"requests": ["mail"], "components": ["notes"]}
    privacy = {"key_env": "K", "pseudonyms": ["user_id"], "drop": drop}
    made = Programme.model_validate(made.model_dump(mode="json") | {"privacy": privacy})
    built = build_records(engine, made, logs.base, DAY, PseudonymKey(SECRET))
    (row,) = engine.to_arrow(built.interactions).to_pylist()
    aside = engine.to_arrow(built.quarantine).to_pylist()
    assert len(row["user_id"]) == 32
    assert (row["surface"], row["turns"][0]["components"][0]["title"]) == (None, None)
    assert {r["reason"] for r in aside} == {"no_response", "orphan"}
    text = str([row, aside])
    (bob,) = [json.loads(r["row_json"])["who"] for r in aside if r["reason"] == "no_response"]
    assert bob == hmac.new(SECRET, b"bob", "sha256").hexdigest()[:32], "found when bob is erased"
    assert not any(raw in text for raw in ("ann", "bob", "home", "secret"))
