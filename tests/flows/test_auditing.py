"""The frame audit of a day says what its tables say, and what a person should look at."""

from __future__ import annotations

import runpy
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from baserate.cli.audit_tables import warnings_of
from baserate.flows.auditing import RowAccount, audited_days, frame_audits
from baserate.flows.stages import Stages
from baserate.flows.workspace import open_workspace
from baserate.stats.trailing import UsualCount
from baserate.terms.errors import TableError
from baserate.terms.programme import Gates
from baserate.terms.sample_tables import SAMPLES

EXAMPLES = Path(__file__).parents[2] / "examples" / "mappings"
DAY = date(2026, 1, 6)


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """One day of the example logs, half of its interactions drawn."""
    folder = tmp_path_factory.mktemp("auditing")
    runpy.run_path(str(EXAMPLES / "make_logs.py"))["make_logs"](folder)
    file = folder / "stream" / "baserate.yaml"
    file.write_text(
        file.read_text().replace("human_budget: 0", "human_budget: 0, judge_budget: 15")
    )
    with open_workspace(folder / "stream", engine="duckdb") as workspace:
        stages = Stages(workspace)
        stages.records(DAY)
        (before,) = frame_audits(stages, [DAY])
        assert before.totals_apart == {}, "no sample, no totals"
        stages.sample(DAY)
        yield stages


def test_the_audit_says_what_the_tables_say(stages):
    (audit,) = frame_audits(stages, [DAY])
    records = stages.store.read("interactions", DAY, ["score_spam", "score_harassment"])
    assert audit.interactions == len(records)
    assert audit.no_score == {p: records[f"score_{p}"].null_count for p in ("harassment", "spam")}
    assert any(audit.no_score.values())
    aside = stages.store.read("quarantine", DAY, ["source_table", "reason"]).to_pylist()
    for name, account in audit.tables.items():
        assert sum(account.reasons.values()) == sum(r["source_table"] == name for r in aside)
        assert account.rows_in == account.rows_used + sum(account.reasons.values())
    assert audit.tables["requests"].left_out == 15
    assert audit.volume_departs is None
    assert all(0 < abs(errors) < 4 for errors in audit.totals_apart.values())
    assert audited_days(stages, None, None) == [DAY]
    with pytest.raises(TableError):
        audited_days(stages, date(2026, 2, 1), None)


def test_a_sample_that_does_not_stand_for_its_frame_is_named(stages):
    drawn = stages.store.read("samples", DAY)
    halved = pa.array([p / 4 for p in drawn["inclusion_prob"].to_pylist()])
    inputs = stages.store.current("samples", DAY).inputs
    with stages.store.run(stage="test", ds=DAY, inputs=inputs) as run:
        at = drawn.schema.get_field_index("inclusion_prob")
        run.write("samples", drawn.set_column(at, drawn.schema.field(at), halved), SAMPLES)
    (audit,) = frame_audits(stages, [DAY])
    told = list(warnings_of([audit], Gates()))
    assert any("other interactions than the frame has" in text for text in told)


def test_what_is_far_from_usual_is_told_in_one_sentence_each(stages):
    (audit,) = frame_audits(stages, [DAY])
    broken = replace(
        audit,
        interactions=20,
        usual=UsualCount(40.0, 0.01, 4, same_weekday=True),
        volume_departs=True,
        tables={"scores": RowAccount(10, 8, 0, 0, {"orphan": 1, "unknown_policy": 1})},
        totals_apart={},
    )
    assert list(warnings_of([broken], Gates())) == [
        "2026-01-06: 20 interactions, 50 % fewer than usual (median of the 4 Tuesdays before: 40): "
        "is the day's log whole?",
        "2026-01-06: faulty rows: scores 10.0 % (orphan); 5.0 % of a table allowed in a release",
    ]
