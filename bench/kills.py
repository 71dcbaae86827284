"""Kills at random moments: `python bench/kills.py [--kills 50] [--engine duckdb --engine spark]`.

Replays a small platform and runs `baserate run` on it as a user does, once undisturbed. Then runs
it again and again on fresh copies, with SIGKILL at a moment drawn over the length of the whole
run, and lets the next run go on where that one died. Checked after every kill: what is visible
has the digests of the undisturbed run, and every visible release verifies. Checked at every end:
all digests and releases are those of the undisturbed run. Printed: kills by what they met,
and processes that outlived a killed run by more than a minute. Exits 1 if a check fails.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from baserate.engines.ledger import RunRecord
from baserate.engines.spark_session import java_fault, spark_fault
from baserate.engines.store import Store
from baserate.flows.verify import verify
from baserate.worlds.replay import PlantedChange, build_replay, made_up_material

ENGINES = ("duckdb", "spark")
#: Budgets of the replayed programme, lowered so that a run takes seconds.
BUDGETS = {"judge_budget": 300, "human_budget": 80}
_MOURNING_SECONDS = 60.0


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


def run(workspace: Path, engine: str, patience: float | None) -> subprocess.Popen[bytes]:
    """`baserate run`, ended by SIGKILL where it takes longer than patience lasts."""
    command = [sys.executable, "-m", "baserate.cli", "run", "--workspace", str(workspace)]
    with workspace.with_suffix(".log").open("wb") as story:
        process = subprocess.Popen(
            [*command, "--engine", engine],
            stdout=subprocess.DEVNULL,
            stderr=story,
            start_new_session=True,
        )
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return process


def check_ended_well(process: subprocess.Popen[bytes], workspace: Path) -> None:
    story = workspace.with_suffix(".log").read_text()
    check(process.returncode == 0, f"a run that nobody kills ends well:\n{story}")


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
        return "before a stage began"
    return f"{'in' if new[0].state == 'running' else 'after'} {new[0].stage}"


def session_of(leader: int) -> Iterator[int]:
    """Processes of a session that are alive."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            yield int(entry.parent.name)


def survivors(leader: int) -> int:
    """Processes of a killed run that outlive it by a minute; they are ended then."""
    until = time.monotonic() + _MOURNING_SECONDS
    while left := list(session_of(leader)):
        if time.monotonic() > until:
            for process in left:
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
    began = time.monotonic()
    check_ended_well(run(undisturbed, engine, None), undisturbed)
    whole = time.monotonic() - began
    wanted = visible(undisturbed)
    killed: Counter[str] = Counter()
    to_the_end = outlived = 0
    while killed.total() < kills or copy.exists():
        if not copy.exists():
            shutil.copytree(world, copy)
        before = runs(copy)
        patience = chance.uniform(0.0, whole) if killed.total() < kills else None
        process = run(copy, engine, patience)
        if process.returncode == -signal.SIGKILL:
            outlived += survivors(process.pid)
            killed[moment(copy, before)] += 1
            seen = visible(copy)
            check(seen.items() <= wanted.items(), f"a kill leaves nothing new: {seen}")
            for release in (copy / "releases").glob("[!.]*"):
                check(all(part.passed for part in verify(release)), f"{release.name} verifies")
            continue
        check_ended_well(process, copy)
        check(visible(copy) == wanted, "the digests after kills are those without")
        to_the_end += 1
        shutil.rmtree(copy)
    print(f"{engine}: an undisturbed run takes {whole:.0f} s and leaves {len(wanted)} results")
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
