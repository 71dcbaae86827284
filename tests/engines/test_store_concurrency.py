"""Processes that run at once: one wins, the other is told or waits; tables are never mixed."""

from __future__ import annotations

import threading

import pytest

from baserate.engines.store import Store
from baserate.terms.errors import EngineError

from .conftest import DAY, THINGS, things
from .workers import hold_open, race


@pytest.fixture
def holder(processes, tmp_path, database_url):
    """A process in the middle of a run, and the pipe to it."""
    ours, theirs = processes.Pipe()
    process = processes.Process(target=hold_open, args=(tmp_path, database_url, theirs))
    process.start()
    assert ours.recv() == "holding"
    yield process, ours
    if process.is_alive():
        ours.send("go on")
    process.join()


@pytest.fixture
def store(tmp_path, engine, database_url):
    with Store(tmp_path, engine=engine, database_url=database_url) as store:
        yield store


def test_the_second_is_told_who_runs_already(store, holder):
    process, ours = holder
    with pytest.raises(EngineError) as caught, store.run("making", DAY):
        pytest.fail("two runs of the same stage and day at once")
    assert caught.value.code == "busy"
    assert f"process {process.pid}" in (caught.value.got or "")
    ours.send("go on")
    process.join()
    assert store.read("things", DAY).num_rows == 7


def test_the_second_may_wait_for_the_first(store, holder):
    _, ours = holder
    threading.Timer(0.5, ours.send, ["go on"]).start()
    with store.run("making", DAY, wait_seconds=300) as run:
        assert store.read("things", DAY).num_rows == 7
        run.write("things", things(8), THINGS)
    assert store.read("things", DAY).num_rows == 8


def test_another_day_and_another_stage_run_beside_it(store, holder):
    with store.run("making", "2026-02-01") as run:
        run.write("things", things(1), THINGS)
    with store.run("judging", DAY) as run:
        run.write("others", things(2), THINGS)
    assert store.read("others", DAY).num_rows == 2


def test_of_two_stages_that_write_one_table_the_slower_is_refused(store):
    with pytest.raises(EngineError) as caught, store.run("slow", DAY) as slow:  # noqa: PT012
        slow.write("things", things(1), THINGS)
        with store.run("fast", DAY) as fast:
            fast.write("things", things(2), THINGS)
    assert caught.value.code == "overtaken"
    assert store.read("things", DAY).num_rows == 2
    assert store.current("things", DAY).run_id == fast.run_id
    assert [run.state for run in store.runs()].count("failed") == 1


def test_a_race_of_processes_never_mixes_two_runs(processes, store, tmp_path, database_url):
    pipes, started = [], []
    for number in (1, 2, 3):
        ours, theirs = processes.Pipe()
        process = processes.Process(target=race, args=(tmp_path, database_url, number, 5, theirs))
        process.start()
        pipes.append(ours)
        started.append(process)
    assert [pipe.recv() for pipe in pipes] == ["ready"] * 3
    for pipe in pipes:
        pipe.send("go")
    while not all(pipe.poll() for pipe in pipes):
        commits = store.commits(ds=DAY)
        current = [c for c in commits if c.current]
        assert len({c.run_id for c in current}) <= 1
        assert len(current) in (0, 2)
    won = sum(pipe.recv() for pipe in pipes)
    for process in started:
        process.join()
    assert won >= 1, "the first to begin has nobody before it; how many follow is chance"
    assert len(store.commits("things", DAY)) == len(store.commits("others", DAY)) == won
    assert store.sweep().runs == ()
    assert not list((tmp_path / "tables" / ".locks").iterdir())
