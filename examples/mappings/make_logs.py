"""Logs of one small made-up platform, written in two ways: a star schema and a stream of events.

    python examples/mappings/make_logs.py
    baserate doctor --workspace mapping-examples/star
    baserate records --workspace mapping-examples/star --from 2026-01-05 --to 2026-01-06
    baserate records --workspace mapping-examples/stream --from 2026-01-05 --to 2026-01-06

Both folders get a programme file whose mapping makes the same interactions of either log.
"""

from __future__ import annotations

import json
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
FIRST = datetime(2026, 1, 5, tzinfo=UTC)
DAYS = 3
SURFACES = {1: "search", 2: "home", 3: "other"}
TOPICS = ("a bookshelf", "pancakes", "a balcony garden", "knitted socks", "a reading corner")
BIRTHS = {1: 1990, 2: None, 3: 2010, 4: 1970, 5: 1999}


def people() -> list[dict[str, Any]]:
    """Five people, one of them staff."""
    return [
        {
            "person": n,
            "country": "FR" if n % 2 else "BR",
            "locale": "fr-FR" if n % 2 else "pt-BR",
            "birth_year": birth,
            "band": None if birth is None else _band(2026 - birth),
            "staff": n == 5,
        }
        for n, birth in BIRTHS.items()
    ]


def _band(age: int) -> str:
    return "under 18" if age < 18 else "18-34" if age < 35 else "35+"


def turns() -> list[dict[str, Any]]:
    """Forty interactions a day; every tenth has two turns, some have no answer or no Pins."""
    made = []
    for k in range(40 * DAYS):
        day, place = divmod(k, 40)
        for turn in range(1, 3 if k % 10 == 0 else 2):
            asked = FIRST + timedelta(days=day, minutes=30 * place + turn, milliseconds=k)
            made.append(_turn(1000 + k, turn, k, asked))
    return made


def _turn(key: int, turn: int, k: int, asked: datetime) -> dict[str, Any]:
    topic = TOPICS[k % len(TOPICS)]
    answered = k % 13 != 5
    return {
        "key": key,
        "turn": turn,
        "asked": asked,
        "person": 1 + k % 5,
        "session": k // 7,
        "surface": 1 + k % 3,
        "client": "ios" if k % 2 else "web",
        "test": k % 17 == 3,
        "query": f'Ideas for {topic}, "turn {turn}"\nplease – merci',
        "answer": f"Here are ideas for {topic}." if answered else None,
        "model": 1 + k % 2,
        "refused": k % 11 == 4,
        "pins": [
            {"pin": 10 * (k % 9) + p, "title": f"{topic} №{p}", "seen": None if p == 2 else p}
            for p in range(1, k % 4 + 1)
        ]
        if answered
        else [],
        "risks": {
            (part, policy): round(((k * 7 + turn * 3 + n * 5) % 100) / 100, 2)
            for n, (part, policy) in enumerate(
                [("Q", "harassment"), ("Q", "spam"), ("R", "harassment"), ("R", "spam")]
            )
            if (part == "Q" or answered) and (k + n) % 6 and k % 8 != 2
        },
    }


def star(folder: Path) -> None:
    """Fact tables by day and a dimension of people."""
    days: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for t in turns():
        tables = days.setdefault(t["asked"].date().isoformat(), {})
        key = {"prompt_sk": t["key"], "turn_no": t["turn"]}
        asked = _milliseconds(t["asked"])
        tables.setdefault("fact_prompt", []).append(
            key
            | {
                "asked_ms": asked,
                "loaded_ms": asked + 5_000,
                "person_sk": t["person"],
                "visit_no": t["session"],
                "entry_point": t["surface"],
                "synthetic": "Y" if t["test"] else None,
                "user_agent": f"{t['client'].upper()}/26.1",
                "prompt_text": t["query"],
            }
        )
        if t["answer"] is not None:
            tables.setdefault("fact_answer", []).append(
                key
                | {
                    "answered_ms": asked + 900,
                    "answer_text": t["answer"],
                    "model_sk": t["model"],
                    "refused": "Y" if t["refused"] else None,
                }
            )
        tables.setdefault("fact_pin_shown", []).extend(
            key | {"slot": s, "pin_sk": p["pin"], "pin_title": p["title"], "n_impr": p["seen"]}
            for s, p in enumerate(t["pins"])
        )
        for part in ("Q", "R"):
            risk = {policy: t["risks"].get((part, policy)) for policy in ("harassment", "spam")}
            tables.setdefault("fact_risk", []).append(key | {"part": part} | risk)
    for day, tables in days.items():
        for name, rows in tables.items():
            _write(folder / name / f"ds={day}", rows)
    dimension = [
        {
            "person_sk": p["person"],
            "country_code": p["country"],
            "locale": p["locale"],
            "birth_year": p["birth_year"],
            "staff_flag": "Y" if p["staff"] else "N",
        }
        for p in people()
    ]
    _write(folder / "dim_person", dimension)


def stream(folder: Path) -> None:
    """Events by day, other events among them, and a file of accounts."""
    days: dict[str, list[dict[str, Any]]] = {}
    for n, t in enumerate(turns()):
        day = days.setdefault(t["asked"].date().isoformat(), [])
        day.append(_event(t))
        if n % 3 == 0:
            day.append({"event": "client.heartbeat", "event_time": t["asked"] + timedelta(hours=1)})
    for day, rows in days.items():
        _write(folder / "events" / f"ds={day}", rows)
    accounts = [
        {
            "account": f"urn:person:{p['person']}",
            "profile": json.dumps(
                {
                    "country": p["country"],
                    "locale": p["locale"],
                    "age": {"band": p["band"]},
                    "roles": ["staff"] if p["staff"] else [],
                }
            ),
        }
        for p in people()
    ]
    _write(folder / "accounts", accounts)


def _event(t: dict[str, Any]) -> dict[str, Any]:
    context = {"client": t["client"]}
    if t["surface"] != 3:
        context["surface"] = SURFACES[t["surface"]]
    said = {
        "turn": t["turn"],
        "asked_at": t["asked"].isoformat(timespec="milliseconds"),
        "query": t["query"],
        "context": context,
    }
    answer = {
        "at": t["asked"] + timedelta(milliseconds=900),
        "text": t["answer"],
        "model": f"assistant-{t['model']}",
        "refused": True if t["refused"] else None,
        "shown": [
            {"ref": {"id": f"pin-{p['pin']}", "title": p["title"]}, "seen": p["seen"]}
            for p in t["pins"]
        ],
    }
    return {
        "event": "assistant.turn",
        "event_time": t["asked"] + timedelta(seconds=5),
        "subject": f"urn:ask:{t['key']}",
        "actor": {
            "id": f"urn:person:{t['person']}",
            "session": f"visit-{t['session']}",
            "kind": "synthetic" if t["test"] else "person",
        },
        "payload": json.dumps(said, ensure_ascii=False),
        "answer": None if t["answer"] is None else answer,
        "risks": [
            {"about": "query" if part == "Q" else "response", "policy": policy, "score": str(score)}
            for (part, policy), score in t["risks"].items()
        ],
    }


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def _write(folder: Path, rows: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "part-0.parquet")


def make_logs(folder: Path) -> None:
    """Write both workspaces below a folder."""
    for name, write in (("star", star), ("stream", stream)):
        root = folder / name
        root.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / name / "baserate.yaml", root / "baserate.yaml")
        write(root / "logs")


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "mapping-examples")
    make_logs(target)
    print(f"wrote {target / 'star'} and {target / 'stream'}")
