"""A judge without a network: learns from a file, is the same every time, names what is wrong."""

from __future__ import annotations

import csv
import json
import random
import time
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from baserate.labels import make_judge
from baserate.labels.judges.base import judge_units
from baserate.labels.judges.local import LocalTextJudge
from baserate.labels.judges.training import Training, read_training
from baserate.labels.render import render_unit
from baserate.terms.errors import LabelError
from baserate.terms.programme import Policy
from baserate.terms.programme_labelers import LocalJudge

POLICIES = [Policy(id=p, name=p, definition="x") for p in ("fruit", "veg")]
PLAIN = ["a bowl of soup", "bread and butter", "a cup of tea", "soup with bread", "butter tea"]
WORDS = {"fruit": ["apple pie", "pear tart", "apple juice"], "veg": ["leek stew", "raw carrot"]}


def training_rows(n=60, seed=0):
    rng = random.Random(seed)
    rows = []
    for policy, words in WORDS.items():
        for _ in range(n):
            violating = rng.random() < 0.4
            text = f"{rng.choice(PLAIN)} {rng.choice(words) if violating else rng.choice(PLAIN)}"
            rows.append({"text": text, "policy": policy, "violating": violating})
    return rows


@pytest.fixture
def training_file(tmp_path):
    path = tmp_path / "training.parquet"
    pq.write_table(pa.Table.from_pylist(training_rows()), path)
    return path


def fitted(path, threshold=0.5, policies=POLICIES):
    config = LocalJudge(kind="local", training=path.name, threshold=threshold)
    return make_judge(config, path.parent, path.parent / "unused.db", policies)


def run(judge, units, policies=POLICIES):
    return judge_units(
        judge, units, policies, ds=date(2026, 3, 1), now=datetime(2026, 3, 2, tzinfo=UTC)
    )


def rows_of(table, policy):
    return [r for r in table.to_pylist() if r["policy"] == policy]


def test_it_finds_per_policy_what_it_was_shown(training_file, make_unit):
    judge = fitted(training_file)
    table = run(judge, [make_unit("a", response="soup and apple juice"), make_unit("b")])
    by = {(r["interaction_id"], r["policy"], r["subject_kind"]): r for r in table.to_pylist()}
    assert by["a", "fruit", "response"]["verdict"] == "violating"
    assert by["a", "fruit", "interaction"]["verdict"] == "violating"
    assert by["a", "veg", "response"]["verdict"] == "not_violating"
    assert by["b", "fruit", "interaction"]["verdict"] == "not_violating"
    assert {r["labeler_kind"] for r in by.values()} == {"local_judge"}


def test_the_whole_is_the_worst_of_what_was_shown_and_a_query_alone_does_not_violate(
    training_file, make_unit
):
    judge = fitted(training_file)
    unit = make_unit("a", query="apple pie", pins=(("bread", ""), ("raw carrot", "tea")))
    table = run(judge, [unit])
    for policy in ("fruit", "veg"):
        whole, query, *shown = rows_of(table, policy)
        assert whole["confidence"] == max(r["confidence"] for r in shown)
        assert query["verdict"] == ("violating" if policy == "fruit" else "not_violating")
    assert rows_of(table, "fruit")[0]["verdict"] == "not_violating"
    assert rows_of(table, "veg")[0]["verdict"] == "violating"


def test_the_threshold_decides_and_confidence_does_not_depend_on_it(training_file, make_unit):
    unit = make_unit("a", response="apple tea")
    lax, strict = fitted(training_file, 0.05), fitted(training_file, 0.999)
    one, two = rows_of(run(lax, [unit]), "fruit"), rows_of(run(strict, [unit]), "fruit")
    assert [r["confidence"] for r in one] == [r["confidence"] for r in two]
    assert (one[0]["verdict"], two[0]["verdict"]) == ("violating", "not_violating")
    assert lax.version != strict.version


def test_a_pin_that_is_only_an_image_has_no_label_and_the_whole_rests_on_the_rest(training_file):
    turn = {
        "turn": 1,
        "query_text": "tea",
        "response_text": "apple pie",
        "is_refusal": False,
        "components": [{"position": 1, "title": "", "description": None, "image_ref": "a.png"}],
    }
    unit = render_unit({"interaction_id": "a", "turns": [turn], "content_digest": ""})
    whole, _, _, pin = rows_of(run(fitted(training_file), [unit]), "fruit")
    assert whole["verdict"] == "violating"
    assert (pin["verdict"], pin["reason"], pin["confidence"]) == (
        "no_label",
        "cannot_decide",
        None,
    )


def test_the_same_file_gives_the_same_version_and_the_same_bytes(training_file, make_unit):
    units = [make_unit(f"u{k}", response=f"{w} {k}") for k, w in enumerate(PLAIN)]
    one, two = fitted(training_file), fitted(training_file)
    assert one.version == two.version
    assert run(one, units).equals(run(two, units))
    for policy in POLICIES:
        assert one.version_for(policy) == two.version_for(policy)


