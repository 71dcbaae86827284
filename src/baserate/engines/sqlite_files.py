"""SQLite files that several processes open at once."""

from __future__ import annotations

import sqlite3
import time

#: How long to wait for others.
BUSY_SECONDS = 30.0
_AGAIN_SECONDS = 0.02


def use_write_ahead_log(db: sqlite3.Connection) -> None:
    """Let several read while one writes.

    SQLite does not wait for others that make the same new file just now, but refuses at once; so
    it is asked again until its patience would have ended.

    Raises: sqlite3.OperationalError if the file stays busy, or cannot be written.
    """
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL").fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(_AGAIN_SECONDS)
        else:
            return
