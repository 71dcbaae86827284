"""Spark behind a Spark Connect server: the engine's whole Protocol, and a server that ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from baserate.engines.spark_session import java_fault, spark_fault

SCRIPT = Path(__file__).parents[2] / "bench" / "servers" / "spark_connect.py"
CLIENT = Path(__file__).with_name("connect_client.py")
pytestmark = pytest.mark.skipif(
    (spark_fault() or java_fault()) is not None, reason="no Spark on this machine"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A server's address and the process of its Java."""
    told = tmp_path / "address"
    process = subprocess.Popen(
        [sys.executable, SCRIPT, f"--address-file={told}", f"--scratch={tmp_path / 'scratch'}"],
        env={**os.environ, "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1"},
    )
    try:
        while not told.exists():
            assert process.poll() is None, "the server did not start"
            time.sleep(0.1)
        tasks = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        yield told.read_text(), int(tasks.read_text().split()[0])
    finally:
        process.terminate()
        process.wait(60)


def test_a_server_keeps_joins_and_writes_as_a_session_does_and_one_that_ended_is_named(
    server, tmp_path
):
    address, java = server
    settings = {"BASERATE_ENGINE": "spark", "BASERATE_SPARK_REMOTE": address}
    done = subprocess.run(
        [sys.executable, CLIENT, str(tmp_path), str(java)],
        capture_output=True,
        text=True,
        env={**os.environ, **settings},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["joined"] == [
        {"unit": "b", "n": 2, "total": 5},
        {"unit": "b", "n": 3, "total": 5},
        {"unit": "ü", "n": None, "total": None},
    ]
    assert seen["written"] == seen["read"] == 3
    code, hint = seen["error"]
    assert code == "java_gone"
    assert "run again" in hint
