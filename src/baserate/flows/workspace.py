"""A workspace: the folder of a programme file, with its tables and its operational database."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baserate.engines.base import Engine
from baserate.engines.choose import ENGINES, open_engine
from baserate.engines.settings import Settings, load_settings
from baserate.engines.store import Store
from baserate.labels.policies import with_documents
from baserate.terms.errors import ProgrammeError
from baserate.terms.programme import Programme
from baserate.terms.programme_file import load_programme

__all__ = ["ENGINES", "PROGRAMME_FILE", "Workspace", "digest", "open_workspace"]

PROGRAMME_FILE = "baserate.yaml"


@dataclass(frozen=True)
class Workspace:
    """Where one programme lives.

    Args:
        root: The folder.
        programme: What is measured, each written policy's text in the place of its definition.
        store: Its tables.
        engine: What runs its relational work.
    """

    root: Path
    programme: Programme
    store: Store
    engine: Engine

    @property
    def programme_path(self) -> Path:
        """The programme file."""
        return self.root / PROGRAMME_FILE

    def phase_salt(self, phase: int) -> str:
        """The key of a phase's permanent random numbers: every phase has its own."""
        return f"{self.programme.salt}/phase{phase}"

    def close(self) -> None:
        """Give back memory and connections."""
        self.engine.close()
        self.store.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_workspace(
    root: Path, settings: Settings | None = None, *, engine: str | None = None
) -> Workspace:
    """Open the workspace in a folder.

    Args:
        root: The folder.
        settings: Of this machine; None: from the environment (``BASERATE_MEMORY_LIMIT``, ...).
        engine: One of ``ENGINES``; None: as the settings say.
    Raises: ProgrammeError if there is no programme file or it is wrong; PolicyError if one of its
        written policies is.
    """
    path = root / PROGRAMME_FILE
    if not path.is_file():
        raise ProgrammeError(
            f"there is no {PROGRAMME_FILE} in this folder",
            code="no_programme",
            where=str(root),
            hint="`baserate init` writes a commented one; or name the folder with --workspace",
        )
    programme = with_documents(load_programme(path), root)
    machine = settings or load_settings()
    if engine is not None:
        machine = machine.model_copy(update={"engine": engine})
    opened = open_engine(machine)
    store = Store(root, engine=opened, database_url=machine.database_url)
    return Workspace(root, programme, store, opened)


def digest(content: Any) -> str:
    """sha256 of anything that JSON can say, keys sorted."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
