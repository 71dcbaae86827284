"""What people wrote, and who they are, is in no line that a command prints, also where it fails."""

from __future__ import annotations

import sys
import traceback
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from baserate.cli import main
from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.store import Store
from baserate.flows.stages import Stages
from baserate.terms.errors import BaserateError
from baserate.terms.record_tables import QUARANTINE
from tests.flows.test_erasure import ANN, CANARY, DAYS, write_workspace
from tests.records.awkward import write_rows

DAY = str(DAYS[0])


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    write_workspace(root, "{}")
    return root


@pytest.fixture
def told(workspace, capfd, monkeypatch):
    """Run a command in the workspace; its exit code and all that it printed."""

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["baserate", *words, "--workspace", str(workspace)])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capfd.readouterr()
        code = left.value.code
        return (code if isinstance(code, int) else int(code is not None)), out + err

    return run


def silent(text: str) -> bool:
    return CANARY not in text and ANN not in text and "kind words" not in text


def test_commands_that_work_print_no_text(told, workspace):
    day = ("--from", DAY, "--to", DAY)
    for words in (("records", *day), ("label", *day), ("records", *day, "--json"), ("doctor",)):
        code, text = told(*words)
        assert (code, silent(text)) == (0, True), words
    (workspace / "reviews").mkdir()
    handed = "interaction_id,policy,verdict,labeler_id,reason\n"
    handed += (
        f'i0-000,p1,{CANARY},r1,x\n{CANARY},p1,violating,r1,x\ni0-001,p1,violating,r1,"{CANARY}'
    )
    (workspace / "reviews" / f"{DAY}.csv").write_text(handed)
    code, text = told("label", *day)
    assert (code, silent(text)) == (0, True)


def test_commands_that_fail_say_what_is_wrong_and_quote_nothing(told, workspace, monkeypatch):
    day = ("records", "--from", DAY, "--to", DAY)
    folder = workspace / "logs/responses" / f"ds={DAY}"
    good = (folder / "part-0.parquet").read_bytes()
    text = f"{CANARY} {ANN}"

    wrong_type = {"interaction_id": ["i0-000"], "turn": [text], "response_text": [text]}
    pq.write_table(pa.table(wrong_type), folder / "part-0.parquet")
    code, said = told(*day)
    assert (code, "wrong_type" in said, silent(said)) == (2, True, True)
    no_column = pa.table({"answer": [text]})
    pq.write_table(no_column, folder / "part-0.parquet")
    code, said = told(*day, "--json")
    assert (code, "missing_column" in said, silent(said)) == (2, True, True)
    (folder / "part-0.parquet").write_bytes(good[: len(good) // 2] + text.encode())
    code, said = told(*day)
    assert (code, "broken_file" in said, silent(said)) == (2, True, True)
    (folder / "part-0.parquet").write_bytes(good)

    def fails(*_: object) -> None:
        raise ValueError(f"could not convert {text!r}")

    monkeypatch.setattr(Stages, "records", fails)
    code, said = told(*day)
    assert (code, "ValueError" in said, silent(said)) == (2, True, True)
    monkeypatch.setenv("BASERATE_LOG_LEVEL", "debug")
    assert CANARY in told(*day)[1]


def test_errors_that_a_scheduler_writes_out_whole_quote_nothing(tmp_path):
    write_rows("responses", [{"response_text": f"{CANARY}"}], tmp_path / "r.parquet")
    row = {"ds": DAYS[0], "source_table": "requests", "row_key": f'{{"a":"{CANARY}"}}'}
    row |= {"reason": "duplicate", "detail": None, "row_json": f'{{"b":"{CANARY}"}}'}
    twice = pa.Table.from_pylist([row, row], schema=QUARANTINE.arrow())

    def cast(engine: DuckDBEngine, _: Store) -> None:
        rows = engine.scan_parquet([str(tmp_path / "r.parquet")])
        engine.to_arrow(rows.select(n=rows.response_text.cast("int64")))

    def repeat(_: DuckDBEngine, store: Store) -> None:
        with store.run("records", DAYS[0] + timedelta(days=1)) as run:
            run.write("quarantine", twice, QUARANTINE)

    with DuckDBEngine(threads=1) as engine, Store(tmp_path / "w", engine=engine) as store:
        for act in (cast, repeat):
            with pytest.raises(BaserateError) as caught:
                act(engine, store)
            assert silent("".join(traceback.format_exception(caught.value)))
        assert all(silent(str(run.failure)) for run in store.runs())
