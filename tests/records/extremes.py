"""Logs in which every row is awkward in a way of its own, and nothing is random."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.records.awkward import TABLES, Logs, at, programme

from baserate.terms.programme import Programme

TEXTS = {
    "empty": "",
    "null": None,
    "accents": "naïve café e\u0301 日本 \U0001f468‍\U0001f469‍\U0001f467",
    "control": 'say "hi"\\ \n\r\t\x01\x1f\x7f\u0085\u2028 end',
    "quotes": "it's; -- ' \" ` $1 \\1 {ds} %s",
    "spaces": "  \t both ends \n",
    "megabyte": "é\n" * 500_000,
}
DOUBLES = [
    0.1,
    0.25,
    -0.0,
    1.0,
    1e-3,
    1.5e-4,
    1e-5,
    1.25e-9,
    123456.789,
    1e7,
    12345678.9,
    1e15,
    123456789012345.67,
    1e16,
    1e22,
    1e23,
    1.7976931348623157e308,
    2.2250738585072014e-308,
    2 / 3,
    5.6843418860808015e-14,
    math.nan,
    math.inf,
    -math.inf,
    None,
]
INTS = [0, -1, 2**31, -(2**31), 2**53 + 1, 2**63 - 1, -(2**63), None]
TIMES = {
    "zulu": "2026-03-10T12:00:00Z",
    "east": "2026-03-10T12:00:00+05:30",
    "west": "2026-03-10T12:00:00.123456789-0700",
    "hours": "2026-03-10 12:00:00.5+14",
    "minutes": "2026-03-10T12:00",
    "minutes_east": "2026-03-10T12:00+05:30",
    "date": "2026-03-10",
    "leap": "2026-03-10T23:59:60Z",
    "leap_before": "2026-03-09T23:59:60Z",
    "end": "2026-03-10T23:59:59.999999",
    "newline": "2026-03-10T12:00:00Z\n",
    "space": " 2026-03-10T12:00:00Z",
    "february": "2026-02-30T12:00:00Z",
    "far": "2026-03-10T12:00:00+18:30",
    "year": "12026-03-10T12:00:00Z",
    "words": "yesterday",
    "empty": "",
}


def extremes(base: Path) -> tuple[Logs, Programme]:
    """Write the logs; returns them with their programme."""
    logs = Logs(base)
    _texts(logs)
    _ties(logs)
    _scores(logs)
    _conversations(logs)
    _set_aside_whole(logs)
    logs.user("staff", is_internal=True).user("u", country="FR").user("u", country="DE")
    logs.whole("of-staff", user_id="staff").whole("of-u", user_id="u")
    logs.write(TABLES)
    _other_units(logs)
    _not_utf8(logs)
    columns = {"requests": {"experiment": "experiment"}}
    return logs, programme(columns=columns, pivots=("country", "surface", "experiment"))


def _texts(logs: Logs) -> None:
    for name, text in TEXTS.items():
        logs.request(f"text-{name}", query_text=text, surface=name, experiment=len(name))
        logs.response(f"text-{name}", response_text=text, is_refusal=None)
        logs.pin(f"text-{name}", title_=text, description=text, image_ref=text)


def _ties(logs: Logs) -> None:
    for copy in range(3):
        logs.request("tie", query_text="same", logged_at=at(0, 13))
        logs.response("tie", response_text=f"copy {copy}", logged_at=at(0, 13))
        logs.pin("tie", image_ref="é.jpg" if copy else "z.jpg", impressions=copy)
    logs.request("tie", logged=1, query_text="logged later", logged_at=at(0, 13))


def _scores(logs: Logs) -> None:
    logs.whole("scored")
    for position in range(40):
        logs.pin("scored", position=39 - position, component_id=f"pin-{position:02}")
        share = (position * 0.6180339887) % 1 / 7
        logs.score("component", f"pin-{position:02}", share, policy="p2")
        logs.score("component", f"pin-{position:02}", share, policy="p1", scored_at=at())
    for score in (math.nan, math.inf, -0.25, 1.5, None, 0.5, 0.5):
        logs.score("query", "scored", score).score("interaction", "nobody", score)


def _conversations(logs: Logs) -> None:
    for turn in (3, 1, 2):
        logs.request("long", turn=turn, requested_at=at(0, 23, 50 + turn), query_text=f"q{turn}")
        logs.response("long", turn=turn, model_version=f"m{turn}")
    logs.request("long", 1, turn=4, requested_at=at(1, 0, 5), experiment=4)
    logs.response("long", 1, turn=4)
    logs.pin("long", turn=2, position=2, kind="chip").pin("long", turn=2, position=1)
    logs.request("only-pins").pin("only-pins").request("no-answer")
    logs.request("too-late", logged=3).request("future", requested_at=at(3))


def _set_aside_whole(logs: Logs) -> None:
    """Rows of every type, set aside so that their content is written as JSON."""
    for number, double in enumerate(DOUBLES):
        logs.response(f"lost-{number}", rate=double, extra=_extra(number, double))
    for number, integer in enumerate(INTS):
        logs.pin("nowhere", position=number, huge=integer, exact=Decimal(number) / 8)


def _extra(number: int, double: float | None) -> dict[str, Any] | None:
    if number % 5 == 4:
        return None
    many = [None, "a", 'b"\n'] if number % 3 else []
    # Within a list Java before 19 may write 9.999999999999999e+22 for 1e+23.
    rates = [None if double == 1e23 else double, 1.0]
    return {"build": number, "rates": rates, "words": many, "deep": {"on": number % 2 == 0}}


def _write(logs: Logs, table: str, day: int, name: str, columns: dict[str, pa.Array]) -> None:
    pq.write_table(pa.table(columns), logs.folder(table, day) / f"{name}.parquet")


def _other_units(logs: Logs) -> None:
    """Scores in single precision, scored at times in nanoseconds, without a zone."""
    columns = {
        "subject_kind": pa.array(["response"] * 3),
        "subject_id": pa.array(["of-u"] * 3),
        "policy": pa.array(["p1", "p2", "p1"]),
        "score": pa.array([0.1, 0.5, 0.7], pa.float32()),
        "scored_at": pa.array([_nanos(k) for k in (1, 2, 3)], pa.timestamp("ns")),
        "nothing": pa.nulls(3),
    }
    _write(logs, "scores", 1, "part-0", columns)


def _nanos(k: int) -> int:
    moment = datetime(2026, 3, 10, 12, tzinfo=UTC) + timedelta(seconds=k)
    return int(moment.timestamp()) * 10**9 + 123_456_500 * k


def _not_utf8(logs: Logs) -> None:
    raw = [b"good", b"b\xff\xfed", b"\xc3\xa9", b"\xed\xa0\x80", b"\xc0\x80"]
    ends = [0]
    for value in raw:
        ends.append(ends[-1] + len(value))
    text = pa.Array.from_buffers(
        pa.string(),
        len(raw),
        [None, pa.array(ends, pa.int32()).buffers()[1], pa.py_buffer(b"".join(raw))],
    )
    ids = [f"bytes-{k}" for k in range(len(raw))]
    times = pa.array([at()] * len(raw), pa.timestamp("ms", "Asia/Tokyo"))
    _write(
        logs,
        "requests",
        0,
        "bytes",
        {
            "interaction_id": pa.array(ids),
            "turn": pa.array([1] * len(raw), pa.int32()),
            "requested_at": times,
            "query_text": text,
            "experiment": pa.array(range(len(raw)), pa.int64()),
        },
    )
    _write(
        logs,
        "responses",
        0,
        "bytes",
        {
            "interaction_id": pa.array(ids),
            "response_text": pa.array(["fine"] * len(raw), pa.large_string()),
            "blob": pa.array(raw, pa.binary()),
        },
    )


def text_times(base: Path) -> tuple[Logs, Programme]:
    """Requests whose times are ISO 8601 text, or text that is none."""
    logs = Logs(base)
    logs.write(("requests", "responses"))
    for table, column in (("requests", "requested_at"), ("responses", "responded_at")):
        made = pa.table({"interaction_id": list(TIMES), column: list(TIMES.values())})
        pq.write_table(made, logs.folder(table, 0) / "part-0.parquet")
    return logs, programme(("requests", "responses"))
