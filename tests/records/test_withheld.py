"""Who asked is stored behind a pseudonym, and what is dropped is stored nowhere."""

from __future__ import annotations

import hmac
import json

import pytest
from tests.records.awkward import DAY, TABLES, programme

from baserate.engines.pseudonyms import PseudonymKey
from baserate.engines.store import Store
from baserate.flows.stages import Stages
from baserate.flows.workspace import Workspace
from baserate.records import build_records
from baserate.terms.errors import PrivacyError, TableError

SECRET = b"0123456789abcdef0123456789abcdef"
KEY = PseudonymKey(SECRET)


def pseudonym(value):
    return hmac.new(SECRET, value.encode(), "sha256").hexdigest()[:32]


def withholding(**privacy):
    content = programme().model_dump() | {"privacy": {"key_env": "K", **privacy}}
    return type(programme()).model_validate(content)


@pytest.fixture
def stored(engine, logs):
    """Build a day and give its rows, its rows set aside, and all of both as one text."""

    def build(key=KEY, **privacy):
        logs.write(TABLES)
        built = build_records(engine, withholding(**privacy), logs.base, DAY, key)
        rows = engine.to_arrow(built.interactions).to_pylist()
        aside = engine.to_arrow(built.quarantine).to_pylist()
        return rows, aside, json.dumps([rows, aside], default=str, ensure_ascii=False)

    return build


def test_ids_are_stored_as_the_hmac_that_python_computes_and_joined_by_what_they_are(logs, stored):
    who = "ünïcode-日本-" + "x" * 300
    logs.user(who, country="FR").user(who, country="DE").user("staff-ann", is_internal=True)
    logs.whole("i", user_id=who, session_id="session-7", conversation_id="talk-1")
    logs.whole("j", user_id="staff-ann", session_id="session-8").whole("k")
    logs.request("i", user_id=who, session_id="session-7", turn=2)
    rows, aside, text = stored(pseudonyms=["user_id", "session_id"])
    first = next(r for r in rows if r["interaction_id"] == "i")
    assert (first["user_id"], first["session_id"]) == (pseudonym(who), pseudonym("session-7"))
    assert first["conversation_id"] == "talk-1"
    assert first["country"] in ("FR", "DE")
    assert next(r for r in rows if r["interaction_id"] == "k")["user_id"] is None
    (double,) = [r for r in aside if r["source_table"] == "users"]
    assert json.loads(double["row_key"]) == {"user_id": pseudonym(who)}
    assert {json.loads(r["row_json"]).get("user_id") for r in aside} == {
        None,
        pseudonym(who),
        pseudonym("staff-ann"),
    }
    assert not any(raw in text for raw in (who, "staff-ann", "session-7", "session-8"))


def test_an_id_is_hidden_in_every_table_that_has_a_column_of_its_name(logs, stored):
    logs.whole("i", user_id="ann").add("responses", interaction_id="gone", user_id="ann")
    _, aside, text = stored(pseudonyms=["user_id"])
    (orphan,) = aside
    assert json.loads(orphan["row_json"])["user_id"] == pseudonym("ann")
    assert '"ann"' not in text


def test_dropped_columns_are_stored_nowhere_and_rows_stay_apart(logs, stored):
    logs.user("u", country="FR")
    logs.request(user_id="u", query_text="my query", ip="10.0.0.1").response()
    for n in range(2):
        logs.request("gone", user_id="u", query_text="lost query", ip=f"10.0.0.{n + 2}")
    rows, aside, text = stored(
        drop={"requests": ["ip", "query_text", "user_id"], "users": ["user_id"]}
    )
    (row,) = rows
    assert row["turns"][0]["query_text"] is None
    assert (row["user_id"], row["country"]) == (None, "FR")
    assert [json.loads(r["row_json"])["ip"] for r in aside] == ["(dropped)"] * 2
    assert len({(r["row_key"], r["reason"], r["row_json"]) for r in aside}) == 2
    assert not any(raw in text for raw in ("10.0.0", "my query", "lost query"))


def test_a_misspelt_column_to_drop_is_named_rather_than_stored(logs, stored):
    logs.request(ip_address="10.0.0.1").response()
    with pytest.raises(TableError, match="did you mean 'ip_address'") as refused:
        stored(drop={"requests": ["ip_adress"]})
    assert refused.value.where == "privacy.drop.requests"


def test_pseudonyms_without_a_key_are_refused(logs, stored):
    logs.whole("i")
    with pytest.raises(PrivacyError, match="need a key"):
        stored(None, pseudonyms=["user_id"])


def test_a_workspace_keeps_to_its_first_key_and_stores_its_fingerprint_only(
    engine, logs, tmp_path, monkeypatch
):
    logs.whole("i", user_id="ann").write(TABLES)
    (tmp_path / "key").write_bytes(SECRET)

    def records(**privacy):
        made = withholding(pseudonyms=["user_id"], **privacy)
        with Store(logs.base, engine=engine) as store:
            return Stages(Workspace(logs.base, made, store, engine)).records(DAY)

    monkeypatch.setenv("K", SECRET.decode())
    assert records()
    assert not records()
    monkeypatch.setenv("K", "another key of thirty-two letters")
    with pytest.raises(PrivacyError, match=KEY.fingerprint) as refused:
        records()
    assert refused.value.code == "other_key"
    for given, code in (("", "no_key"), ("short", "weak_key")):
        monkeypatch.setenv("K", given)
        with pytest.raises(PrivacyError) as refused:
            records()
        assert refused.value.code == code
    with pytest.raises(PrivacyError) as refused:
        records(key_env=None, key_file="key")
    assert refused.value.code == "key_in_workspace"
    (tmp_path / "key").unlink()
    kept = b"".join(p.read_bytes() for p in logs.base.rglob("*") if p.is_file())
    assert SECRET not in kept
