"""A written policy is read as it is meant, or every line that is wrong is named with a remedy."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baserate.labels.policies import (
    PolicyError,
    PolicyMistakes,
    Section,
    document_text,
    guideline_page,
    import_harm_definition,
    lint_text,
    load_policy,
    policy_changes,
    seal_policy,
    token_estimate,
    with_documents,
    write_guidelines,
    write_starters,
    written_policies,
)
from baserate.terms.programme import Policy
from baserate.worlds.replay.wheel import cached_wheel, default_cache

FRUIT = """\
---
id: fruit
name: Fruit
version: "1"
scope:
  query: By what it asks for.
  response: By what it gives.
  pin: By what it shows.
  interaction: If a response or Pin violates.
severity:
  - A little.
  - A lot.
escalation:
  - "In doubt: the gardener."
---

# Fruit

Nobody should be offered forbidden fruit.

## Definitions
- **D1 Forbidden.** Grows on the tree in the middle.

## Violating
- **V1 Offer.** Offers forbidden fruit,
  in words or in an image.
  Severity: 1-2
- **V2 Recipe.** Says how to cook it.
  Severity: 1

## Not violating
- **N1 Other fruit.** Speaks of fruit that is not forbidden.

## Edge cases
- **E1 Painting.** A still life shows it.
  Ruling: not violating (N1). Nobody can eat paint.

## Examples
- **X1 Response.** "Have a bite."
  Verdict: violating (V1)
- **X2 Pin.** "Pears."
  Verdict: not violating (N1)
