"""A programme file is read as it is meant, or every line that is wrong is named with a remedy."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from baserate.terms.errors import ProgrammeError
from baserate.terms.programme import Programme
from baserate.terms.programme_file import (
    STARTER,
    ProgrammeMistakes,
    load_programme,
    programme_digest,
    programme_json_schema,
    starter_programme,
)

SMALL = """\
programme: demo
salt: "12345678"
tables:
  requests: {path: "requests/ds={ds}/*.parquet"}
  responses: {path: responses.parquet}
policies:
  - id: hate
    name: Hate
    definition: Attacks people.
judge:
  kind: local
  training: t.csv
sampling:
  human_budget: 0
"""


@pytest.fixture
def write(tmp_path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "baserate.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture
def mistakes(write):
    """The mistakes of a text as (line, error)."""

    def mistakes(text: str | bytes) -> dict[int, ProgrammeError]:
        path = write(text)
        with pytest.raises(ProgrammeError) as caught:
            load_programme(path)
        error = caught.value
        assert str(path) in str(error)
        found = error.mistakes if isinstance(error, ProgrammeMistakes) else [error]
        lines = {}
        for one in found:
            file, line = str(one.where).removeprefix(str(path)), 0
            line = int(file.split(":")[1]) if file else 0
            lines[line] = one
            assert str(one) in str(error).replace("\n    ", "\n  ")
            assert one.hint
        return lines

    return mistakes


def changed(old: str, new: str) -> str:
    assert SMALL.count(old) == 1
    return SMALL.replace(old, new)


def line_of(text: str, part: str) -> int:
    assert text.count(part) == 1
    return text[: text.index(part)].count("\n") + 1


# --- reading --------------------------------------------------------------------------------


def test_a_small_file_is_a_programme_with_defaults(write):
    programme = load_programme(write(SMALL))
    assert programme.programme == "demo"
    assert programme.sampling.judge_budget == 2000
    assert programme.tables.requests.path == "requests/ds={ds}/*.parquet"
    assert load_programme(str(write("\ufeff" + SMALL))) == programme


def test_a_key_without_a_value_counts_as_not_given(write):
    empty = SMALL + "gates:\n  #min_positives: 7\npivots:\n"
    assert load_programme(write(empty)) == load_programme(write(SMALL))


def test_anchors_and_merges_may_be_used(write):
    text = changed(
        "    definition: Attacks people.\n",
        "    definition: &d Attacks people.\n  - {id: more, name: More, definition: *d}\n",
    )
    text = text.replace("requests: {path", "requests: &r {path").replace(
        "  responses: {path: responses.parquet}", "  responses: {<<: *r, columns: {turn: t}}"
    )
    programme = load_programme(write(text))
    assert programme.policies[1].definition == "Attacks people."
    assert programme.tables.responses.path == programme.tables.requests.path


def test_dates_and_versions_stay_as_they_are_typed(write):
    policy = "    name: Hate\n"
    text = changed(policy, policy + "    version: 2026-01-31\n")
    assert load_programme(write(text)).policies[0].version == "2026-01-31"


# --- one mistake, one line, one remedy ------------------------------------------------------

ONE_MISTAKE = [
    # old, new, code, words of the error
    ("sampling:\n", "sampling:\n  judge_bugdet: 5\n", "unknown_key", ["did you mean judge_budget"]),
    ("sampling:\n", "judge_budget: 5\nsampling:\n", "unknown_key", ["belongs under sampling"]),
    ("sampling:\n", "sampling:\n  pivots: []\n", "unknown_key", ["outside every section"]),
    ("sampling:\n", "sampling:\n  frobnicate: 1\n", "unknown_key", ["one of design, judge_budget"]),
    ("    name: Hate\n", "    name: Hate\n    colour: x\n", "unknown_key", ["policies[0].colour"]),
    ("  training: t.csv\n", "  trianing: t.csv\n", "unknown_key", ["did you mean training"]),
    ('salt: "12345678"', "salt: 12345678", "wrong_value", ['quotes: salt: "12345678"']),
    ('salt: "12345678"', "salt: short", "wrong_value", ["8 character(s) or more"]),
    ("    name: Hate\n", "    name: No\n", "wrong_value", ["No, which YAML reads as false"]),
    ("    name: Hate\n", "    name: 1.10\n", "wrong_value", ['name: "1.10"']),
    ("human_budget: 0", 'human_budget: "0"', "wrong_value", ["a whole number", "without quotes"]),
    ("human_budget: 0", "human_budget: 0.5", "wrong_value", ["a whole number"]),
    ("human_budget: 0", "human_budget: yes", "wrong_value", ["a whole number", "yes"]),
    ("human_budget: 0", "human_budget: -1", "wrong_value", ["0 or more", "-1"]),
    ("human_budget: 0", "human_budget: [1]", "wrong_value", ["a list of 1"]),
    ("sampling:\n", "sampling:\n  control_share: .nan\n", "not_finite", ["finite"]),
    ("sampling:\n", "pivots: country\nsampling:\n", "wrong_value", ["pivots: [country]"]),
    ("sampling:\n", "sampling:\n  design: paretto\n", "unknown_word", ["did you mean pareto"]),
    ("sampling:\n", "estimands: [rate]\nsampling:\n", "unknown_word", ["exposure_rate"]),
    ("kind: local", "kind: locale", "unknown_word", ["local, openai", "did you mean local"]),
    ("programme: demo", "programme: My Demo!", "wrong_value", ["for example my_demo"]),
    ("sampling:\n", "sampling:\n  human_budget: 3\n", "duplicate_key", ["on line 15"]),
    ("sampling:\n", "no: 1\nsampling:\n", "key_not_text", ["reads as False", '"no":']),
    (
        "    definition: Attacks people.\n",
        "    definition: Attacks people.\n  - {id: b, definition: c}\n",
        "missing_key",
        ["policies[1].name is missing"],
    ),
]


@pytest.mark.parametrize(("old", "new", "code", "words"), ONE_MISTAKE)
def test_a_mistake_is_named_with_its_line_and_a_remedy(mistakes, old, new, code, words):
    text = changed(old, new)
    found = {line: e for line, e in mistakes(text).items() if e.code == code}
    assert len(found) == 1
    ((line, error),) = found.items()
    told = [
        n
        for n, (a, b) in enumerate(zip(text.split("\n"), SMALL.split("\n"), strict=False), 1)
        if a != b
    ]
    assert line in range(told[0], told[0] + 3)
    for word in words:
        assert word in str(error)


@pytest.mark.parametrize(
    ("gone", "near_line", "says"),
    [
        ('salt: "12345678"\n', 1, "permanent random numbers"),
        ("  responses: {path: responses.parquet}\n", 3, "one row per turn"),
        ("    name: Hate\n", 7, "as people read it"),
        ("  kind: local\n", 10, "kind: local"),
    ],
)
def test_what_is_missing_is_named_with_its_meaning(mistakes, gone, near_line, says):
    found = mistakes(changed(gone, ""))
    assert all(e.code == "missing_key" for e in found.values())
    assert near_line in found
    assert says in str(found[near_line])


def test_a_missing_section_is_named(mistakes):
    found = mistakes(SMALL[: SMALL.index("judge:")])
    assert "judge is missing" in str(found[1])


def test_a_misspelt_required_key_is_recognised(mistakes):
    text = changed("name:", "nmae:")
    problems = {e.code: str(e) for e in mistakes(text).values()}
    assert "did you write nmae for it?" in problems["missing_key"]
    assert "did you mean name?" in problems["unknown_key"]


def test_a_policy_has_a_definition_or_a_document_and_never_both(mistakes, write):
    written = "    document: policies/hate.md\n"
    either = changed("    definition: Attacks people.\n", written)
    assert load_programme(write(either)).policies[0].document == "policies/hate.md"
    (neither,) = mistakes(changed("    definition: Attacks people.\n", "")).values()
    assert "nothing says what violates" in str(neither)
    ((line, both),) = mistakes(SMALL.replace("judge:", written + "judge:")).items()
    assert "remove the definition" in str(both)
    assert SMALL.split("\n")[line - 2].strip().startswith("definition")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("sampling:\n", "sampling:\n\tdesign: pareto\n", "spaces"),
        ("    name: Hate\n", "    name: Hate: a policy\n", "quotes"),
        ("    name: Hate\n", '    name: "Hate\n', "quote is not closed"),
        ("    name: Hate\n", "    name: @hate\n", "quotes"),
        ("  kind: local\n", "   kind: local\n", "indented differently"),
        ("  kind: local\n", "  kind local\n", "colon"),
        ("sampling:\n", "---\nsampling:\n", "one programme"),
        ("    name: Hate\n", "    name: *hate\n", "quotes"),
        ("sampling:\n", "pivots: [country\nsampling:\n", "bracket"),
    ],
)
def test_what_is_not_yaml_is_named_with_its_line(mistakes, old, new, says):
    text = changed(old, new)
    ((line, error),) = mistakes(text).items()
    assert error.code == "yaml_syntax"
    begins = line_of(SMALL, old)
    assert line >= begins
    assert says in (error.hint or "")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "no_keys"),
        (b"# only a comment\n", "no_keys"),
        (b"- a\n- b\n", "no_keys"),
        (b"programme: caf\xe9\n", "not_utf8"),
        (b"programme: a\0b\n", "yaml_syntax"),
    ],
)
def test_what_holds_no_programme_at_all_is_said(mistakes, content, code):
    assert [e.code for e in mistakes(content).values()] == [code]


def test_a_file_that_is_not_there_or_a_folder_is_said(tmp_path):
    with pytest.raises(ProgrammeError, match="baserate init"):
        load_programme(tmp_path / "baserate.yaml")
    with pytest.raises(ProgrammeError, match="cannot be read"):
        load_programme(tmp_path)


def test_endless_and_exploding_aliases_are_refused(mistakes):
    assert [e.code for e in mistakes("a: &a [*a]\n").values()] == ["yaml_aliases"]
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
    )
    assert [e.code for e in mistakes(bomb).values()] == ["yaml_aliases"]


# --- contradictions between sections --------------------------------------------------------


def with_more(**sections: str) -> str:
    return SMALL + "".join(f"{name}: {value}\n" for name, value in sections.items())


USERS = "  users: {path: u.parquet, columns: {%s}}\n"
CONTRADICTIONS = [
    (changed("human_budget: 0", "human_budget: 10"), "there is no section reviews", 14),
    (changed("human_budget: 0", "human_budget: 9000"), "human_budget exceeds judge_budget", 14),
    (
        changed(
            "  human_budget: 0\n",
            "  human_budget: 0\n  control_share: 0.6\n  exposure_share: 0.5\n",
        ),
        "leave nothing to draw by score",
        15,
    ),
    (with_more(pivots="[country, contry]"), "did you mean country?", 15),
    (with_more(pivots="[country, country]"), "given twice", 15),
    (with_more(pivots="[tier]"), "map it: under tables.users.columns", 15),
    (changed("  human_budget: 0\n", "  human_budget: 0\n  strata: [x]\n"), "no column x", 15),
    (changed("judge:\n", "  - {id: hate, name: b, definition: c}\njudge:\n"), "hate is given", 10),
    (changed("policies:\n", USERS % "contry: land" + "policies:\n"), "did you mean country?", 6),
    (
        changed("policies:\n", USERS % "land: country" + "policies:\n"),
        "left is baserate's name, right is yours: write country: land",
        6,
    ),
    (changed("policies:\n", USERS % "tier: plan" + "policies:\n"), "add tier", 6),
    (
        changed("policies:\n", USERS % "prn: plan" + "policies:\n") + "pivots: [prn]\n",
        "for example, user_prn",
        6,
    ),
    (changed("responses.parquet", '"r/{date}.parquet"'), "{ds} for the day", 5),
]


@pytest.mark.parametrize(("text", "says", "line"), CONTRADICTIONS)
def test_a_contradiction_is_named_with_its_line(mistakes, text, says, line):
    found = mistakes(text)
    assert list(found) == [line]
    assert says in str(found[line])


def test_a_column_of_ones_own_may_be_a_pivot(write):
    text = changed("policies:\n", USERS % "tier: plan" + "policies:\n") + "pivots: [tier]\n"
    assert load_programme(write(text)).own_columns() == ("tier",)


# --- all at once ----------------------------------------------------------------------------


def test_all_mistakes_are_told_at_once_in_the_order_of_the_lines(write):
    text = (
        SMALL.replace("programme: demo", "programme: Demo")
        .replace("    name: Hate\n", "    nmae: Hate\n")
        .replace("human_budget: 0", "human_budget: none\n  design: best")
    )
    with pytest.raises(ProgrammeMistakes) as caught:
        load_programme(write(text))
    error = caught.value
    lines = [int(str(m.where).rsplit(":", 1)[1]) for m in error.mistakes]
    assert lines == sorted(lines)
    assert {1, 8, 14, 15} <= set(lines)
    assert error.code == "programme_mistakes"
    told = json.loads(json.dumps(error.as_dict()))
    assert [m["where"] for m in told["mistakes"]] == [m.where for m in error.mistakes]
    for mistake in error.mistakes:
        assert mistake.problem in str(error)
        assert mistake.hint in str(error)


def test_a_single_mistake_reads_like_itself(write):
    with pytest.raises(ProgrammeMistakes) as caught:
        load_programme(
            write(changed("design", "design") if "design" in SMALL else SMALL + "x: 1\n")
        )
    assert caught.value.code == "unknown_key"
    assert str(caught.value) == str(caught.value.mistakes[0])
    assert len(caught.value.as_dict()["mistakes"]) == 1


def test_the_salt_is_never_shown(write):
    with pytest.raises(ProgrammeError) as caught:
        load_programme(write(SMALL.replace("12345678", "hunter2")))
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in json.dumps(caught.value.as_dict())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_mangled_file_is_read_or_refused_with_a_place_but_never_crashes(tmp_path_factory, data):
    text = starter_programme("demo")
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 40))
    junk = data.draw(st.text(alphabet=st.sampled_from("ab: -#\n\t\"'[]{}&*!|>%@0.~"), max_size=8))
    path = tmp_path_factory.getbasetemp() / "mangled.yaml"
    path.write_text(text[:start] + junk + text[start + length :], encoding="utf-8")
    try:
        load_programme(path)
    except ProgrammeError as error:
        found = error.mistakes if isinstance(error, ProgrammeMistakes) else [error]
        assert all(str(m.where).startswith(f"{path}:") for m in found)


# --- digest, schema, starter ----------------------------------------------------------------


def test_the_digest_sees_what_is_said_and_not_how(write):
    digest = programme_digest(load_programme(write(SMALL)))
    assert re.fullmatch(r"p1-[0-9a-f]{32}", digest)
    same = "# a comment\n" + SMALL.replace(
        "{path: responses.parquet}", "\n    path: responses.parquet"
    )
    assert programme_digest(load_programme(write(same))) == digest
    spelt_out = SMALL + "  judge_budget: 2000\n"
    assert programme_digest(load_programme(write(spelt_out))) == digest
    other = SMALL.replace("12345678", "12345679")
    assert programme_digest(load_programme(write(other))) != digest


def test_the_schema_explains_every_key_and_fits_what_is_loaded():
    schema = programme_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(yaml.safe_load(SMALL))
    assert not validator.is_valid(yaml.safe_load(SMALL.replace("training", "trianing")))
    sections = [schema, *schema["$defs"].values()]
    for section in sections:
        for name, key in section.get("properties", {}).items():
            target = schema["$defs"].get(str(key.get("$ref", "")).rsplit("/", 1)[-1], {})
            explained = key.get("description") or target.get("description", "")
            assert explained or name == "kind", name
            assert "\n" not in explained


SCORERS = ("TextScorer", "ImageScorer", "PackageScorer")


def test_the_starter_is_a_programme_that_mentions_every_key(write):
    text = starter_programme("my_demo")
    programme = load_programme(write(text))
    assert programme.programme == "my_demo"
    assert programme.title == "My demo"
    assert text.startswith("# yaml-language-server: $schema=baserate.schema.json")
    said = {m.group(1) for m in re.finditer(r"^ *#?(?:- )?(\w+):", text, re.MULTILINE)}
    named = {
        name
        for section in _sections(Programme)
        for name in section.model_fields
        if section.__name__
        not in (
            "OpenAIJudge",
            "PanelJudge",
            "LookupReviews",
            "AnchorQuestions",
            "Images",
            *SCORERS,
        )
    }
    assert named - said == set()


def _sections(model):
    from baserate.terms.programme_tree import _sections as inner

    found = [model]
    for field in model.model_fields.values():
        for section in inner(field.annotation):
            found += _sections(section)
    return found


def test_the_starters_comments_come_true(write):
    text = starter_programme("demo")
    uncommented = re.sub(r"^( *)#(?=\S)(?!!)", r"\1", text, flags=re.MULTILINE)
    settings_shown = sum(
        a != b for a, b in zip(text.split("\n"), uncommented.split("\n"), strict=True)
    )
    assert settings_shown >= 20
    assert load_programme(write(uncommented)) == load_programme(write(text))


def test_the_starters_other_judge_can_be_taken(write):
    text = starter_programme("demo")
    block = text[text.index("# judge:") : text.index("# Where people's labels")]
    other = block.replace("# ", "", 1).replace("\n#", "\n").replace("\n ", "\n")
    start, end = text.index("judge:\n  kind: local"), text.index("# Or a language model")
    programme = load_programme(write(text[:start] + other + text[end:]))
    judge = programme.judge
    assert (judge.kind, judge.max_flip_rate, judge.max_cost) == ("openai", 0.02, 50)


def test_every_starter_has_a_salt_of_its_own():
    assert starter_programme("demo") != starter_programme("demo")
    assert "{salt}" in STARTER
