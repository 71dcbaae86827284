"""A lock on a name that dies with the process that holds it: no clock, no lease to renew."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from datetime import UTC, datetime
from pathlib import Path

_PAUSE_SECONDS = 0.05


class FileLock:
    """An exclusive ``flock`` on a file; the kernel frees it however the process ends.

    The file says who holds it. It is removed on release, so that no heap of lock files grows.

    Args:
        path: The lock file; its folder is made if need be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self, wait_seconds: float = 0.0) -> bool:
        """Take the lock, waiting so long at most; False where somebody else keeps it."""
        until = time.monotonic() + wait_seconds
        while not self._try():
            if time.monotonic() >= until:
                return False
            time.sleep(_PAUSE_SECONDS)
        return True

    def _try(self) -> bool:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        if not self._still_there(fd):  # the holder before us removed the file we opened
            os.close(fd)
            return False
        started = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        os.ftruncate(fd, 0)
        os.pwrite(
            fd, f"process {os.getpid()} on {socket.gethostname()} since {started}".encode(), 0
        )
        self._fd = fd
        return True

    def _still_there(self, fd: int) -> bool:
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(os.fstat(fd), there)

    def holder(self) -> str:
        """Who holds the lock, as they wrote it; '' where nobody wrote."""
        try:
            return self.path.read_text(encoding="utf-8")
        except OSError:
            return ""

    def release(self) -> None:
        """Give the lock back. Does nothing where it is not held."""
        if self._fd is None:
            return
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        os.close(self._fd)
        self._fd = None
