"""People's files: good rows become labels, bad rows keep their line and a reason, none is lost."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baserate.labels import collect_reviews
from baserate.labels.render import render_unit
from baserate.labels.reviews import read_reviews
from baserate.terms.errors import LabelError
from baserate.terms.label_tables import LABELS
from baserate.terms.programme import Policy
from baserate.terms.programme_labelers import FileReviews, LookupReviews

DAY = date(2026, 3, 1)
NOW = datetime(2026, 3, 2, tzinfo=UTC)
POLICIES = [
    Policy(id="fruit", name="Fruit", definition="x", version="3"),
    Policy(id="veg", name="Veg", definition="x"),
]
HEADER = "interaction_id,policy,verdict,labeler_id"


def unit(id_, turns=1):
    return render_unit(
        {
            "interaction_id": id_,
            "content_digest": "",
            "turns": [
                {
                    "turn": t,
                    "query_text": "q",
                    "response_text": "r",
                    "is_refusal": False,
                    "components": [{"position": 1, "title": "t"}],
                }
                for t in range(1, turns + 1)
            ],
        }
    )


UNITS = [unit("i1"), unit("i2"), unit("i3", turns=2), unit("judged_only")]
SUBJECTS = {u.interaction_id: u.keys for u in UNITS}
SELECTED = ("i1", "i2", "i3")


def read(*paths, absent_means=None):
    found = read_reviews(
        paths,
        ds=DAY,
        selected_ids=SELECTED,
        subjects=SUBJECTS,
        policies=POLICIES,
        now=NOW,
        absent_means=absent_means,
    )
    assert found.labels.schema.equals(LABELS.arrow())
    assert found.n_rows == found.labels.num_rows - found.n_added + len(found.rejected)
    return found


def read_csv(tmp_path, *lines, header=HEADER, **options):
    path = tmp_path / "batch.csv"
    body = [line.encode() if isinstance(line, str) else line for line in (header, *lines)]
    path.write_bytes(b"\n".join(body) + b"\n")
    return read(path, **options)


def said(found):
    return [(r["interaction_id"], r["policy"], r["verdict"]) for r in found.labels.to_pylist()]


def rejected(found):
    return [(r.line, str(r.reason)) for r in found.rejected]


def test_a_row_becomes_a_label_of_a_person_in_phase_two(tmp_path):
    found = read_csv(tmp_path, "i1,fruit,violating,r7")
    assert found.labels.to_pylist() == [
        {
            "ds": DAY,
            "interaction_id": "i1",
            "subject_kind": "interaction",
            "turn": 0,
            "position": 0,
            "policy": "fruit",
            "policy_version": "3",
            "verdict": "violating",
            "severity": None,
            "confidence": None,
            "reason": None,
            "clause": None,
            "labeler_kind": "human",
            "labeler_id": "r7",
            "labeler_version": "",
            "phase": 2,
            "labeled_at": NOW,
        }
    ]


def test_optional_columns_are_read_and_others_are_left_aside(tmp_path):
    found = read_csv(
        tmp_path,
        "i3,veg,violating,r7,component,2,1,3,0.9,clause 2,2026-03-02T10:00:00+02:00,1,ignored",
        "i3,veg,Not-Violating,r7,query,1,,,,,,,ignored",
        header=f"{HEADER},subject_kind,turn,position,severity,confidence,reason,labeled_at,"
        "policy_version,content",
    )
    first, second = found.labels.to_pylist()
    assert (first["subject_kind"], first["turn"], first["position"]) == ("component", 2, 1)
    assert (first["severity"], first["confidence"], first["reason"]) == (3, 0.9, "clause 2")
    assert first["labeled_at"] == datetime(2026, 3, 2, 8, tzinfo=UTC)
    assert (second["subject_kind"], second["verdict"]) == ("query", "not_violating")


def test_only_what_people_labelled_has_a_label(tmp_path):
    found = read_csv(tmp_path, "i1,fruit,not_violating,r7")
    assert found.labels.num_rows == 1
    assert found.n_added == 0


BAD_ROWS = {
    "unknown_interaction": "i9,fruit,violating,r1",
    "not_selected": "judged_only,fruit,violating,r1",
    "unknown_policy": "i1,meat,violating,r1",
    "unknown_verdict": "i1,fruit,bad,r1",
    "no_verdict": "i1,fruit,,r1",
    "missing_labeler": "i1,fruit,violating, ",
    "malformed": "i1,fruit,violating,r1,one too many",
    "not_utf8": b"i1,fruit,violating,r\xff",
}


@pytest.mark.parametrize("reason", BAD_ROWS)
def test_a_bad_row_is_rejected_with_its_line_and_the_good_ones_go_on(reason, tmp_path):
    found = read_csv(
        tmp_path, "i2,fruit,violating,r1", BAD_ROWS[reason], "i3,fruit,not_violating,r1"
    )
    assert rejected(found) == [(3, reason)]
    assert said(found) == [("i2", "fruit", "violating"), ("i3", "fruit", "not_violating")]
    (row,) = found.rejected_table().to_pylist()
    assert (row["file"], row["line"], row["reason"]) == ("batch.csv", 3, reason)
    assert found.rejected_by_reason() == {reason: 1}


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("severity", "0", "invalid_severity"),
        ("severity", "2.5", "invalid_severity"),
        ("severity", "high", "invalid_severity"),
        ("severity", "inf", "invalid_severity"),
        ("confidence", "1.01", "invalid_confidence"),
        ("confidence", "-0.1", "invalid_confidence"),
        ("confidence", "sure", "invalid_confidence"),
        ("clause", "X1", "invalid_clause"),
        ("clause", "because she says so", "invalid_clause"),
        ("labeled_at", "yesterday", "invalid_time"),
        ("labeled_at", "2026-02-30", "invalid_time"),
        ("policy_version", "2", "other_policy_version"),
        ("subject_kind", "session", "unknown_subject"),
        ("subject_kind", "component", "unknown_subject"),
        ("turn", "1", "unknown_subject"),
        ("turn", "one", "unknown_subject"),
        ("position", "4", "unknown_subject"),
    ],
)
def test_an_optional_value_that_cannot_be_meant_rejects_its_row(column, value, reason, tmp_path):
    found = read_csv(
        tmp_path,
        f"i1,fruit,violating,r1,{value}",
        "i2,fruit,violating,r1,",
        header=f"{HEADER},{column}",
    )
    assert rejected(found) == [(2, reason)]
    assert said(found) == [("i2", "fruit", "violating")]


@pytest.mark.parametrize("value", ["", " ", "1", "1.0"])
def test_blank_and_float_numbers_of_spreadsheets_are_understood(value, tmp_path):
    found = read_csv(
        tmp_path, f"i1,fruit,violating,r1,query,{value}", header=f"{HEADER},subject_kind,turn"
    )
    assert found.labels["turn"].to_pylist() == [1]


def test_with_several_turns_a_row_must_say_which(tmp_path):
    found = read_csv(tmp_path, "i3,fruit,violating,r1,query", header=f"{HEADER},subject_kind")
    assert rejected(found) == [(2, "unknown_subject")]


def test_a_second_row_of_one_labeler_on_one_subject_is_rejected_across_files(tmp_path):
    one, two = tmp_path / "a.csv", tmp_path / "b.csv"
    one.write_text(f"{HEADER}\ni1,fruit,violating,r1\ni1,fruit,violating,r2\n")
    two.write_text(f"{HEADER}\ni1,fruit,not_violating,r1\ni1,veg,violating,r1\n")
    found = read(one, two)
    assert len(said(found)) == 3
    (row,) = found.rejected
    assert (row.file, row.line, str(row.reason)) == ("b.csv", 2, "duplicate")
    assert "a.csv, line 2" in row.detail


def test_no_label_of_a_person_carries_one_of_the_known_reasons(tmp_path):
    found = read_csv(
        tmp_path,
        "i1,fruit,no_label,r1,content_gone",
        "i2,fruit,no_label,r1,my screen broke",
        header=f"{HEADER},reason",
    )
    assert found.labels["reason"].to_pylist() == ["content_gone", "cannot_decide"]


def test_the_detail_of_a_rejected_row_never_holds_text_of_people(tmp_path):
    text = "a long sentence that somebody typed into the wrong column of the sheet"
    found = read_csv(tmp_path, f"i1,{text},violating,r1", f"i1,fruit,{text},r1")
    assert [text not in r.detail for r in found.rejected] == [True, True]
    assert "70 characters" in found.rejected[0].detail


def test_quotes_and_line_breaks_in_fields_keep_line_numbers_right(tmp_path):
    found = read_csv(
        tmp_path,
        'i1,fruit,violating,r1,"two\nlines, ""quoted"""',
        "i2,fruit,nonsense,r1,x",
        header=f"{HEADER},content",
    )
    assert rejected(found) == [(4, "unknown_verdict")]
    assert said(found) == [("i1", "fruit", "violating")]


