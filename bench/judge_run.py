"""A judge's run through everything that goes wrong: `python bench/judge_run.py [--units 10000]`.

One day of made-up interactions is drawn whole for the judge, an LLM behind a local server of its
own process (`servers/faulty_chat_server.py`) that fails for 5 % of questions, is silent for 2 % and
talks nonsense for 1 %. `baserate label` runs in a process that is killed (SIGKILL) at random
moments and started again; the server is killed once and comes back. At the end the committed labels
are held against what was drawn, and the server's books against the number of questions: lost must
be 0, and paid for twice at most the calls under way at the kills (`concurrency` each).

The server shares the machine with the client, so calls per second are a lower bound.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from baserate.engines.store import Store

DAY = date(2026, 3, 1)
SERVER = Path(__file__).parent / "servers" / "faulty_chat_server.py"
WORDS = ("bread", "flour", "oven", "table", "garden", "water", "light", "house", "river", "stone")


def write_workspace(folder: Path, units: int, concurrency: int, url: str) -> None:
    """Logs of one day, each interaction with words of its own, and a programme of one policy."""
    chance = random.Random(1)
    at = datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=UTC)

    def words(n: int) -> str:
        return " ".join(chance.choices(WORDS, k=n))

    ids = [f"u{k:06d}" for k in range(units)]
    asked = {"interaction_id": ids, "requested_at": [at] * units}
    tables = {
        "requests": asked | {"query_text": [f"{i} {words(12)}" for i in ids]},
        "responses": {"interaction_id": ids, "response_text": [words(80) for _ in ids]},
    }
    for name, columns in tables.items():
        path = folder / name / f"ds={DAY}"
        path.mkdir(parents=True)
        pq.write_table(pa.table(columns), path / "part.parquet")
    programme = {
        "programme": "judge_run",
        "salt": "a salt of the bench",
        "tables": {name: {"path": f"{name}/ds={{ds}}/*.parquet"} for name in tables},
        "policies": [{"id": "fruit", "name": "Fruit", "definition": "Offers forbidden fruit."}],
        "estimands": ["interaction_rate"],
        "pivots": [],
        "sampling": {"judge_budget": units, "human_budget": 0},
        "judge": {
            "kind": "openai",
            "base_url": url,
            "model": "made-up",
            "concurrency": concurrency,
            "timeout_seconds": 2.0,
            "price_per_1k_input": 0.001,
            "price_per_1k_output": 0.004,
        },
    }
    (folder / "baserate.yaml").write_text(json.dumps(programme, indent=1))


class Server:
    """The server's process, and its books."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.log = folder / "server.log"
        self._port_file = folder / "server.port"
        self._words = [
            f"--{name}={getattr(options, name)}"
            for name in ("seed", "errors", "timeouts", "garbage", "hang", "latency")
        ]
        self.port = 0
        self.cpu_seconds = 0.0
        self.start()

    def start(self) -> None:
        """Start it, at the same port if it ran before."""
        self._port_file.unlink(missing_ok=True)
        paths = ["--log", str(self.log), "--port-file", str(self._port_file)]
        command = [sys.executable, str(SERVER), *paths, *self._words, "--port", str(self.port)]
        self._process = subprocess.Popen(command)
        while not (self._port_file.exists() and self._port_file.read_text()):
            if self._process.poll() is not None:
                raise SystemExit("the server did not start")
            time.sleep(0.02)
        self.port = int(self._port_file.read_text())

    def kill(self) -> None:
        """SIGKILL; its processor time is kept apart from that of baserate."""
        self._process.kill()
        _, status, used = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu_seconds += used.ru_utime + used.ru_stime

    def asked(self) -> int:
        """Questions so far, near enough to choose moments by: lines are about as long."""
        return self.log.stat().st_size // 33 if self.log.exists() else 0

    def books(self) -> Counter[tuple[str, str]]:
        """(what became of it, question): how often."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return Counter(tuple(line.split()) for line in lines)  # type: ignore[misc]


def command(folder: Path, verb: str) -> list[str]:
    """A command of baserate on the day, as words."""
    words = [verb, "-w", str(folder), "--from", str(DAY), "--to", str(DAY), "--json"]
    return [sys.executable, "-m", "baserate.cli", *words]


def kept(folder: Path) -> int:
    """Answers in the judge's cache."""
    with sqlite3.connect(folder / "judge-cache.db") as db:
        return int(db.execute("SELECT count(*) FROM answers").fetchone()[0])


