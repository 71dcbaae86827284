"""Kills at random moments: `python bench/kills.py [--kills 50] [--engine duckdb --engine spark]`.

Replays a small platform and runs `baserate run` on it as a user does, once undisturbed. Then runs
it again and again on fresh copies, with SIGKILL at a moment drawn over the work that is left, a
quarter of them over what comes before the first stage is entered, and lets the next run go on
where that one died. Work is counted in processor seconds, so that a busy machine draws the same
moments. Checked after every kill: what is visible has the digests of the undisturbed run, and
every visible release verifies. Checked at every end: all digests and releases are those of the
undisturbed run. Printed: kills by what they met, and processes that outlived a killed run by more
than a minute. Exits 1 if a check fails.

On Spark a run is nearly all Java that starts and compiles, so there the days are built one after
another in one Java (`--workers 1`), which is told to compile quickly rather than well.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from baserate.engines.ledger import RunRecord
from baserate.engines.spark_session import java_fault, spark_fault
from baserate.engines.store import Store
from baserate.flows.verify import verify
from baserate.worlds.replay import PlantedChange, build_replay, made_up_material

ENGINES = ("duckdb", "spark")
#: Budgets of the replayed programme, lowered so that a run takes seconds.
BUDGETS = {"judge_budget": 300, "human_budget": 80}
#: Share of kills that are drawn over the time before a first stage is entered.
EARLY = 0.25
#: How a run is asked to go about it, and what Java is told.
WORKERS = {"duckdb": 2, "spark": 1}
JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=240m"
_MOURNING_SECONDS = 60.0
_BLINK_SECONDS = 0.02


def write_world(folder: Path) -> None:
    """Two days of logs with a programme file."""
    build_replay(
        folder,
        days=2,
        interactions_per_day=1_500,
        seed=5,
        change=PlantedChange(from_day=2),
        material=made_up_material(),
    )
    programme = folder / "baserate.yaml"
    lines = []
    for line in programme.read_text().splitlines():
        key = line.strip().partition(":")[0]
        indent = line[: len(line) - len(line.lstrip())]
        lines.append(f"{indent}{key}: {BUDGETS[key]}" if key in BUDGETS else line)
    programme.write_text("\n".join(lines) + "\n")


class Ran(NamedTuple):
    """A run of `baserate run`.

    Attributes:
        pid: Its process, first of a session of its own.
        code: Its exit code; negative: the signal that ended it.
        start: Processor seconds until it entered a first stage: what that stage needs is read
            and computed before.
        work: Processor seconds after that.
    """

    pid: int
    code: int
    start: float
    work: float


def run(workspace: Path, engine: str, patience: float | None, *, at_once: bool = False) -> Ran:
    """`baserate run`, ended by SIGKILL when it has worked for so many processor seconds.

    Args:
        workspace: Where it runs.
        engine: Where it counts.
        patience: Processor seconds; None: it is not killed.
        at_once: Count from its start, and not from the first stage that it enters.
    """
    command = [sys.executable, "-m", "baserate.cli", "run", "--workspace", str(workspace)]
    command += ["--engine", engine, "--workers", str(WORKERS[engine])]
    story = workspace.with_suffix(".log")
    with story.open("wb") as file:
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=file,
            env={**os.environ, "JAVA_TOOL_OPTIONS": JAVA},
            start_new_session=True,
        )
    before = n_begun(workspace)
    start, spent, begun = 0.0, 0.0, False
    while process.poll() is None:
        spent = max(spent, processor_seconds(process.pid))
        if not begun:
            start, begun = spent, n_begun(workspace) > before
        worked = spent if at_once else spent - start
        if patience is not None and (at_once or begun) and worked >= patience:
            process.kill()
            process.wait()
        time.sleep(_BLINK_SECONDS)
    return Ran(process.pid, process.returncode, start, spent - start)


def n_begun(workspace: Path) -> int:
    """Number of stages that were ever begun, by a look at the database from beside it."""
    with (
        suppress(sqlite3.Error),
        closing(sqlite3.connect(f"file:{workspace}/baserate.db?mode=ro", uri=True)) as database,
    ):
        return int(database.execute("SELECT count(*) FROM runs").fetchone()[0])
    return 0


def processor_seconds(leader: int) -> float:
    """What the processes of a session and those that they have waited for have used."""
    ticks = sum(sum(map(int, fields[11:15])) for _, fields in session_of(leader))
    return ticks / os.sysconf("SC_CLK_TCK")


def check_ended_well(ran: Ran, workspace: Path) -> None:
    story = workspace.with_suffix(".log").read_text()
    check(ran.code == 0, f"a run that nobody kills ends well:\n{story}")


def visible(workspace: Path) -> dict[str, str]:
    """Digest of every current table and the name of every release."""
    if not (workspace / "baserate.db").exists():
        return {}
    with Store(workspace) as store:
        tables = {f"{c.table}/{c.ds}": c.digest for c in store.commits() if c.current}
    releases = (workspace / "releases").glob("[!.]*")
    return tables | {f"releases/{path.name}": path.name for path in releases}


def runs(workspace: Path) -> list[RunRecord]:
    """Runs of stages that the database knows, newest first."""
    if not (workspace / "baserate.db").exists():
        return []
    with Store(workspace) as store:
        return store.runs()


def moment(workspace: Path, before: list[RunRecord]) -> str:
    """What had happened when a run was killed, by the newest stage that it began."""
    known = {run.run_id for run in before}
    new = [run for run in runs(workspace) if run.run_id not in known]
    if not new:
        return "before a stage was entered"
    return f"{'in' if new[0].state == 'running' else 'after'} {new[0].stage}"


def session_of(leader: int) -> Iterator[tuple[int, list[str]]]:
    """Processes of a session that are alive, and what the system says of each after its name."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            yield int(entry.parent.name), fields