def test_an_unclosed_quote_loses_its_own_row_only(tmp_path):
    found = read_csv(
        tmp_path,
        'i1,fruit,violating,r1,"never closed',
        "i2,fruit,violating,r1,x",
        "i3,fruit,violating,r1,y",
        header=f"{HEADER},content",
    )
    assert rejected(found) == [(2, "malformed")]
    assert said(found) == [("i2", "fruit", "violating"), ("i3", "fruit", "violating")]


@pytest.mark.parametrize("how", ["bom", "crlf", "semicolon", "tab", "megabyte"])
def test_what_spreadsheets_do_to_csv_is_understood(how, tmp_path):
    text = f"{HEADER},content\ni1,fruit,violating,r1,x\n"
    if how == "semicolon":
        text = text.replace(",", ";")
    elif how == "tab":
        text = text.replace(",", "\t")
    elif how == "crlf":
        text = text.replace("\n", "\r\n")
    elif how == "megabyte":
        text = text.replace(",x", "," + "x" * 1_000_000)
    data = (b"\xef\xbb\xbf" if how == "bom" else b"") + text.encode()
    (tmp_path / "a.csv").write_bytes(data)
    assert said(read(tmp_path / "a.csv")) == [("i1", "fruit", "violating")]


def rows():
    return [
        {"interaction_id": "i1", "policy": "fruit", "verdict": "violating", "labeler_id": "r1"},
        {
            "interaction_id": "i2",
            "policy": "veg",
            "verdict": "unsure",
            "labeler_id": "r1",
            "confidence": 0.4,
            "severity": 2,
            "labeled_at": "2026-03-02T00:00:00Z",
        },
        {"interaction_id": "i9", "policy": "veg", "verdict": "unsure", "labeler_id": "r1"},
    ]