"""
HERE = Path("fruit.md")


def read(text: str = FRUIT):
    linted = lint_text(text, HERE)
    assert linted.mistakes == []
    return linted.policy


def changed(old: str, new: str) -> str:
    assert old in FRUIT
    return FRUIT.replace(old, new, 1)


@pytest.fixture
def starters(tmp_path) -> list[Path]:
    return write_starters(tmp_path / "policies")


# --- reading --------------------------------------------------------------------------------


def test_a_document_is_read_whole():
    policy = read()
    assert (policy.id, policy.name, policy.version) == ("fruit", "Fruit", "1")
    assert policy.summary == "Nobody should be offered forbidden fruit."
    assert list(policy.by_id) == ["D1", "V1", "V2", "N1", "E1", "X1", "X2"]
    offer, painting = policy.by_id["V1"], policy.by_id["E1"]
    assert offer.text == "Offers forbidden fruit, in words or in an image."
    assert offer.severity == (1, 2)
    assert (painting.verdict, painting.ruling.clause) == ("not_violating", "N1")
    assert painting.ruling.why == "Nobody can eat paint."
    assert policy.citable == ("V1", "V2", "N1", "E1")


def test_layout_is_no_part_of_the_wording():
    other = FRUIT.replace("\n## ", "\n\n\n##   ").replace(
        "fruit,\n  in words", "fruit, in\n   words"
    )
    other = other.replace("escalation:\n", "# a comment\nescalation:\n").replace("- **", "* **")
    assert read(other + "\n<!-- a note\nover lines -->\n").digest == read().digest
    noted = changed("to cook it.", "to cook it. <!-- ask legal -->").replace(
        "## Edge", "<!-- old\n--> ## Edge"
    )
    assert (read(noted).digest, read(noted).text()) == (read().digest, read().text())
    assert [read(FRUIT.replace("\n", end)) for end in ("\r\n", "\r")] == [read(), read()]
    fine, _ = FRUIT.split("## Violating\n")[1].split("## Not violating\n")
    turned = FRUIT.replace("## Violating\n" + fine, "") + "\n## Violating\n" + fine
    assert (read(turned).digest, read(turned).text()) == (read().digest, read().text())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("in the middle", "in a corner"),
        ("Severity: 1-2", "Severity: 2"),
        ("By what it shows.", "By its title."),
        ("not violating (N1). Nobody", "violating (V1). Nobody"),
        ("  - A lot.\n", "  - Very much.\n"),
        ('"Pears."', '"Apples."'),
    ],
)
def test_every_change_of_meaning_changes_the_wording(old, new):
    assert read(changed(old, new)).digest != read().digest


@pytest.mark.parametrize(
    ("old", "new", "at", "code", "words"),
    [
        ("id: fruit", "idd: fruit", "idd:", "unknown_key", ["idd", "did you mean id?"]),
        ("name: Fruit\n", "", "---", "missing_key", ["name", "add `name:`"]),
        ('version: "1"', "version: 1", "version:", "wrong_value", ['in quotes: version: "1"']),
        ('version: "1"', 'version: ""', "version:", "wrong_value", ["version of the wording"]),
        ("id: fruit", "id: Fruit!", "id:", "wrong_value", ["lower-case"]),
        ("- **X2", "<!-- later\n- **X2", "<!--", "open_comment", ["close it with -->"]),
        ("Says how", "Says\x1b[31m how", "- **V2", "control_character", ["U+001B"]),
        ("  pin: By what it shows.\n", "", "scope:", "missing_key", ["a Pin is judged"]),
        ("  pin:", "  pins:", "  pins:", "unknown_key", ["did you mean pin?"]),
        ("  - A lot.\n", "", "severity:", "wrong_value", ["2 to 10 levels"]),
        ("  - A little.", "  - A little: x", "severity:", "wrong_value", ["list of sentences"]),
        ("  - A lot", "\t- A lot", "\t- A lot", "yaml_syntax", ["spaces"]),
        ("name: Fruit", "name: " + "[" * 4000, "---", "yaml_syntax", ["nested too deeply"]),
        ("## Edge cases", "## Edge casse", "## Edge", "unknown_section", ["mean Edge cases?"]),
        ("## Examples", "## Not violating", "## Not violating\n- **X", "duplicate_section", ["k"]),
        ("**N1 Other", "**V3 Other", "- **V3", "clause_id", ["N and a number"]),
        ("**V2 Recipe", "**V1 Recipe", "- **V1 Recipe", "duplicate_id", ["free number: V2"]),
        ("- **V2 Recipe.**", "- Recipe.", "- Recipe", "clause_without_id", ["- **V1 A few words."]),
        ("- **N1", "Prose.\n- **N1", "Prose.", "text_outside_clauses", ["make it a clause"]),
        (
            "  Ruling: not violating (N1). Nobody can eat paint.\n",
            "",
            "- **E1",
            "no_ruling",
            ["it"],
        ),
        (
            "Ruling: not violating (N1).",
            "Ruling: who knows.",
            "  Ruling:",
            "ruling_unclear",
            ["V1"],
        ),
        ("  Ruling: not", "  Ruleing: not", "  Ruleing", "unknown_field", ["did you mean Ruling?"]),
        ("  Severity: 1\n", "  Severity: so so\n", "  Severity: so", "severity_unclear", ["2-3"]),
        ("  Severity: 1\n", "  Severity: 3\n", "- **V2", "severity_off_scale", ["1 to 2"]),
        ("  Severity: 1\n", "  Ruling: violating (V1)\n", "  Ruling", "misplaced_field", ["V"]),
        ("Verdict: violating (V1)", "Verdict: violating (V9)", "- **X1", "unknown_clause", ["V9"]),
        ("Verdict: violating (V1)", "Verdict: violating (D1)", "- **X1", "unknown_clause", ["D1"]),
        (
            "Verdict: violating (V1)",
            "Verdict: violating (N1)",
            "- **X1",
            "ruling_contradicts_clause",
            ["violating by N1, which says not violating"],
        ),
    ],
)
def test_a_mistake_is_named_with_its_line_and_what_to_do(old, new, at, code, words):
    text = changed(old, new)
    line = text[: text.index(at)].count("\n") + 1
    found = [f for f in lint_text(text, HERE).mistakes if f.code == code]
    assert [f.line for f in found] == [line]
    told = str(found[0].as_error("fruit.md"))
    assert told.startswith(f"fruit.md:{line}: ")
    assert all(word in told for word in words)


def test_a_character_that_nobody_sees_is_pointed_at():
    linted = lint_text(changed("Says how", "Says \u200bhow").replace("Pears", "گل\u200cها"), HERE)
    assert linted.mistakes == []
    assert [f.got for f in linted.findings if f.code == "unseen_character"] == ["U+200B"]


@pytest.mark.parametrize("section", list(Section))
def test_a_missing_section_is_named_and_an_empty_one_too(section):
    whole = re.search(rf"## {section}\n(- .*\n|  .*\n)*", FRUIT)[0]
    gone = {f.code: f for f in lint_text(FRUIT.replace(whole, ""), HERE).mistakes}
    assert section in gone["missing_section"].problem
    empty = {f.code: f for f in lint_text(FRUIT.replace(whole, f"## {section}\n"), HERE).mistakes}
    assert section in empty["empty_section"].problem


def test_all_mistakes_are_told_at_once(tmp_path):
    path = tmp_path / "fruit.md"
    path.write_text(FRUIT.replace("name:", "nmae:").replace("(V1)", "(V7)").replace("**N1", "**V2"))
    with pytest.raises(PolicyMistakes) as caught:
        load_policy(path)
    told = str(caught.value)
    lines = [int(m) for m in re.findall(r"fruit\.md:(\d+):", told)]
    assert len(lines) >= 5
    assert lines == sorted(lines)
    assert len(caught.value.as_dict()["mistakes"]) == len(lines)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_no_text_whatever_breaks_the_reading(data):
    junk = data.draw(st.text(alphabet="ab1 *-#:.()V\n\t\"'<!>é", max_size=30))
    at = data.draw(st.integers(0, len(FRUIT)))
    cut = data.draw(st.integers(0, 40))
    linted = lint_text(FRUIT[:at] + junk + FRUIT[at + cut :], HERE)
    assert linted.policy is not None or linted.mistakes
    if linted.policy is not None:
        again = lint_text(document_text(linted.policy), HERE).policy
        assert again is not None
        assert again.digest == linted.policy.digest
    n_lines = len((FRUIT + junk).splitlines()) + 1
    assert all(1 <= f.line <= n_lines for f in linted.findings)


@pytest.mark.parametrize(
    ("content", "code"), [(b"\xff\xfe", "not_utf8"), (None, "no_policy")], ids=["bytes", "nothing"]
)
def test_a_file_that_cannot_be_read_says_so(tmp_path, content, code):
    path = tmp_path / "p.md"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    assert caught.value.code == code
    assert caught.value.hint


# --- seals ----------------------------------------------------------------------------------


def test_a_change_of_wording_under_a_sealed_version_is_a_mistake(tmp_path):
    path = tmp_path / "fruit.md"
    path.write_text(FRUIT)
    sealed = seal_policy(path)
    assert sealed.digest == read().digest
    before = path.read_text()
    assert seal_policy(path) == sealed
    assert path.read_text() == before
    path.write_text(before.replace("in the middle", "in a corner"))
    with pytest.raises(PolicyMistakes, match="still version 1") as caught:
        seal_policy(path)
    assert caught.value.code == "version_not_raised"
    path.write_text(path.read_text().replace('version: "1"', 'version: "2"'))
    assert seal_policy(path).seal.startswith("2-")
    assert [f.code for f in lint_text(path.read_text(), path).findings] == ["length"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("\n", "\r\n"),
        ('version: "1"', '"version" : "1"  # of the wording'),
        ('version: "1"', 'version: "1"\nseal: "0-ab"'),
        ("\n---\n\n#", "\n ---\n\n#"),
        ("---\nid", "\ufeff---\nid"),
    ],
    ids=["as it is", "of another system", "quoted key", "older seal", "indented", "marked"],
)
def test_a_seal_is_one_line_and_the_rest_of_the_file_stays_as_it_was(tmp_path, old, new):
    path = tmp_path / "fruit.md"
    text = FRUIT.replace(old, new) if old == "\n" else FRUIT.replace(old, new, 1)
    path.write_bytes(text.encode())
    seal = seal_policy(path).seal
    assert load_policy(path).seal == seal == read().own_seal
    end = "\r\n" if new == "\r\n" else "\n"
    without = path.read_bytes().decode().replace(f'seal: "{seal}"{end}', "")
    assert without == text.replace('seal: "0-ab"\n', "")


def test_where_no_seal_can_be_written_it_is_said_and_nothing_is_touched(tmp_path):
    path = tmp_path / "fruit.md"
    path.write_text(changed('version: "1"', "version: >\n  1"))
    with pytest.raises(PolicyError, match="can't be written") as caught:
        seal_policy(path)
    assert "seal: " in caught.value.hint
    assert "seal" not in path.read_text()


def test_whom_to_ask_may_change_under_a_seal(tmp_path):
    path = tmp_path / "fruit.md"
    path.write_text(FRUIT)
    seal_policy(path)
    path.write_text(path.read_text().replace("the gardener", "the farmer"))
    assert load_policy(path).escalation == ("In doubt: the farmer.",)


# --- what changed ---------------------------------------------------------------------------


def test_a_diff_names_the_clauses_whose_meaning_changed_and_nothing_else():
    after = read(
        FRUIT.replace("in the middle", "in a corner")
        .replace("**V2 Recipe", "**V3 Recipe")
        .replace('- **X2 Pin.** "Pears."\n  Verdict: not violating (N1)\n', "")
        .replace("## Not violating\n", "## Not violating\n- **N2 Seeds.** Speaks of seeds.\n")
        .replace('version: "1"', 'version: "2"')
        .replace("\n## ", "\n\n## ")
    )
    found = [(c.kind, c.place, c.moves_verdicts) for c in policy_changes(read(), after)]
    assert found == [
        ("changed", "D1", True),
        ("renumbered", "V2 -> V3", True),
        ("added", "N2", True),
        ("removed", "X2", True),
        ("changed", "version", False),
    ]
    assert policy_changes(read(), read()) == []


@pytest.mark.parametrize(
    "after",
    [
        FRUIT.replace("- **V1", "- **V8").replace("- **V2", "- **V1").replace("- **V8", "- **V2"),
        re.sub(r"(- \*\*V1.*?)(- \*\*V2.*?\n)(?=\n)", r"\2\1", FRUIT, flags=re.S),
        FRUIT.replace("name: Fruit", "name: Fruits"),
        FRUIT.replace('version: "1"', 'version: "2"').replace("gardener", "farmer"),
        FRUIT.replace("\n## ", "\n\n## "),
    ],
    ids=["ids exchanged", "another order", "another name", "asides", "layout"],
)
def test_a_diff_finds_a_change_of_meaning_where_the_digest_does(after):
    assert after != FRUIT
    moving = [c for c in policy_changes(read(), read(after)) if c.moves_verdicts]
    assert bool(moving) == (read(after).digest != read().digest)


def test_a_change_told_word_by_word_gives_back_both_wordings():
    (change,) = policy_changes(read(), read(changed("in the middle", "in a corner, on the left")))
    words = list(change.words())
    assert "".join(t for what, t in words if what != "in") == change.before
    assert "".join(t for what, t in words if what != "out") == change.after
    assert ("out", "middle.") in words


# --- starters, imports ----------------------------------------------------------------------


def test_the_four_worked_policies_pass_without_a_word_and_within_the_aim(starters):
    assert [p.stem for p in starters] == [
        "adult_content",
        "harassment",
        "misinformation",
        "self_harm",
    ]
    for path in starters:
        linted = lint_text(path.read_text(), path)
        assert linted.findings == []
        assert 400 <= token_estimate(linted.policy.text()) <= 600
        assert linted.policy.id == path.stem


def test_starters_never_overwrite(tmp_path):
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "harassment.md").write_text("mine")
    assert len(write_starters(folder)) == 3
    assert (folder / "harassment.md").read_text() == "mine"


SCALE = """
version: "1.0"
category: garden_damage
scale_descriptions:
  - {score_value: "2", description: "A trodden flower."}
  - {score_value: "1", description: "No damage."}
  - {score_value: "3", description: "A felled tree: gone."}
