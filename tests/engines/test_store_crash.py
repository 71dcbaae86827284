"""A process that dies while it writes leaves nothing half-visible, wherever it dies."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from baserate.engines.store import Store
from baserate.terms.errors import EngineError

from .conftest import DAY, THINGS, things
from .workers import hold_open, write_both

ROWS = 40_000
POINTS = ["before the rename", "between the tables", "before the commit", "inside the commit"]


def started(processes, work, *arguments):
    ours, theirs = processes.Pipe()
    process = processes.Process(target=work, args=(*arguments[:-1], theirs, *arguments[-1]))
    process.start()
    return process, ours


def state_of(root, engine, url):
    """What a reader sees now: the digests of both tables, or None."""
    with Store(root, engine=engine, database_url=url) as store:
        commits = [store.current(name, DAY) for name in ("things", "others")]
        for commit in commits:
            if commit is not None:
                assert store.verify(commit.table, DAY) == commit
        assert len({None if c is None else c.run_id for c in commits}) == 1
        return None if commits[0] is None else [c.digest for c in commits]


def run_here(root, engine, url) -> list[str]:
    with Store(root, engine=engine, database_url=url) as store:
        with store.run("making", DAY, {"rows": ROWS}) as run:
            written = [run.write(name, things(ROWS), THINGS) for name in ("things", "others")]
        return [one.digest for one in written]


@pytest.mark.parametrize(
    "database_url", ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], indirect=True
)
def test_killed_at_random_moments_nothing_is_half_visible_and_a_re_run_gives_the_same(
    processes, tmp_path, engine, database_url
):
    promised = run_here(tmp_path / "reference", engine, None)
    root = tmp_path / "space"
    chance = random.Random(20260131)
    killed = []
    whole_run = 1.5
    for _ in range(8):
        process, ours = started(processes, write_both, root, database_url, ROWS, ())
        assert ours.recv() == "ready"
        begun = time.monotonic()
        if ours.poll(chance.uniform(0.0, whole_run)):
            whole_run = 0.8 * (time.monotonic() - begun)  # it was faster: kill earlier from now on
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        killed.append(process.exitcode == -signal.SIGKILL)
        assert state_of(root, engine, database_url) in (None, promised)
    assert sum(killed) >= 2
    assert run_here(root, engine, database_url) == promised
    assert state_of(root, engine, database_url) == promised


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_the_worst_moment_the_earlier_tables_stay(
    processes, tmp_path, engine, database_url, point
):
    before = run_here(tmp_path, engine, database_url)
    process, ours = started(processes, write_both, tmp_path, database_url, 500, (point,))
    assert ours.recv() == "ready"
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert state_of(tmp_path, engine, database_url) == before
    with Store(tmp_path, engine=engine, database_url=database_url) as store:
        swept = store.sweep()
        assert len(swept.runs) == 1
        assert swept.files >= 1
        assert swept.live == swept.unknown == ()
        assert store.sweep().runs == ()
        assert {p.parent.name for p in store.root.rglob("*part-*")} == {
            f"run={store.current('things', DAY).run_id}"
        }
        assert [run.failure for run in store.runs(state="abandoned")] == ["killed"]
    assert state_of(tmp_path, engine, database_url) == before


def test_the_next_run_clears_away_what_a_killed_one_left(processes, tmp_path, engine):
    process, _ = started(processes, write_both, tmp_path, None, 500, ("before the commit",))
    process.join()
    assert list(tmp_path.rglob("part-*"))
    with Store(tmp_path, engine=engine) as store, store.run("making", DAY) as run:
        assert list(tmp_path.rglob("part-*")) == []
        run.write("things", things(1), THINGS)


def test_a_sweep_never_touches_a_run_that_works(processes, tmp_path, engine, database_url):
    process, ours = started(processes, hold_open, tmp_path, database_url, ())
    assert ours.recv() == "holding"
    with Store(tmp_path, engine=engine, database_url=database_url) as store:
        swept = store.sweep()
        assert swept.runs == ()
        assert len(swept.live) == 1
        ours.send("go on")
        process.join()
        assert store.read("things", DAY).num_rows == 7


def test_a_sweep_leaves_alone_what_it_does_not_know(tmp_path, engine):
    with Store(tmp_path, engine=engine) as store:
        foreign = tmp_path / "tables" / "things" / "ds=2026-01-31" / "run=unknown"
        foreign.mkdir(parents=True)
        (foreign / "part-00000.parquet").write_bytes(b"precious")
        assert store.sweep().unknown == (str(foreign),)
        assert (foreign / "part-00000.parquet").read_bytes() == b"precious"


def test_a_run_that_was_given_up_for_dead_cannot_commit_any_more(tmp_path, engine, database_url):
    with (
        Store(tmp_path, engine=engine, database_url=database_url) as store,
        Store(tmp_path, engine=engine, database_url=database_url) as far_away,
    ):
        with pytest.raises(EngineError) as caught, store.run("making", DAY) as run:  # noqa: PT012
            run.write("things", things(1), THINGS)
            far_away._ledger.give_up([run.run_id], "abandoned", "killed")
        assert caught.value.code == "run_lost"
        assert store.current("things", DAY) is None
        assert store.sweep().runs == (run.run_id,)