def run_with_kills(folder: Path, server: Server, options: argparse.Namespace) -> list[dict]:
    """Run `label` until it ends by itself; kill it, and the server once, on the way."""
    chance = random.Random(options.seed)
    moments = [chance.uniform(0.05, 0.95) * options.units for _ in range(options.kills)]
    due = [(m, "client") for m in moments] + [(options.units / 2, "server")] * options.restarts
    due.sort()
    starts: list[dict] = []
    while True:
        began = time.monotonic()
        client = subprocess.Popen(command(folder, "label"), stdout=subprocess.PIPE, text=True)
        while client.poll() is None:
            if due and server.asked() >= due[0][0]:
                if due.pop(0)[1] == "client":
                    client.send_signal(signal.SIGKILL)
                    break
                server.kill()
                time.sleep(options.down)
                server.start()
            time.sleep(0.005)
        out = client.communicate()[0]
        code = client.wait()
        end = "SIGKILL" if code == -signal.SIGKILL else f"exit {code}"
        told = json.loads(out) if code == 0 else {}
        starts.append({"end": end, "seconds": time.monotonic() - began, "kept": kept(folder)})
        starts[-1] |= {"judge": told.get("judge", {})}
        if code == 0:
            return starts
        if end != "SIGKILL" and len(starts) > options.kills + 10:
            raise SystemExit(f"label ends with {end} again and again")


def main(options: argparse.Namespace) -> None:
    """Run and print."""
    with tempfile.TemporaryDirectory(prefix="judge-run-") as name:
        folder = Path(name)
        server = Server(folder, options)
        try:
            url = f"http://127.0.0.1:{server.port}/v1"
            write_workspace(folder, options.units, options.concurrency, url)
            subprocess.run(command(folder, "sample"), check=True, stdout=subprocess.DEVNULL)
            before = os.times()
            starts = run_with_kills(folder, server, options)
            after, of_server = os.times(), server.cpu_seconds
            once = server.asked()
            subprocess.run(command(folder, "label"), check=True, stdout=subprocess.DEVNULL)
            again = server.asked() - once
        finally:
            server.kill()
        report(folder, server, options, starts, again)
        cpu = after.children_user + after.children_system - of_server
        cpu -= before.children_user + before.children_system
        print(f"{'CPU seconds of baserate, all starts':<44}{cpu:>12,.1f}")


def report(
    folder: Path, server: Server, options: argparse.Namespace, starts: list[dict], again: int
) -> None:
    """The table. Raises: SystemExit if something was lost, or paid for twice beyond the bound."""
    books = server.books()
    by_kind = Counter(what for what, _ in books.elements())
    answered = {q: n for (what, q), n in books.items() if what == "answered"}
    twice = sum(n - 1 for n in answered.values())
    killed = sum(s["end"] == "SIGKILL" for s in starts)
    bound = options.concurrency * (killed + options.restarts)
    with Store(folder) as store:
        drawn = set(store.read("samples", DAY, ["interaction_id"])["interaction_id"].to_pylist())
        labels = store.read("labels", DAY).to_pylist()
    whole = [r for r in labels if r["subject_kind"] == "interaction"]
    lost = len(drawn) - len({r["interaction_id"] for r in whole} & drawn)
    outcomes = Counter(r["reason"] if r["verdict"] == "no_label" else "labelled" for r in whole)
    seconds = sum(s["seconds"] for s in starts)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    rows: list[tuple[str, object]] = [
        ("interactions drawn, one policy", len(drawn)),
        ("starts of `baserate label`", len(starts)),
        ("  killed by SIGKILL", killed),
        ("kills and restarts of the server", options.restarts),
        ("calls that reached the server", sum(by_kind.values())),
        *((f"  {what}", by_kind[what]) for what in ("answered", "error", "timeout", "garbage")),
        ("questions", len({q for _, q in books})),
        ("paid for more than once", twice),
        ("  bound: concurrency x kills", bound),
        ("labels of whole interactions", len(whole)),
        *((f"  {what}", n) for what, n in outcomes.most_common()),
        ("lost", lost),
        ("calls when run once more", again),
        ("answers kept", starts[-1]["kept"]),
        ("seconds, all starts", round(seconds, 1)),
        ("calls per second", round(sum(by_kind.values()) / seconds)),
        ("peak memory of a process, MB", peak),
    ]
    for name, value in rows:
        print(f"{name:<44}{value:>12,}")
    for k, start in enumerate(starts, 1):
        print(f"start {k}: {start['end']} after {start['seconds']:.1f} s, {start['kept']:,} kept")
    told = {n: v for n, v in starts[-1]["judge"].items() if v and n != "outcomes"}
    print("the last start says:", ", ".join(f"{n} {v:,.6g}" for n, v in told.items()))
    if lost or twice > bound or again:
        raise SystemExit("the promise is broken")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=10_000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--restarts", type=int, default=1)
    parser.add_argument("--down", type=float, default=1.0, help="seconds that the server is away")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--errors", type=float, default=0.05)
    parser.add_argument("--timeouts", type=float, default=0.02)
    parser.add_argument("--garbage", type=float, default=0.01)
    parser.add_argument("--hang", type=float, default=4.0)
    parser.add_argument("--latency", type=float, default=0.05)
    main(parser.parse_args())