def test_the_same_rows_in_any_format_give_the_same_labels(tmp_path):
    jsonl, parquet, table = tmp_path / "a.jsonl", tmp_path / "a.parquet", tmp_path / "a.csv"
    jsonl.write_text("\n".join(json.dumps(r) for r in rows()) + "\n\n")
    columns = [*HEADER.split(","), "confidence", "severity", "labeled_at"]
    filled = [{c: r.get(c) for c in columns} for r in rows()]
    pq.write_table(pa.Table.from_pylist(filled), parquet)
    lines = [",".join("" if r[c] is None else str(r[c]) for c in columns) for r in filled]
    table.write_text("\n".join([",".join(columns), *lines]))
    found = [read(p) for p in (jsonl, parquet, table)]
    assert found[0].labels.equals(found[1].labels)
    assert found[0].labels.equals(found[2].labels)
    assert [f.rejected[0].line for f in found] == [3, 3, 4]


def test_broken_lines_of_jsonl_are_rejected_one_by_one(tmp_path):
    good = json.dumps(rows()[0]).encode()
    lines = [b"{", good, b"[1]", b'"text"', b"{\xff}", b'{"verdict": "\\ud800"}', b"", b"[" * 99999]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    found = read(tmp_path / "a.jsonl")
    assert said(found) == [("i1", "fruit", "violating")]
    assert rejected(found) == [
        (1, "malformed"),
        (3, "malformed"),
        (4, "malformed"),
        (5, "not_utf8"),
        (6, "not_utf8"),
        (8, "malformed"),
    ]


def test_bytes_that_are_no_utf8_in_parquet_reject_their_row(tmp_path):
    text = pa.array([b"r1", b"r\xff", b"r3"], pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 3, text.buffers())
    table = pa.table(
        {
            "interaction_id": ["i1", "i2", "i3"],
            "policy": ["fruit"] * 3,
            "verdict": ["unsure"] * 3,
            "labeler_id": broken,
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet")
    assert rejected(found) == [(2, "not_utf8")]
    assert [id_ for id_, _, _ in said(found)] == ["i1", "i3"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"interaction_id,policy,verdict\ni1,fruit,unsure\n", "labeler_id missing"),
        ("a.csv", b"", "missing"),
        ("a.csv", "interaction_id,policy".encode("utf-16"), "missing"),
        ("a.jsonl", b'{"interaction_id": "i1"}\n', "missing"),
        ("a.parquet", b"PAR1 this is cut off", "not a readable Parquet file"),
        ("a.xlsx", b"PK", "format not known"),
    ],
)
def test_a_file_that_is_no_table_of_reviews_is_an_error_with_a_hint(
    name, content, message, tmp_path
):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LabelError, match=message) as caught:
        read(tmp_path / name)
    assert caught.value.hint
    assert caught.value.where == name


