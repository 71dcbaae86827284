"""A client of a Spark Connect server, in a process of its own: prints what it saw as JSON.

A process that has a Spark session of its own can have none of a server.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from baserate.engines import spark_session
from baserate.engines.choose import open_engine
from baserate.engines.settings import load_settings
from baserate.terms.errors import EngineError


def main(folder: Path, java: int) -> None:
    spark_session.KNOCKS = 2
    logs = folder / "logs.parquet"
    pq.write_table(pa.table({"unit": ["a", "b", "b", "ü"], "n": [1, 2, 3, None]}), logs)
    seen: dict[str, object] = {}
    with open_engine(load_settings()) as engine:
        rows = engine.scan_log([str(logs)])
        kept = engine.kept.keep("kept", rows.filter(rows.unit != "a"))
        sums = kept.group_by("unit").agg(n=kept.n.sum())
        joined = rows.join(sums, "unit").select(rows.unit, rows.n, total=sums.n)
        seen["joined"] = engine.to_arrow(joined.order_by("unit", "n")).to_pylist()
        seen["written"] = engine.write_parquet(joined, folder / "out.parquet")
        seen["read"] = pq.read_table(folder / "out.parquet").num_rows
        os.kill(java, signal.SIGKILL)
        try:
            engine.rows_of(kept)
        except EngineError as error:
            seen["error"] = [error.code, error.hint]
    print(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
