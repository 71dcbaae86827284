"""A written policy compiles to one prompt and one answer for machines and people alike."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime
from pathlib import Path

import jsonschema
import pytest

from baserate.labels import make_judge as judge_of_programme
from baserate.labels.judges.answer import answer_schema, cited_clause, exact_schema, read_answer
from baserate.labels.judges.base import judge_units
from baserate.labels.judges.prompt import written_system_text
from baserate.labels.policies import WrittenPolicy, load_policy, write_starters
from baserate.labels.render import WHOLE, SubjectKey
from baserate.labels.reviews import read_reviews
from baserate.labels.worklist import COLUMNS, write_worklist
from baserate.terms.programme import Policy
from baserate.terms.words import SubjectKind, Verdict

DAY, NOW = date(2026, 3, 1), datetime(2026, 3, 2, tzinfo=UTC)
R1 = SubjectKey(SubjectKind.RESPONSE, 1, 0)
FRUIT = "take this forbidden fruit"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    base = tmp_path_factory.mktemp("written")
    write_starters(base / "policies")
    return base


@pytest.fixture(scope="module")
def written(folder):
    return load_policy(folder / "policies" / "harassment.md")


@pytest.fixture
def named() -> Policy:
    return Policy(id="harassment", name="Harassment", document="policies/harassment.md")


@pytest.fixture
def judge(config, named, folder, tmp_path):
    made = judge_of_programme(config, folder, tmp_path / "answers.db", [named])
    yield made
    made.close()


def cites(server, clause: str, **more):
    """The server's model cites a clause for what violates, and none for the rest."""

    def respond(call):
        answer = server.honest_labels(call)
        for label in (answer["interaction"], *answer["parts"]):
            violates = label["verdict"] == "violating"
            label |= {"clause": clause if violates else "none"} | (more if violates else {})
        return server.completion(answer)

    server.respond = respond


def rows(judge, unit, policy):
    return judge_units(judge, [unit], [policy], ds=DAY, now=NOW).to_pylist()


# --- the prompt -----------------------------------------------------------------------------


def test_the_prompt_holds_the_whole_policy_in_its_order_and_nothing_of_the_unit(
    chat_server, judge, make_unit, named, written
):
    rows(judge, make_unit(response=FRUIT), named)
    (call,) = chat_server.calls
    assert call.system == written_system_text(written)
    assert FRUIT not in call.system
    headings = ["# What you are given", "# How to label", "# The policy: Harassment"]
    headings += ["## Definitions", "## Violates", "## Does not violate", "## Edge cases"]
    headings += ["## Examples", "## Severity", "# The answer"]
    places = [call.system.index(h) for h in headings]
    assert places == sorted(places)
    assert all(f"- {c.id} {c.title}: {c.text}" in call.system for c in written.clauses)
    assert call.user.startswith("Code of this unit: ")


def test_the_endpoint_is_held_to_the_schema_of_the_policy(
    chat_server, judge, make_unit, named, written
):
    cites(chat_server, "V1")
    rows(judge, make_unit(response=FRUIT), named)
    sent = chat_server.calls[0].body["response_format"]["json_schema"]["schema"]
    assert sent == exact_schema(answer_schema(written), ["q1", "r1", "p1.1"])
    label = sent["properties"]["interaction"]
    assert label["properties"]["clause"]["enum"] == [*written.citable, "none"]
    assert label["properties"]["severity"]["enum"] == [1, 2, 3, None]
    assert list(label["properties"])[:3] == ["reason", "clause", "verdict"]
    assert label["required"] == list(label["properties"])


# --- the answer -----------------------------------------------------------------------------


def test_the_clause_cited_is_stored_with_the_label(chat_server, judge, make_unit, named):
    cites(chat_server, "V2")
    found = rows(judge, make_unit(response=FRUIT), named)
    told = {r["subject_kind"]: (r["verdict"], r["clause"], r["severity"]) for r in found}
    assert told == {
        "interaction": ("violating", "V2", 2),
        "query": ("not_violating", None, None),
        "response": ("violating", "V2", 2),
        "component": ("not_violating", None, None),
    }
    assert judge.usage.uncited == 0
    again = rows(judge, make_unit(response=FRUIT), named)
    assert again == found
    assert len(chat_server.calls) == 1


