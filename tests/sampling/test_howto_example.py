"""The example of the how-to runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "data-engineer.md"


def test_the_example_of_a_draw_from_a_table_of_ones_own_runs(tmp_path, monkeypatch, capsys):
    n, rng = 2_000, np.random.default_rng(0)
    table = pa.table(
        {
            "event_id": [f"event {i}" for i in range(n)],
            "impressions": rng.integers(0, 50, n),
            "country": rng.choice(["BR", "US"], n).tolist(),
            "user_id": [f"user {i}" for i in rng.integers(0, 300, n)],
        }
    )
    pq.write_table(table, tmp_path / "events.parquet")
    monkeypatch.chdir(tmp_path)
    section = PAGE.read_text().split("## Drawing from hundreds of millions")[1]
    (example,) = re.findall(r"^```python\n(.*?)^```$", section.split("\n## ")[0], re.S | re.M)
    exec(compile(example, str(PAGE), "exec"), {})
    assert capsys.readouterr().out.startswith("100 50 20\n")