@given(st.binary(max_size=400))
@settings(max_examples=150, deadline=None)
def test_any_bytes_whatever_after_a_header_lose_no_good_row(tmp_path_factory, garbage):
    path = tmp_path_factory.mktemp("r") / "a.csv"
    good = b"i1,fruit,violating,r1"
    path.write_bytes(HEADER.encode() + b"\n" + good + b"\n" + garbage.replace(b'"', b""))
    found = read(path)
    assert ("i1", "fruit", "violating") in said(found)


def test_units_drawn_whose_content_is_not_known_are_an_error():
    with pytest.raises(LabelError, match="content is unknown"):
        read_reviews([], ds=DAY, selected_ids=["x"], subjects={}, policies=POLICIES, now=NOW)


# --- where reviews come from ----------------------------------------------------------------


def collect(config, base):
    return collect_reviews(
        config,
        base,
        ds=DAY,
        selected_ids=SELECTED,
        subjects=SUBJECTS,
        policies=POLICIES,
        now=NOW,
    )


def test_files_that_are_not_there_yet_are_no_labels_and_no_error(tmp_path):
    found = collect(FileReviews(kind="files", path="reviews/{ds}.csv"), tmp_path)
    assert (found.labels.num_rows, found.n_rows) == (0, 0)


def test_a_glob_of_a_days_batches_is_read_whole(tmp_path):
    folder = tmp_path / "odd [name]" / "2026-03-01"
    folder.mkdir(parents=True)
    (folder / "b.csv").write_text(f"{HEADER}\ni2,fruit,violating,r1\n")
    (folder / "a.csv").write_text(f"{HEADER}\ni1,fruit,violating,r1\n")
    found = collect(FileReviews(kind="files", path="{ds}/*.csv"), tmp_path / "odd [name]")
    assert [id_ for id_, _, _ in said(found)] == ["i1", "i2"]


def lookup(tmp_path, table, absent_means="not_violating"):
    pq.write_table(table, tmp_path / "truth.parquet")
    config = LookupReviews(kind="lookup", path="truth.parquet", absent_means=absent_means)
    return collect(config, tmp_path)


def truth(*found, **more):
    columns = {
        "interaction_id": [f[0] for f in found],
        "policy": [f[1] for f in found],
        "verdict": [f[2] for f in found],
        "labeler_id": ["truth"] * len(found),
    }
    return pa.table(columns | more)


N_SUBJECTS = sum(len(SUBJECTS[i]) for i in SELECTED) * len(POLICIES)


def test_a_lookup_fills_what_its_table_does_not_name_and_skips_other_units(tmp_path):
    found = lookup(
        tmp_path,
        truth(("i1", "fruit", "violating"), ("i9", "fruit", "violating"), ("judged_only", "x", "")),
    )
    assert found.rejected == ()
    assert found.labels.num_rows == N_SUBJECTS
    assert found.n_added == N_SUBJECTS - 1
    verdicts = found.labels["verdict"].to_pylist()
    assert verdicts.count("violating") == 1
    assert verdicts.count("not_violating") == N_SUBJECTS - 1
    assert set(found.labels["labeler_id"].to_pylist()) == {"truth", "lookup"}


def test_a_lookup_whose_absences_mean_nothing_fills_with_no_label(tmp_path):
    found = lookup(tmp_path, truth(("i1", "fruit", "violating")), "no_label")
    verdicts = found.labels["verdict"].to_pylist()
    assert verdicts.count("no_label") == N_SUBJECTS - 1


def test_a_rejected_row_of_a_lookup_never_turns_into_a_safe_verdict(tmp_path):
    found = lookup(tmp_path, truth(("i1", "fruit", "violent"), ("i2", "fruit", "violating")))
    assert rejected(found) == [(1, "unknown_verdict")]
    by = {}
    for row in found.labels.to_pylist():
        by.setdefault(row["interaction_id"], set()).add(row["verdict"])
    assert by["i1"] == {"no_label"}
    assert by["i2"] == {"violating", "not_violating"}


def test_a_lookup_without_its_file_is_an_error(tmp_path):
    config = LookupReviews(kind="lookup", path="truth-{ds}.parquet")
    with pytest.raises(LabelError, match=r"truth-2026-03-01.parquet: can't be read"):
        collect(config, tmp_path)