def survivors(leader: int) -> int:
    """Processes of a killed run that outlive it by a minute; they are ended then."""
    until = time.monotonic() + _MOURNING_SECONDS
    while left := list(session_of(leader)):
        if time.monotonic() > until:
            for process, _ in left:
                os.kill(process, signal.SIGKILL)
            return len(left)
        time.sleep(0.1)
    return 0


def check(condition: bool, what: str) -> None:
    if not condition:
        raise SystemExit(f"not so: {what}")


def kill_until(world: Path, engine: str, kills: int, seed: int) -> None:
    """Kill runs of one engine so many times and print the account."""
    chance = random.Random(seed)
    undisturbed, copy = (world.with_name(f"{engine}-{name}") for name in ("whole", "killed"))
    shutil.copytree(world, undisturbed)
    first = run(undisturbed, engine, None)
    check_ended_well(first, undisturbed)
    wanted = visible(undisturbed)
    killed: Counter[str] = Counter()
    to_the_end = outlived = 0
    left = first.work
    while killed.total() < kills or copy.exists():
        if not copy.exists():
            shutil.copytree(world, copy)
            left = first.work
        before = runs(copy)
        at_once = chance.random() < EARLY
        span = first.start if at_once else left
        patience = chance.uniform(0.0, span) if killed.total() < kills else None
        ran = run(copy, engine, patience, at_once=at_once)
        if ran.code == -signal.SIGKILL:
            left = max(left - ran.work, 1.0)
            outlived += survivors(ran.pid)
            killed[moment(copy, before)] += 1
            seen = visible(copy)
            check(seen.items() <= wanted.items(), f"a kill leaves nothing new: {seen}")
            for release in (copy / "releases").glob("[!.]*"):
                check(all(part.passed for part in verify(release)), f"{release.name} verifies")
            continue
        check_ended_well(ran, copy)
        check(visible(copy) == wanted, "the digests after kills are those without")
        to_the_end += 1
        shutil.rmtree(copy)
    print(
        f"{engine}: an undisturbed run takes {first.start:.0f} + {first.work:.0f} processor "
        f"seconds and leaves {len(wanted)} results"
    )
    for stage, n in sorted(killed.items(), key=lambda item: (-item[1], item[0])):
        print(f"  {n:>4}  killed {stage}")
    print(
        f"  {killed.total():>4}  kills; {to_the_end} runs came to their end after kills, all with "
        f"the same digests; {outlived} processes outlived theirs",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--engine", choices=ENGINES, action="append")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "world"
        write_world(world)
        for engine in options.engine or ENGINES:
            if engine == "spark" and (fault := spark_fault() or java_fault()) is not None:
                print(f"spark: left out, {fault}")
                continue
            kill_until(world, engine, options.kills, options.seed)


if __name__ == "__main__":
    main()
