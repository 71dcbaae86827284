"""A SQLite file that several make at the same moment."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from baserate.engines import sqlite_files
from baserate.engines.sqlite_files import use_write_ahead_log


def test_several_that_make_the_file_at_once_all_get_the_log(tmp_path):
    def mode(path, together):
        db = sqlite3.connect(path, timeout=30)
        together.wait()
        use_write_ahead_log(db)
        (found,) = db.execute("PRAGMA journal_mode").fetchone()
        db.close()
        return found

    for number in range(50):
        together = threading.Barrier(4)
        with ThreadPoolExecutor(4) as pool:
            path = tmp_path / f"{number}.db"
            asked = [pool.submit(mode, path, together) for _ in range(4)]
            assert [one.result() for one in asked] == ["wal"] * 4


def test_a_file_that_stays_busy_is_told_at_the_end_of_patience(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_files, "BUSY_SECONDS", 0.1)
    holder = sqlite3.connect(tmp_path / "held.db", isolation_level=None)
    holder.execute("CREATE TABLE t (i)")
    holder.execute("BEGIN EXCLUSIVE")
    late = sqlite3.connect(tmp_path / "held.db", timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        use_write_ahead_log(late)
    holder.execute("ROLLBACK")
    use_write_ahead_log(late)
    holder.close()
    late.close()
