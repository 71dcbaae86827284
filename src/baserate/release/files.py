"""Writing a directory of files in one step, and telling what is in it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from baserate.terms.errors import EngineError

_WRITING = ".writing-"
_BLOCK = 1 << 20


def canonical(value: Any) -> bytes:
    """A value as JSON with sorted keys and no spaces: the same bytes everywhere."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def digest_of(content: bytes) -> str:
    """sha256, 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def digest_of_file(path: Path) -> str:
    """sha256 of a file, 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def files_below(path: Path) -> Iterator[str]:
    """Names of all files below a directory, with ``/``, sorted."""
    found = (p for p in path.rglob("*") if not p.is_dir() or p.is_symlink())
    yield from sorted(p.relative_to(path).as_posix() for p in found)


class ReleaseFolder:
    """A directory that is written out of sight and appears whole, or not at all.

    One writer at a time holds the lock of the parent directory; what a killed writer left is
    removed by the next. Files are on disk (fsync) and read-only before the name appears.

    Args:
        parent: The directory that holds all releases; made if it is not there.
    """

    def __init__(self, parent: Path) -> None:
        self.parent = parent
        self._open = ExitStack()
        self._files: dict[str, dict[str, Any]] = {}
        self._path = parent / f"{_WRITING}{uuid.uuid4().hex}"

    def __enter__(self) -> ReleaseFolder:
        try:
            self.parent.mkdir(parents=True, exist_ok=True)
            lock = self._open.enter_context((self.parent / ".lock").open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in self.parent.glob(f"{_WRITING}*"):
                _remove(left)
            self._path.mkdir()
        except OSError as error:
            self._open.close()
            raise _failed(self.parent, error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._path.exists():
                _remove(self._path)
        finally:
            self._open.close()
        if isinstance(error, OSError):
            raise _failed(self.parent, error) from error

    def place(self, name: str) -> Path:
        """Where the directory of that name is once it is published."""
        return self.parent / name

    def write_text(self, name: str, text: str) -> None:
        """Write a text file (UTF-8, line ends as given)."""
        path = self._at(name)
        path.write_bytes(text.encode())
        self._files.setdefault(name, _described(path))

    def write_parquet(self, name: str, table: pa.Table) -> None:
        """Write a Parquet file, the same bytes for the same table."""
        path = self._at(name)
        pq.write_table(table, path, compression="zstd", row_group_size=1 << 17)
        self._files[name] = {**_described(path), "rows": len(table)}

    def note(self, name: str, content: bytes) -> None:
        """Describe a file by this content, whatever is written to it later."""
        self._files[name] = {"sha256": digest_of(content), "bytes": len(content)}

    def described(self) -> dict[str, dict[str, Any]]:
        """sha256 and size of every file written or noted, by name."""
        return dict(sorted(self._files.items()))

    def write_sums(self, name: str) -> None:
        """Write the digests of all files in the form that ``sha256sum -c`` reads."""
        self.write_text(name, sums_of(self._path, name))

    def publish(self, name: str) -> bool:
        """Give the directory its name in one step; False where that name is taken."""
        target = self.place(name)
        if target.exists():
            return False
        folders = sorted(p for p in self._path.rglob("*") if p.is_dir())
        for file in files_below(self._path):
            (self._path / file).chmod(0o444)
            _sync(self._path / file)
        for folder in [*reversed(folders), self._path]:
            _sync(folder)
        for folder in folders:
            folder.chmod(0o555)
        self._path.rename(target)
        target.chmod(0o555)
        _sync(self.parent)
        return True

    def _at(self, name: str) -> Path:
        path = self._path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _described(path: Path) -> dict[str, Any]:
    return {"sha256": digest_of_file(path), "bytes": path.stat().st_size}


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(stat.S_IRWXU)
    shutil.rmtree(folder)


def _failed(parent: Path, error: OSError) -> EngineError:
    return EngineError(
        "a release could not be written",
        code="release_not_written",
        where=str(error.filename or parent),
        got=error.strerror or type(error).__name__,
        hint="look at free space and permissions, then run `baserate release` again",
    )


def sums_of(folder: Path, name: str) -> str:
    """The digests of all files of a folder but ``name``, as ``sha256sum -c`` reads them."""
    lines = [f"{digest_of_file(folder / f)}  {f}\n" for f in files_below(folder) if f != name]
    return "".join(lines)