def test_any_format_of_the_training_file_gives_the_same_judge(training_file, tmp_path):
    rows = training_rows()
    with (tmp_path / "t.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["text", "policy", "violating"])
        writer.writeheader()
        writer.writerows(rows)
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    versions = {
        fitted(tmp_path / name).version for name in ("training.parquet", "t.csv", "t.jsonl")
    }
    assert len(versions) == 1


def test_one_verdict_changed_in_the_training_file_is_another_version(training_file, tmp_path):
    rows = training_rows()
    rows[3]["violating"] = not rows[3]["violating"]
    other = tmp_path / "other.parquet"
    pq.write_table(pa.Table.from_pylist(rows), other)
    assert fitted(other).version != fitted(training_file).version


def test_rows_of_policies_that_are_not_measured_are_left_aside(training_file, tmp_path):
    rows = [*training_rows(), {"text": "apple", "policy": "other", "violating": True}]
    path = tmp_path / "more.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    assert fitted(path).version == fitted(training_file).version


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text,policy\nsoup,fruit\n", "column.s. violating missing"),
        (b"text,policy,violating\nsoup,fruit,maybe\n", "line 2: violating is neither"),
        (b"text,policy,violating\nsoup,fruit,true\n,,\n", "line 3: violating is neither"),
        (b"text,policy,violating\nsoup,fruit,true,x\n", "line 2: the row can't be read"),
        (b"text,policy,violating\n\xff\xfe,fruit,true\n", r"line 2: .*\(not_utf8\)"),
        (b"", "column.s. text, policy, violating missing"),
        (
            b"text,policy,violating\nsoup,fruit,false\napple,fruit,true\nsoup,veg,false\n",
            "no violating text for policy veg",
        ),
        (
            b"text,policy,violating\nsoup,fruit,false\napple,fruit,true\nleek,veg,true\n",
            "no not violating text for policy veg",
        ),
    ],
)
def test_a_training_file_that_cannot_be_used_is_an_error_that_names_the_place(
    content, message, tmp_path
):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(LabelError, match=message):
        fitted(tmp_path / "t.csv")


def test_a_training_file_that_is_missing_cut_off_or_of_another_kind_is_an_error(
    training_file, tmp_path
):
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(training_file.read_bytes()[:400])
    for path, message in (
        (tmp_path / "none.csv", "can't be read"),
        (cut, "not a readable Parquet file"),
        (tmp_path / "t.xlsx", "format not known"),
        (tmp_path, "format not known"),
    ):
        with pytest.raises(LabelError, match=message):
            fitted(path)


def test_texts_without_a_word_in_common_are_an_error(tmp_path):
    rows = [("one", "fruit", True), ("two", "fruit", False)]
    with pytest.raises(LabelError, match="no words to learn from"):
        LocalTextJudge(Training(*zip(*rows, strict=True)), POLICIES[:1], 0.5)


def test_a_policy_that_was_not_learnt_is_an_error(training_file, make_unit):
    judge = fitted(training_file, policies=POLICIES[:1])
    with pytest.raises(LabelError, match="not fitted for policy veg"):
        run(judge, [make_unit()])


def test_training_is_read_in_the_order_of_the_file(training_file):
    training = read_training(training_file, ["fruit"])
    wanted = [r for r in training_rows() if r["policy"] == "fruit"]
    assert list(training.texts) == [r["text"] for r in wanted]
    assert list(training.violating) == [r["violating"] for r in wanted]


def test_two_thousand_units_under_eight_policies_take_about_two_seconds():
    rng = random.Random(1)
    vocabulary = [f"word{k}" for k in range(3000)]

    def text(n):
        return " ".join(rng.choices(vocabulary, k=n))

    policies = [Policy(id=f"p{k}", name="P", definition="x") for k in range(8)]
    rows = [(text(20), p.id, k % 3 == 0) for p in policies for k in range(60)]
    judge = LocalTextJudge(Training(*zip(*rows, strict=True)), policies, 0.5)
    units = [
        render_unit(
            {
                "interaction_id": f"u{k}",
                "content_digest": "",
                "turns": [
                    {
                        "turn": 1,
                        "query_text": text(12),
                        "response_text": text(60),
                        "is_refusal": False,
                        "components": [
                            {"position": p, "title": text(5), "description": text(8)}
                            for p in range(1, 7)
                        ],
                    }
                ],
            }
        )
        for k in range(2000)
    ]
    began = time.process_time()
    table = run(judge, units, policies)
    took = time.process_time() - began
    assert table.num_rows == 2000 * 8 * 9
    assert took < 30.0, "about 1.5 s on an idle core, minutes if each text were read by itself"
