"""Settings of the machine, from the environment: where things are and how much may be used.

What is measured stands in the programme file and nowhere else; these change no figure.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from baserate.terms.errors import EngineError

PREFIX = "BASERATE_"
_SIZE = re.compile(r"\d+(\.\d+)? ?([KMGT]i?B|%)", re.IGNORECASE)


class Settings(BaseSettings):
    """Read from environment variables with the prefix ``BASERATE_``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, use_attribute_docstrings=True
    )

    workspace: Path = Path()
    """Folder of the programme file."""
    database_url: str | None = None
    """Operational database; none: baserate.db in the workspace."""
    engine: Literal["duckdb", "spark"] = "duckdb"
    """Where relational work runs: duckdb (in this process) or spark."""
    spark_remote: str | None = None
    """Address of a Spark Connect server, e.g. sc://host:15002; none: a session of its own."""
    spark_master: str = "local[*]"
    """Where Spark's own session runs: local[*], local[4] or a cluster's master."""
    memory_limit: str = "4GB"
    """Memory that the engine may use before it spills to disk, e.g. 4GB or 60% (Spark: 4GB)."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """Threads of the engine; none: one per core."""
    temp_directory: Path | None = None
    """Folder for spilling; none: the system's."""
    in_memory_units: Annotated[int, Field(ge=0)] = 2_000_000
    """Interactions of a day up to which its sample is drawn in memory; larger days are drawn in the
    engine. The sample is the same."""
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    """How much is logged."""

    @field_validator("memory_limit")
    @classmethod
    def _is_a_size(cls, text: str) -> str:
        if not _SIZE.fullmatch(text.strip()):
            raise ValueError("expected a size such as 4GB, 512MiB or 60%")
        return text.strip()

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_lower_case(cls, word: object) -> object:
        return word.lower() if isinstance(word, str) else word

    def logging_level(self) -> int:
        """The level as the logging module counts it."""
        return logging.getLevelNamesMapping()[self.log_level.upper()]


def load_settings() -> Settings:
    """The settings of this process.

    Raises: EngineError that names every environment variable that is wrong.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = [
            (f"{PREFIX}{'_'.join(str(s) for s in e['loc']).upper()}", e["msg"])
            for e in error.errors(include_url=False)
        ]
        raise EngineError(
            f"environment variable(s) with a wrong value: {', '.join(n for n, _ in wrong)}",
            code="bad_setting",
            got="; ".join(f"{name}: {said}" for name, said in wrong),
            hint="set them right or remove them: every setting has a default",
        ) from None