@pytest.mark.parametrize("clause", ["N1", "V77", "X1", "D1", "", "none", 3, None])
def test_a_clause_that_cannot_carry_the_verdict_is_dropped_and_counted_and_the_verdict_stays(
    clause, chat_server, judge, make_unit, named
):
    cites(chat_server, clause)
    found = rows(judge, make_unit(response=FRUIT), named)
    assert [(r["verdict"], r["clause"]) for r in found if r["subject_kind"] == "response"] == [
        ("violating", None)
    ]
    assert judge.usage.uncited == 2


def test_a_severity_off_the_scale_is_dropped(chat_server, judge, make_unit, named):
    cites(chat_server, "V1", severity=4)
    found = rows(judge, make_unit(response=FRUIT), named)
    assert {r["severity"] for r in found} == {None}


def test_which_clause_carries_which_verdict(written):
    yes, no, unsure = Verdict.VIOLATING, Verdict.NOT_VIOLATING, Verdict.UNSURE
    carried = {
        (clause, verdict): cited_clause(clause, verdict, written) is not None
        for clause in ("V1", "N1", "E1", "D1", "X1")
        for verdict in (yes, no, unsure)
    }
    assert {key for key, is_carried in carried.items() if is_carried} == {
        ("V1", yes), ("N1", no), ("E1", yes), ("E1", no),
        ("V1", unsure), ("N1", unsure), ("E1", unsure),
    }  # fmt: skip


def test_an_answer_that_fits_the_schema_is_read_whole(written):
    label = {"reason": "urges others", "clause": "V2", "verdict": "violating"}
    label |= {"severity": 3, "probability": 0.97}
    answer = {"interaction": label, "parts": [{"id": "r1", **label}]}
    jsonschema.validate(answer, answer_schema(written))
    read = read_answer(json.dumps(answer), {"r1": R1}, written)
    assert read.verdicts[R1] == read.verdicts[WHOLE] == ("violating", 3, 0.97, "urges others", "V2")


# --- versions -------------------------------------------------------------------------------


def test_the_judges_version_changes_with_the_wording_and_not_with_the_layout(
    config, named, folder, tmp_path, written
):
    def version(text: str) -> str:
        base = tmp_path / str(len(list(tmp_path.iterdir())))
        (base / "policies").mkdir(parents=True)
        (base / "policies" / "harassment.md").write_text(text)
        judge = judge_of_programme(config, base, base / "cache.db", [named])
        judge.close()
        return judge.version_for(named)

    text = (folder / "policies" / "harassment.md").read_text()
    unsealed = text.replace(f'seal: "{written.seal}"\n', "")
    first = version(text)
    assert version(text.replace("\n## ", "\n\n## ")) == first
    assert version(unsealed) == first
    assert version(unsealed.replace("the child-safety lead", "the lead")) == first
    assert version(unsealed.replace("or wishes it", "or wants it")) != first
    plain = named.model_copy(update={"document": None, "definition": written.text()})
    judge = judge_of_programme(config, folder, tmp_path / "plain.db", [plain])
    judge.close()
    assert judge.version_for(plain) != first


# --- people ---------------------------------------------------------------------------------


def test_the_judges_version_holds_the_words_that_are_sent(judge, named, monkeypatch):
    before, words = judge.version_for(named), WrittenPolicy.text
    monkeypatch.setattr(WrittenPolicy, "text", lambda p: words(p).replace("## Violates", "## No"))
    assert judge.version_for(named) != before


def test_people_are_asked_for_the_same_fields_and_their_clause_comes_back(
    tmp_path, make_unit, named, written
):
    assert {"verdict", "clause", "severity", "confidence", "reason"} <= set(COLUMNS)
    unit = make_unit()
    filled = named.model_copy(update={"definition": written.text()})
    path = tmp_path / "work.csv"
    write_worklist([unit], [filled], path, salt="s" * 8)
    (row,) = csv.DictReader(io.StringIO(path.read_text()))
    assert row["policy_definition"] == written.text()
    row |= {"verdict": "violating", "clause": "v2", "labeler_id": "r7"}
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    found = read_reviews(
        [path],
        ds=DAY,
        selected_ids=["i1"],
        subjects={"i1": unit.keys},
        policies=[named],
        now=NOW,
    )
    assert [r["clause"] for r in found.labels.to_pylist()] == ["V2"]
