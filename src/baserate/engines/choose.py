"""The engine that the settings of this machine name."""

from __future__ import annotations

from baserate.engines.base import Engine
from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.settings import Settings

#: Names of the engines.
ENGINES = ("duckdb", "spark")


def open_engine(settings: Settings) -> Engine:
    """Open the engine. Spark's parts are loaded only where it is asked for.

    Raises: EngineError if a setting is not accepted, or what the engine needs is missing.
    """
    if settings.engine == "duckdb":
        return DuckDBEngine(
            memory_limit=settings.memory_limit,
            threads=settings.threads,
            temp_directory=settings.temp_directory,
        )
    from baserate.engines.spark_engine import SparkEngine

    return SparkEngine(
        remote=settings.spark_remote,
        master=settings.spark_master,
        memory=settings.memory_limit,
        temp_directory=settings.temp_directory,
    )
