"""Kills at random moments: `python bench/kills.py [--kills 50] [--engine duckdb …]`.

Replays a small platform and runs `baserate run` on it as a user does, once undisturbed. Then runs
it again and again on fresh copies, with SIGKILL at a moment drawn over the work that is left, a
quarter of them over what comes before the first stage is entered, and lets the next run go on
where that one died. Work is counted in processor seconds, so that a busy machine draws the same
moments. Checked after every kill: what is visible has the digests of the undisturbed run, and
every visible release verifies. Checked at every end: all digests and releases are those of the
undisturbed run. Printed: kills by what they met, and processes that outlived a killed run by more
than a minute. Exits 1 if a check fails.

On Spark a run of its own is nearly all Java that starts and compiles, which is told to compile
quickly rather than well. `connect` is Spark behind a Spark Connect server that this bench starts
and that lives on while its clients are killed, with what they asked it to do still under way;
moments are drawn over the processor seconds of both.
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
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from baserate.engines.ledger import RunRecord
from baserate.engines.spark_session import java_fault, spark_fault
from baserate.engines.store import Store
from baserate.flows.verify import verify
from baserate.worlds.replay import PlantedChange, build_replay, made_up_material

SERVER = Path(__file__).parent / "servers" / "spark_connect.py"
ENGINES = ("duckdb", "spark", "connect")
#: Budgets of the replayed programme, lowered so that a run takes seconds.
BUDGETS = {"judge_budget": 300, "human_budget": 80}
#: Share of kills that are drawn over the time before a first stage is entered.
EARLY = 0.25
#: Runs that a server serves before one is timed: its first are slower.
WARMING = 1
#: Days whose records are built at once, each in a process of its own.
WORKERS = {"duckdb": 2, "spark": 1, "connect": 1}
#: What Java is told.
JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=240m"
_MOURNING_SECONDS = 60.0
_BLINK_SECONDS = 0.05


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


class Place(NamedTuple):
    """Where runs count.

    Attributes:
        engine: A word of ``ENGINES``.
        server: The first process of the Spark Connect server, if there is one.
        address: Its address.
    """

    engine: str
    server: int | None = None
    address: str = ""

    def command(self, workspace: Path) -> list[str]:
        engine = "duckdb" if self.engine == "duckdb" else "spark"
        words = ["run", "--workspace", str(workspace), "--engine", engine]
        return [sys.executable, "-m", "baserate.cli", *words, "--workers", self.workers()]

    def workers(self) -> str:
        return str(WORKERS[self.engine])

    def environment(self) -> dict[str, str]:
        told = {"BASERATE_SPARK_REMOTE": self.address} if self.address else {}
        return {**os.environ, "JAVA_TOOL_OPTIONS": JAVA, **told}

    def spent(self, leader: int | None = None) -> float:
        """Processor seconds of a run's processes and of the server until now."""
        leaders = [p for p in (leader, self.server) if p is not None]
        return sum(map(processor_seconds, leaders))


def run(workspace: Path, place: Place, patience: float | None, *, at_once: bool = False) -> Ran:
    """`baserate run`, ended by SIGKILL when it has worked for so many processor seconds.

    Args:
        workspace: Where it runs.
        place: Where it counts.
        patience: Processor seconds; None: it is not killed.
        at_once: Count from its start, and not from the first stage that it enters.
    """
    story = workspace.with_suffix(".log")
    idle = place.spent()
    with story.open("wb") as file:
        process = subprocess.Popen(
            place.command(workspace),
            stdout=subprocess.DEVNULL,
            stderr=file,
            env=place.environment(),
            start_new_session=True,
        )
    before = n_begun(workspace)
    start, spent, begun = 0.0, 0.0, False
    while process.poll() is None:
        spent = max(spent, place.spent(process.pid) - idle)
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


@contextmanager
def opened(engine: str, folder: Path) -> Iterator[Place]:
    """A place to run in; with a server of Spark Connect of its own where that is what it is."""
    if engine != "connect":
        yield Place(engine)
        return
    told = folder / "address"
    server = subprocess.Popen(
        [sys.executable, SERVER, f"--address-file={told}", f"--scratch={folder / 'server'}"],
        env={**os.environ, "JAVA_TOOL_OPTIONS": JAVA},
        start_new_session=True,
    )
    try:
        while not told.exists():
            check(server.poll() is None, "the server starts")
            time.sleep(0.2)
        yield Place(engine, server.pid, told.read_text())
    finally:
        server.terminate()
        server.wait()


def check(condition: bool, what: str) -> None:
    if not condition:
        raise SystemExit(f"not so: {what}")


def kill_until(world: Path, place: Place, kills: int, seed: int) -> None:
    """Kill runs in one place so many times and print the account."""
    chance, engine = random.Random(seed), place.engine
    undisturbed, copy = (world.with_name(f"{engine}-{name}") for name in ("whole", "killed"))
    for _ in range(1 + WARMING * (place.server is not None)):
        shutil.rmtree(undisturbed, ignore_errors=True)
        shutil.copytree(world, undisturbed)
        first = run(undisturbed, place, None)
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
        ran = run(copy, place, patience, at_once=at_once)
        if ran.code == -signal.SIGKILL:
            left = max(left - ran.work, 1.0)
            outlived += survivors(ran.pid)
            killed[moment(copy, before)] += 1
            print(f"{engine}: kill {killed.total()} of {kills}", file=sys.stderr, flush=True)
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
            if engine != "duckdb" and (fault := spark_fault() or java_fault()) is not None:
                print(f"{engine}: left out, {fault}")
                continue
            with opened(engine, Path(folder)) as place:
                kill_until(world, place, options.kills, options.seed)


if __name__ == "__main__":
    main()