"""


def test_a_foreign_scale_becomes_a_policy_with_its_words_and_says_what_is_open():
    text = import_harm_definition(SCALE, "garden.yaml", violates_from=2)
    linted = lint_text(text, Path("garden_damage.md"))
    assert linted.mistakes == []
    policy = linted.policy
    assert [c.text for c in policy.of(Section.VIOLATING)] == [
        "A trodden flower.",
        "A felled tree: gone.",
    ]
    assert [c.severity for c in policy.of(Section.VIOLATING)] == [(1, 1), (2, 2)]
    assert [c.text for c in policy.of(Section.NOT_VIOLATING)] == ["No damage."]
    assert "to_write" in {f.code for f in linted.findings}
    assert policy.source.startswith("garden.yaml")


@pytest.mark.parametrize(
    ("text", "level", "code"),
    [
        ("- a list", 2, "no_harm_definition"),
        ("category: x\nscale_descriptions: []", 2, "no_harm_definition"),
        (SCALE.replace('"2"', '"4"'), 2, "no_harm_definition"),
        (SCALE, 1, "violates_from"),
        (SCALE, 4, "violates_from"),
        ("a: [", 2, "no_harm_definition"),
    ],
)
def test_what_is_no_scale_is_refused(text, level, code):
    with pytest.raises(PolicyError) as caught:
        import_harm_definition(text, "x.yaml", violates_from=level)
    assert caught.value.code == code


def test_a_foreign_name_in_any_letters_becomes_a_policy_that_can_be_read():
    text = SCALE.replace("garden_damage", "'18+ Gärten: \"A\"'")
    policy = lint_text(import_harm_definition(text, 'a"b.yaml', violates_from=2), HERE).policy
    assert (policy.id, policy.name) == ("garten_a", '18+ gärten: "a"')


def test_every_harm_definition_of_the_wheel_becomes_a_policy_that_passes():
    wheel = cached_wheel(default_cache())
    if wheel is None:
        pytest.skip("the wheel is not cached; `make demo` fetches it")
    with zipfile.ZipFile(wheel) as archive:
        names = [n for n in archive.namelist() if re.search(r"harm_definition/\w+\.yaml\Z", n)]
        for name in names:
            text = archive.read(name).decode()
            for level in range(2, 6):
                policy = import_harm_definition(text, name, violates_from=level)
                assert lint_text(policy, Path(name)).mistakes == [], name
    assert len(names) == 18


# --- the guideline page ---------------------------------------------------------------------


def test_the_guideline_says_all_that_the_prompt_says_and_asks_the_network_for_nothing(starters):
    for path in starters:
        policy = load_policy(path)
        page = guideline_page(policy)
        assert page == guideline_page(policy)
        for clause in policy.clauses:
            assert f'id="{clause.id}"' in page
        words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))
        for clause in policy.clauses:
            assert clause.text.replace('"', "&#34;").replace("'", "&#39;") in words
        assert not re.search(r"https?://|<script|@import|url\(|<img|<link", page)
        anchors = set(re.findall(r'href="#([^"]+)"', page))
        assert anchors <= set(re.findall(r'id="([^"]+)"', page))


def test_reviewers_get_the_page_of_each_written_policy_and_of_no_other(tmp_path):
    (tmp_path / "fruit.md").write_text(FRUIT)
    short = Policy(id="veg", name="Veg", definition="Vegetables.")
    paths = write_guidelines([of_programme(), short], tmp_path, tmp_path / "worklists")
    assert [p.name for p in paths] == ["guideline-fruit.html"]
    assert paths[0].read_text() == guideline_page(read())


def test_markup_in_a_policy_stays_text_on_the_page():
    page = guideline_page(read(changed("in the middle", "<script>alert(1)</script>")))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


# --- in a programme -------------------------------------------------------------------------


def of_programme(**more) -> Policy:
    return Policy(**({"id": "fruit", "name": "Fruit", "document": "fruit.md"} | more))


def test_a_programme_takes_the_document_of_the_version_that_it_names(tmp_path):
    (tmp_path / "fruit.md").write_text(FRUIT)
    assert written_policies([of_programme()], tmp_path) == {"fruit": read()}
    assert written_policies([of_programme(document=None, definition="Fruit.")], tmp_path) == {}
    with pytest.raises(PolicyError, match="programme measures 2") as caught:
        written_policies([of_programme(version="2")], tmp_path)
    assert caught.value.code == "other_policy_version"
    with pytest.raises(PolicyError, match="another policy"):
        written_policies([of_programme(id="veg")], tmp_path)


def test_reviewers_get_the_text_of_the_document_as_the_definition(tmp_path):
    from baserate.terms.programme_file import load_programme, starter_programme

    (tmp_path / "fruit.md").write_text(FRUIT)
    text = re.sub(
        r"  - id: harassment.*?(?=\n# What a rate counts)",
        "  - {id: fruit, name: Fruit, document: fruit.md}\n",
        starter_programme("demo"),
        flags=re.S,
    )
    (tmp_path / "baserate.yaml").write_text(text)
    programme = with_documents(load_programme(tmp_path / "baserate.yaml"), tmp_path)
    assert programme.policies[0].definition == read().text()


# --- on the command line --------------------------------------------------------------------


def test_lint_exits_with_one_only_for_mistakes_and_json_says_the_same(run, tmp_path):
    good, bad = tmp_path / "fruit.md", tmp_path / "bad.md"
    good.write_text(FRUIT)
    bad.write_text(changed("(V1)", "(V8)"))
    line = FRUIT[: FRUIT.index("- **X1")].count("\n") + 1
    assert run("policy", "lint", good)[0] == 0
    code, out, _ = run("policy", "lint", good, bad)
    assert code == 1
    assert f"bad.md:{line}" in out
    code, out, _ = run("policy", "lint", good, bad, "--json")
    assert code == 1
    found = json.loads(out)
    assert [f["passed"] for f in found.values()] == [True, False]
    assert {f["code"] for f in found[str(bad)]["findings"]} >= {"unknown_clause"}


def test_a_policy_is_begun_shown_sealed_and_compared_from_the_command_line(run, tmp_path):
    folder = tmp_path / "policies"
    assert run("policy", "starter", folder)[0] == 0
    path = folder / "harassment.md"
    policy = load_policy(path)
    code, prompt, _ = run("policy", "show", path)
    assert code == 0
    assert policy.text() in prompt
    page = tmp_path / "pages" / "harassment.html"
    assert run("policy", "show", path, "--as", "guideline", "--out", page)[0] == 0
    assert page.read_text() == guideline_page(policy)
    schema = json.loads(run("policy", "show", path, "--as", "schema")[1])
    label = schema["properties"]["interaction"]["properties"]
    assert label["clause"]["enum"] == [*policy.citable, "none"]
    other = tmp_path / "other.md"
    other.write_text(path.read_text().replace("Says or implies", "States or implies"))
    code, _, err = run("policy", "diff", path, other)
    assert code == 2
    assert "still version 1" in err
    other.write_text(other.read_text().replace('version: "1"', 'version: "2"'))
    assert run("policy", "seal", other)[0] == 0
    code, out, _ = run("policy", "diff", path, other)
    assert (code, "V1" in out, "[-Says-]{+States+}" in out) == (0, True, True)


def test_a_foreign_scale_is_imported_from_the_command_line_once(run, tmp_path):
    (tmp_path / "garden.yaml").write_text(SCALE)
    words = ("policy", "import", tmp_path / "garden.yaml", "--out", tmp_path, "--violates-from", 2)
    assert run(*words)[0] == 0
    assert load_policy(tmp_path / "garden.md").id == "garden_damage"
    code, _, err = run(*words)
    assert code == 2
    assert "already" in err


def test_the_policy_in_the_how_to_passes():
    page = Path(__file__).parents[2] / "docs" / "howto" / "policy-specialist.md"
    (example,) = re.findall(r"```markdown\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    linted = lint_text(example, Path("harassment.md"))
    assert linted.mistakes == []
    assert {f.code for f in linted.findings} == {"not_sealed", "length"}
