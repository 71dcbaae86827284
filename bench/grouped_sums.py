"""1 M labelled rows x 10 policies x 100 domains x 20 strata, with intervals, on one core.

Run: python bench/grouped_sums.py [--rows N] [--svy-policies P]

Prints time and memory of our grouped sums beside svy's Taylor linearisation of the same domain
ratios in the same run, svy on fewer policies (they add up) with the ratio taken per policy. Each
part has a process of its own, on the same single core and the same rows; peak memory includes
the rows and the imports.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

POLICIES, DOMAINS, STRATA = 10, 100, 20
GATE_SECONDS, GATE_BYTES = 2.0, 1e9
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS")


def made_up_rows(n: int) -> dict[str, Any]:
    """Rows of a stratified sample: 0/1 verdicts of 10 policies, exposure, weight, domain."""
    import numpy as np

    rng = np.random.default_rng(7)
    stratum = rng.integers(0, STRATA, n)
    rate = np.geomspace(1e-3, 3e-2, POLICIES)
    return {
        "y": rng.uniform(size=(n, POLICIES)) < rate * (0.5 + stratum[:, None] / STRATA),
        "x": rng.lognormal(1.0, 1.0, n),
        "weight": np.geomspace(2.0, 400.0, STRATA)[stratum],
        "domain": rng.integers(0, DOMAINS, n),
        "stratum": stratum,
    }


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def timed_grouped_sums(rows: dict[str, Any], _: int) -> dict[str, Any]:
    from baserate.stats.grouped_sums import GroupedSums
    from baserate.stats.intervals import logit_limits

    start, cpu = time.perf_counter(), time.process_time()
    sums = GroupedSums.from_rows(
        rows["y"],
        rows["weight"],
        rows["domain"],
        DOMAINS,
        stratum=rows["stratum"],
        n_strata=STRATA,
        x=rows["x"],
    )
    found = sums.estimates(fixed_size=True)
    lower, upper = logit_limits(found.rate, found.std_error)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "cpu": time.process_time() - cpu,
        "peak": peak_bytes(),
        "rate": found.rate.T.tolist(),
        "std_error": found.std_error.T.tolist(),
        "cells": int((upper > lower).sum()),
        "policies": POLICIES,
    }


def timed_svy(rows: dict[str, Any], policies: int) -> dict[str, Any]:
    import numpy as np
    import polars as pl
    import svy

    names = [f"y{p}" for p in range(policies)]
    frame = pl.DataFrame(
        {name: rows["y"][:, p].astype(float) for p, name in enumerate(names)}
        | {k: rows[k] for k in ("x", "domain", "stratum")}
        | {"w": rows["weight"]}
        | {"size": np.bincount(rows["stratum"], weights=rows["weight"])[rows["stratum"]]}
    )
    start, cpu = time.perf_counter(), time.process_time()
    sample = svy.Sample(frame, svy.Design(stratum="stratum", wgt="w", pop_size="size"))
    tables = []
    for name in names:
        result = sample.estimation.ratio(name, "x", by="domain")
        tables.append(result.to_polars().sort("domain"))
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "cpu": time.process_time() - cpu,
        "peak": peak_bytes(),
        "rate": [t["est"].to_list() for t in tables],
        "std_error": [t["se"].to_list() for t in tables],
        "cells": sum(t.height for t in tables),
        "policies": policies,
    }


PARTS = {"baserate": timed_grouped_sums, "svy": timed_svy}


def in_own_process(part: str, n: int, policies: int) -> dict[str, Any]:
    environment = os.environ | dict.fromkeys(ONE_THREAD, "1")
    command = [sys.executable, __file__, "--part", part, "--rows", str(n)]
    command += ["--svy-policies", str(policies)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{part} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def largest_gap(ours: list[list[float]], theirs: list[list[float]]) -> float:
    pairs = (
        (a, b)
        for row_a, row_b in zip(ours, theirs, strict=True)
        for a, b in zip(row_a, row_b, strict=True)
    )
    return max(abs(a - b) / abs(b) if b else abs(a) for a, b in pairs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--part", choices=sorted(PARTS))
    parser.add_argument("--svy-policies", type=int, default=2, choices=range(1, 11))
    given = parser.parse_args()
    if given.part:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        print(json.dumps(PARTS[given.part](made_up_rows(given.rows), given.svy_policies)))
        return 0
    results = {part: in_own_process(part, given.rows, given.svy_policies) for part in PARTS}
    return report(given.rows, results["baserate"], results["svy"])


def report(rows: int, ours: dict[str, Any], theirs: dict[str, Any]) -> int:
    print(
        f"{rows:,} rows x {POLICIES} policies x {DOMAINS} domains x {STRATA} strata, "
        "ratios with linearised standard errors, one core"
    )
    print(f"{'':10}{'policies':>9}{'intervals':>11}{'seconds':>9}{'cpu/policy':>12}{'peak MB':>9}")
    for part, r in (("baserate", ours), ("svy", theirs)):
        per_policy = r["cpu"] / r["policies"]
        print(
            f"{part:10}{r['policies']:>9}{r['cells']:>11}{r['seconds']:>9.2f}"
            f"{per_policy:>12.3f}{r['peak'] / 1e6:>9.0f}"
        )
    faster = theirs["cpu"] / theirs["policies"] / (ours["cpu"] / ours["policies"])
    print(f"{'ratio':10}{'':29}{faster:>11.0f}x{theirs['peak'] / ours['peak']:>8.1f}x")
    for name in ("rate", "std_error"):
        shared = ours[name][: theirs["policies"]]
        print(f"largest relative difference, {name}: {largest_gap(shared, theirs[name]):.1e}")
    passed = ours["seconds"] < GATE_SECONDS and ours["peak"] < GATE_BYTES
    print("gate (under 2 s and 1 GB):", "met" if passed else "MISSED")
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
