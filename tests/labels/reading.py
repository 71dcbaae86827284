"""A small platform, a written policy that lists words, and a model that reads the policy."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import yaml

WORDS = ("thistle", "nettle", "bramble", "thorn", "burr")
DOCUMENT = """\
---
id: weeds
name: Weeds
version: "1"
scope:
  query: By what it says.
  response: By what it says.
  pin: By its title and description.
  interaction: Violates if a response or Pin does.
escalation:
  - "Never: the words are harmless."
---

Invented texts in which a few words stand for a violation.

## Definitions
- **D1 Word.** A word of the list, as it stands there.

## Violating
- **V1 Listed words.** Holds one of: {words}.

## Not violating
- **N1 Other words.** Holds none of the list.

## Edge cases
- **E1 A word in a name.** A listed word as a part of another word.
  Ruling: not violating (N1)

## Examples
- **X1 Response.** "A bunch of nettles by the nettle."
  Verdict: violating (V1)
- **X2 Response.** "A bunch of roses."
  Verdict: not violating (N1)
"""


def document(words: tuple[str, ...] = WORDS, version: str = "1") -> str:
    text = DOCUMENT.format(words=", ".join(words))
    return text.replace('version: "1"', f'version: "{version}"')


def reads_the_policy(server: Any) -> Callable[[Any], Any]:
    """A model that looks for the words that the policy in its prompt lists, or shows as bad."""

    def respond(call: Any) -> Any:
        listed = re.findall(r"Holds one of: (.*?)\.", call.system)[0].split(", ")
        bad = re.findall(r'- X\d+ Response: "(.*?)" Verdict: violating', call.system)
        listed += [w for shown in bad for w in re.findall(r"\b[a-z]{4,}\b", shown)]

        def label(violates: bool) -> dict[str, Any]:
            return server.label(violates, clause="V1" if violates else "N1")

        found = {
            id_: bool({*re.findall(r"\w+", call.block(id_).lower())} & {*listed})
            for id_ in call.part_ids
        }
        whole = any(violates for id_, violates in found.items() if not id_.startswith("q"))
        parts = [{"id": id_, **label(violates)} for id_, violates in found.items()]
        return server.completion({"interaction": label(whole), "parts": parts})

    return respond


def reading_judge(server: Any) -> dict[str, Any]:
    """The judge of the programme file."""
    return {
        "kind": "openai",
        "base_url": server.base_url,
        "model": "reader",
        "price_per_1k_input": 0.01,
        "max_retries": 0,
    }


def write_workspace(out: Path, server: Any, *, candidates: dict[str, Any] | None = None) -> None:
    """A day of 400 short answers, a few weeds among them; people find the first three words."""
    server.respond = reads_the_policy(server)
    rng = np.random.default_rng(3)
    ids = [f"i{k:03d}" for k in range(400)]
    words = [
        [*rng.choice([f"w{n}" for n in range(50)], 6), *rng.choice(WORDS, int(k % 4 == 0))]
        for k in range(400)
    ]
    start = datetime(2026, 3, 1, tzinfo=UTC)
    times = [start + timedelta(minutes=3 * k) for k in range(400)]
    _write(out, "requests", interaction_id=ids, requested_at=times,
           query_text=[f"what grows in bed {k}" for k in range(400)])  # fmt: skip
    _write(out, "responses", interaction_id=ids, response_text=[" ".join(w) for w in words])
    score = rng.random(400) * np.array([1.0 if k % 4 == 0 else 0.3 for k in range(400)])
    _write(out, "scores", subject_kind=["response"] * 400, subject_id=ids, score=score,
           policy=["weeds"] * 400)  # fmt: skip
    bad = [i for i, w in zip(ids, words, strict=True) if {*w} & {*WORDS[:3]}]
    same = {"policy": "weeds", "subject_kind": "interaction", "turn": 0, "position": 0}
    same |= {"verdict": "violating", "labeler_id": "ann"}
    _write(out, "reviews", interaction_id=bad, **{k: [v] * len(bad) for k, v in same.items()})
    texts = ["a burr", "a rose", "a burr again", "a rose again"]
    training = {"text": texts, "policy": ["weeds"] * 4, "violating": [True, False] * 2}
    pc.write_csv(pa.table(training), out / "training.csv")
    programme = {
        "programme": "garden",
        "salt": "garden-salt",
        "tables": {t: {"path": f"{t}/ds={{ds}}/*.parquet"} for t in
                   ("requests", "responses", "scores")},
        "policies": [{"id": "weeds", "name": "Weeds", "document": "policies/weeds.md"}],
        "sampling": {"judge_budget": 120, "human_budget": 40},
        "judge": reading_judge(server),
        "candidates": candidates or {},
        "reviews": {"kind": "lookup", "path": "reviews/ds={ds}/*.parquet",
                    "absent_means": "not_violating"},
    }  # fmt: skip
    (out / "baserate.yaml").write_text(yaml.safe_dump(programme))
    (out / "policies").mkdir()
    (out / "policies" / "weeds.md").write_text(document())


def _write(out: Path, table: str, **columns: Any) -> None:
    for ds in ("2026-03-01", "2026-03-02"):
        path = out / table / f"ds={ds}" / "rows.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = pa.table(columns)
        pq.write_table(rows if ds.endswith("01") else rows.slice(0, 0), path)
