"""The files of runs: where they are, how they become durable, how dead ones go."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from baserate.terms.errors import EngineError

_PART = "part-00000.parquet"


@dataclass(frozen=True)
class RunFolder:
    """One table's folder of one run."""

    run_id: str
    ds: str
    path: Path
    files: int
    bytes: int


class RunFiles:
    """The folder ``tables`` of a workspace."""

    def __init__(self, root: Path) -> None:
        self.tables = root / "tables"
        self.locks = self.tables / ".locks"

    def belong_to(self, workspace_id: str, database: str) -> None:
        """See that tables and database are each other's; a new folder becomes the database's.

        Raises: EngineError if the folder belongs to another database: what that one committed
            would look like rubbish to this one.
        """
        mark = self.tables / ".workspace"
        with _explained(self.tables):
            self.tables.mkdir(parents=True, exist_ok=True)
            if not mark.exists():
                hidden = self.tables / f".workspace-{os.getpid()}"
                hidden.write_text(workspace_id, encoding="utf-8")
                hidden.replace(mark)
            found = mark.read_text(encoding="utf-8")
        if found != workspace_id:
            raise EngineError(
                "the tables belong to another operational database",
                code="other_workspace",
                where=str(self.tables),
                expected=f"the database that wrote them (workspace {found})",
                got=f"{database} (workspace {workspace_id})",
                hint="use that database (BASERATE_DATABASE_URL or a backup of baserate.db), or "
                "move the folder away to start again",
            )

    def folder(self, table: str, ds: str, run_id: str) -> Path:
        """Folder of a table of a run."""
        return self.tables / table / f"ds={ds}" / f"run={run_id}"

    def hidden_part(self, table: str, ds: str, run_id: str) -> Path:
        """The name under which a file is written; its folder is made. Raises: EngineError."""
        folder = self.folder(table, ds, run_id)
        with _explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder / f".{_PART}.writing"

    def publish(self, hidden: Path, name: str = _PART) -> Path:
        """Make a file durable and give it its name. Raises: EngineError."""
        final = hidden.with_name(name)
        with _explained(final):
            _sync(hidden)
            hidden.rename(final)
            folder = final.parent
            while folder != self.tables.parent:
                _sync(folder)
                folder = folder.parent
        return final

    def remove(self, ds: str, run_ids: Iterable[str]) -> None:
        """Remove every folder of these runs, and the day's folder where it is empty then."""
        for run_id in run_ids:
            for folder in self.tables.glob(f"*/ds={ds}/run={run_id}"):
                shutil.rmtree(folder, ignore_errors=True)
                with suppress(OSError):
                    folder.parent.rmdir()

    def keep_only(self, file: Path) -> int:
        """Remove every other file of its folder, and say how many there were."""
        others = [path for path in file.parent.iterdir() if path != file]
        with _explained(file.parent):
            for path in others:
                path.unlink()
            _sync(file.parent)
        return len(others)

    def folders(self) -> list[RunFolder]:
        """Every folder of a run, sorted by path."""
        return [_folder(path) for path in sorted(self.tables.glob("*/ds=*/run=*"))]


def _folder(path: Path) -> RunFolder:
    sizes = []
    for file in path.iterdir():
        with suppress(FileNotFoundError):
            sizes.append(file.stat().st_size)
    return RunFolder(
        run_id=path.name.removeprefix("run="),
        ds=path.parent.name.removeprefix("ds="),
        path=path,
        files=len(sizes),
        bytes=sum(sizes),
    )


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """An operating system's complaint about a path as one of ours."""
    try:
        yield
    except OSError as error:
        raise EngineError(
            "the workspace cannot be written",
            code="cannot_write",
            where=str(path),
            got=error.strerror or type(error).__name__,
            hint="check space, permissions and that the drive is there",
        ) from error
