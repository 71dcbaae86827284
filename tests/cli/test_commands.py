"""The command line as people meet it: what it says when something is wrong, and its exit codes."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from baserate.cli.privacy import _listed
from baserate.stats.designs.base import DeliveredProbabilityWarning
from baserate.worlds.replay import PlantedChange, build_replay, made_up_material

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One day of logs (and the day after, for late rows), nothing run yet."""
    out = tmp_path_factory.mktemp("cli") / "world"
    build_replay(
        out,
        days=1,
        interactions_per_day=400,
        seed=3,
        change=PlantedChange(from_day=1),
        material=made_up_material(),
    )
    return out


@pytest.fixture
def workspace(logged: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    copy = tmp_path / "workspace"
    shutil.copytree(logged, copy)
    return copy


def _first(workspace: Path, table: str) -> Path:
    return sorted((workspace / "logs" / table).rglob("*.parquet"))[0]


def _rewrite(workspace: Path, table: str, change: Callable[[pa.Table], pa.Table]) -> Path:
    path = _first(workspace, table)
    pq.write_table(change(pq.ParquetFile(path).read()), path)
    return path


def test_init_writes_a_programme_that_loads_and_never_overwrites_one(
    run: Run, tmp_path: Path
) -> None:
    code, out, _ = run("init", tmp_path / "mine")
    assert code == 0
    assert [Path(x).name for x in out.split()] == ["baserate.yaml", "baserate.schema.json"]
    schema = json.loads((tmp_path / "mine" / "baserate.schema.json").read_text())
    assert {"tables", "policies", "sampling"} <= set(schema["properties"])
    code, _, err = run("init", tmp_path / "mine")
    assert code == 2
    assert "already" in err


def test_a_folder_without_a_programme_says_how_to_begin(run: Run, tmp_path: Path) -> None:
    code, _, err = run("run", "--workspace", tmp_path)
    assert code == 2
    assert "baserate init" in err


def test_a_misspelt_key_is_named_with_its_line_and_what_was_meant(
    run: Run, workspace: Path
) -> None:
    path = workspace / "baserate.yaml"
    lines = path.read_text().splitlines()
    (at,) = [i for i, x in enumerate(lines) if x.startswith("policies:")]
    lines[at] = "polices:"
    path.write_text("\n".join(lines))
    code, out, _ = run("records", "--workspace", workspace, "--json")
    assert code == 2
    told = json.dumps(json.loads(out)["error"])
    assert f"baserate.yaml:{at + 1}" in told
    assert "policies" in told


def test_a_missing_column_is_named_with_what_the_file_has(run: Run, workspace: Path) -> None:
    _rewrite(workspace, "requests", lambda t: t.drop_columns(["event_time"]))
    code, _, err = run("records", "--workspace", workspace)
    assert code == 2
    assert "requests" in err
    assert "event_time" in err
    assert "hint" in err


def test_a_wrong_type_is_named(run: Run, workspace: Path) -> None:
    def as_words(table: pa.Table) -> pa.Table:
        at = table.column_names.index("risk")
        return table.set_column(at, "risk", pa.array(["high"] * len(table)))

    _rewrite(workspace, "scores", as_words)
    code, _, err = run("records", "--workspace", workspace)
    assert code == 2
    assert "risk" in err
    assert "scores" in err


def test_a_file_cut_in_half_is_named_and_nothing_is_committed(run: Run, workspace: Path) -> None:
    path = _first(workspace, "components")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    code, _, err = run("run", "--workspace", workspace)
    assert code == 2
    assert path.name in err
    assert not list((workspace / "tables").rglob("part-*.parquet"))


def test_an_empty_day_is_held_by_name_and_not_called_safe(run: Run, workspace: Path) -> None:
    for table in ("requests", "responses", "components", "scores"):
        for path in sorted((workspace / "logs" / table).rglob("*.parquet")):
            pq.write_table(pq.ParquetFile(path).read().slice(0, 0), path)
    code, _, err = run("run", "--workspace", workspace)
    assert code == 1
    assert "frame_is_complete" in err


@pytest.fixture(scope="module")
def three_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs of three days (and the day after)."""
    out = tmp_path_factory.mktemp("cli") / "three"
    build_replay(
        out,
        days=3,
        interactions_per_day=500,
        seed=4,
        change=PlantedChange(from_day=3),
        material=made_up_material(),
    )
    return out


def test_a_day_without_logs_holds_the_period_and_both_ways_out_are_named_and_work(
    run: Run, three_days: Path, tmp_path: Path
) -> None:
    workspace = tmp_path / "workspace"
    shutil.copytree(three_days, workspace)
    _changed_programme(workspace, lambda c: c.update(policies=c["policies"][:1]))
    for path in (workspace / "logs").glob("*/ds=2026-01-06/*.parquet"):
        pq.write_table(pq.ParquetFile(path).read().slice(0, 0), path)
    code, out, err = run("run", "--workspace", workspace, "--workers", "1")
    assert code == 1, out
    assert "held by frame_is_complete" in err
    assert "The logs of 6 January 2026 (1 of 3 days) hold no requests but a few" in err
    assert "Have its logs written and run the same command again" in err
    ranges = re.findall(r"`--from (\S+) --to (\S+)`", err)
    assert ranges == [("2026-01-05", "2026-01-05"), ("2026-01-07", "2026-01-07")]
    first, last = ranges[-1]
    code, out, err = run("release", "--workspace", workspace, "--from", first, "--to", last)
    assert code == 0, err
    assert "report.html" in out

    for folder in (workspace / "logs").glob("*/ds=2026-01-06"):
        shutil.rmtree(folder)
    shutil.rmtree(workspace / "tables")
    (workspace / "baserate.db").unlink()
    code, out, err = run("release", "--workspace", workspace)
    assert code == 1, out
    assert "the logs have no files of 6 January 2026 (1 of 3 days)" in err
    assert ranges == re.findall(r"`--from (\S+) --to (\S+)`", err)
    code, _, err = run("estimate", "--workspace", workspace)
    assert code == 2
    assert "6 January 2026" in err


def test_a_day_that_waits_for_the_next_days_files_says_so(run: Run, workspace: Path) -> None:
    code, out, err = run("run", "--workspace", workspace, "--dry-run", "--json")
    assert code == 0
    assert json.loads(out)["days"] == ["2026-01-05"]
    assert "2026-01-06 is not run yet: it waits for the log files of 2026-01-07" in err
    for folder in (workspace / "logs").glob("*/ds=2026-01-06"):
        shutil.rmtree(folder)
    code, _, err = run("run", "--workspace", workspace)
    assert code == 2
    assert "2026-01-05 has log files, but it waits for the log files of 2026-01-06" in err
    assert "records.late_days: 1" in err
    assert "--from 2026-01-05 --to 2026-01-05" in err
    code, out, _ = run(
        "records", "--workspace", workspace, "--from", "2026-01-05", "--to", "2026-01-05"
    )
    assert code == 0, "the hint works"
    code, _, err = run("run", "--workspace", workspace, "--as-of", "2026-01-05")
    assert code == 2
    assert "waits for" in err


def test_a_day_whose_logs_may_still_grow_says_so(run: Run, workspace: Path) -> None:
    code, _, err = run("run", "--workspace", workspace, "--as-of", "2026-01-06")
    assert code == 2
    assert "2026-01-05 has log files, but its logs may grow until 2026-01-06 is over" in err
    code, _, err = run("run", "--workspace", workspace, "--from", "2026-03-01")
    assert code == 2
    assert "log files of 2026-01-05 to 2026-01-06, none of the days asked for" in err


@pytest.mark.parametrize(("judge", "human"), [(1, 0), (9, 0), (300, 1), (1, 1)])
def test_budgets_that_carry_no_estimate_are_refused_by_name(
    run: Run, workspace: Path, judge: int, human: int
) -> None:
    _changed_programme(
        workspace, lambda c: c["sampling"].update(judge_budget=judge, human_budget=human)
    )
    code, _, err = run("run", "--workspace", workspace)
    assert code == 2
    assert f"judge_budget is {judge} a day" in err or judge >= 10
    assert f"human_budget is {human} a day" in err or human == 0
    assert "10 or more" in err


def test_a_draw_that_is_not_quite_as_stated_is_a_note_and_no_python_warning(
    run: Run, workspace: Path
) -> None:
    few = {"judge_budget": 10, "human_budget": 10, "control_share": 0.05, "exposure_share": 0.9}
    _changed_programme(
        workspace, lambda c: c["sampling"].update(design="sequential_poisson", **few)
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DeliveredProbabilityWarning)
        code, _, err = run("sample", "--workspace", workspace)
    assert code == 0, err
    assert not [w for w in caught if issubclass(w.category, DeliveredProbabilityWarning)]
    assert re.search(
        r"note the draw for the judge \(10 of \d+, 2026-01-05\) has probabilities up to "
        r"[\d.]+\s% off the stated ones",
        err,
    )
    assert "raise sampling.judge_budget, or set sampling.design: poisson" in err
    assert ".py" not in err


def test_a_day_that_is_none_is_refused(run: Run, workspace: Path) -> None:
    code, _, err = run("records", "--workspace", workspace, "--from", "yesterday")
    assert code == 2
    assert "YYYY-MM-DD" in err


def test_an_unknown_engine_is_refused(run: Run, workspace: Path) -> None:
    code, _, err = run("records", "--workspace", workspace, "--engine", "abacus")
    assert code == 2
    assert "duckdb" in err


@pytest.mark.parametrize("words", [["--user", "--dry-run"], ["--users-from", "nowhere.txt"]])
def test_nobody_is_erased_by_a_slip_of_the_command_line(
    run: Run, workspace: Path, words: list[str]
) -> None:
    code, _, err = run("privacy", "erase", "--workspace", workspace, *words)
    assert code == 2
    assert words[0] in err
    assert "hint" in err


def test_a_mark_before_the_text_is_no_part_of_a_users_id(tmp_path: Path) -> None:
    path = tmp_path / "users.txt"
    path.write_text("user-1\r\nuser-2\r\n", encoding="utf-8-sig")
    assert _listed(path) == ["user-1", "user-2"]


def test_a_cut_that_is_none_is_refused(run: Run, workspace: Path) -> None:
    code, _, err = run("estimate", "--workspace", workspace, "--by", "contry")
    assert code == 2
    assert "country" in err


def _changed_programme(workspace: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = workspace / "baserate.yaml"
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


def test_some_of_the_policies_that_people_reviewed_can_be_measured_alone(
    run: Run, workspace: Path
) -> None:
    def first_two(content: dict[str, Any]) -> None:
        content["policies"] = content["policies"][:2]

    _changed_programme(workspace, first_two)
    code, out, err = run("run", "--workspace", workspace, "--json")
    assert code == 0, err
    assert len({f["policy"] for f in json.loads(out)["figures"]}) == 2


def test_a_platform_that_shows_no_pins_can_be_measured(run: Run, workspace: Path) -> None:
    _changed_programme(workspace, lambda content: content["tables"].pop("components"))
    code, _, err = run("label", "--workspace", workspace)
    assert code == 0, err


def test_a_dry_run_does_nothing(run: Run, workspace: Path) -> None:
    code, out, _ = run("run", "--workspace", workspace, "--dry-run", "--json")
    assert code == 0
    assert json.loads(out)["days"] == ["2026-01-05"]
    assert not list((workspace / "tables").rglob("*.parquet"))


def test_the_doctor_reads_every_table_and_says_what_to_mend(run: Run, workspace: Path) -> None:
    code, out, _ = run("doctor", "--workspace", workspace, "--json")
    assert code == 0, out
    tables = {f["what"]: f["state"] for f in json.loads(out)}
    names = ("users", "requests", "responses", "components", "scores")
    assert {tables[f"table {n}"] for n in names} == {"ok"}
    for path in (workspace / "logs" / "responses").rglob("*.parquet"):
        pq.write_table(pq.ParquetFile(path).read().drop_columns(["req_id"]), path)
    shutil.rmtree(workspace / "logs" / "users")
    code, out, _ = run("doctor", "--workspace", workspace, "--json")
    assert code == 1
    found = {f["what"]: f for f in json.loads(out)}
    assert found["table responses"]["state"] == "bad"
    assert "interaction_id" in json.dumps(found["table responses"])
    assert found["table users"]["state"] == "bad"


def test_the_doctor_of_a_folder_without_a_programme_says_so_and_fails(
    run: Run, tmp_path: Path
) -> None:
    for folder, found in ((tmp_path, "no baserate.yaml in"), (tmp_path / "nowhere", "no folder")):
        code, out, _ = run("doctor", "--workspace", folder, "--json")
        assert code == 1
        (finding,) = [f for f in json.loads(out) if f["what"] == "programme"]
        assert finding["state"] == "bad"
        assert found in finding["found"]
        assert f"baserate init {folder}" in finding["hint"]


def test_each_step_prints_its_table(run: Run, workspace: Path) -> None:
    code, out, _ = run("records", "--workspace", workspace)
    assert code == 0
    assert "quarantined" in out
    assert "duplicate" in out
    code, out, _ = run("sample", "--workspace", workspace)
    assert code == 0
    assert "largest weight" in out
    code, out, _ = run("label", "--workspace", workspace)
    assert code == 0
    assert "reviewed" in out
    code, out, _ = run("estimate", "--workspace", workspace, "--by", "country")
    assert code == 0
    assert "interval" in out
    code, out, _ = run("estimate", "--workspace", workspace, "--json")
    rows = json.loads(out)
    assert rows
    assert all(r["lower"] <= r["upper"] for r in rows)


@pytest.mark.parametrize("command", ["", "init", "records", "sample", "label", "estimate"])
def test_help_is_there_for_everyone(run: Run, command: str) -> None:
    code, out, _ = run(*([command] if command else []), "--help")
    assert code == 0
    assert "Usage" in out
    assert len(out) > 200
