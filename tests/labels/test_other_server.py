"""The judge against an OpenAI-compatible server of another make (the package fakellm)."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest
import yaml

from baserate.labels.judges.base import judge_units

BESIDE_PYTHON = str(Path(sys.executable).parent)
COMMAND = shutil.which("fakellm", path=BESIDE_PYTHON) or shutil.which("fakellm")
pytestmark = pytest.mark.skipif(
    COMMAND is None, reason="the server is not installed: pip install fakellm"
)


def said(violating: bool) -> str:
    label = {
        "verdict": "violating" if violating else "not_violating",
        "probability": 0.9 if violating else 0.1,
        "severity": None,
        "reason": "",
    }
    parts = [{"id": id_, **label} for id_ in ("q1", "r1", "p1.1")]
    return json.dumps({"interaction": label, "parts": parts})


RULES = {
    "version": 1,
    "rules": [
        {
            "name": "always_down",
            "when": {"messages_contain": "poison"},
            "respond": {"status": 503, "error": "overloaded"},
        },
        {
            "name": "busy_once",
            "when": {"messages_contain": "busy", "turn": 1},
            "respond": {"status": 429, "error": "slow down"},
        },
        {
            "name": "prose",
            "when": {"messages_contain": "chatter"},
            "respond": {"content": "What a lovely day."},
        },
        {
            "name": "found",
            "when": {"messages_contain": "take this apple"},
            "respond": {"content": f"```json\n{said(True)}\n```"},
        },
        {"name": "else", "respond": {"content": said(False)}},
    ],
}


@pytest.fixture
def other_server(tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump(RULES))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [str(COMMAND), "serve", "--port", str(port), "--config", str(rules)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 180
        while not _answers(address):
            assert time.monotonic() < deadline, "the server did not start"
            assert process.poll() is None, "the server stopped"
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/_fakellm/stats").is_success
    except httpx.TransportError:
        return False


def test_a_server_of_another_make_is_asked_retried_and_read_the_same_way(
    other_server, make_judge, make_unit, policy
):
    units = [
        make_unit("plain"),
        make_unit("found", response="take this apple"),
        make_unit("busy", query="a busy day"),
        make_unit("down", query="poison"),
        make_unit("prose", query="chatter"),
    ]
    judge = make_judge(base_url=f"{other_server}/v1", max_retries=2, timeout_seconds=20)
    table = judge_units(
        judge, units, [policy], ds=date(2026, 3, 1), now=datetime(2026, 3, 2, tzinfo=UTC)
    )
    found: dict[str, set[tuple[str, str | None]]] = {}
    for row in table.to_pylist():
        found.setdefault(row["interaction_id"], set()).add((row["verdict"], row["reason"]))
    assert found == {
        "plain": {("not_violating", None)},
        "found": {("violating", None)},
        "busy": {("not_violating", None)},
        "down": {("no_label", "endpoint_failed")},
        "prose": {("no_label", "invalid_output")},
    }
    assert judge.usage.retries == 1 + 2
    assert judge.usage.unmetered_calls == 0
    assert judge.usage.tokens.prompt > 100
