"""What several rooms' tests share: one Spark for the whole run, and one search for examples.

Hypothesis tries the same examples on every machine, however slow, so that a run that fails can
be run again; ``HYPOTHESIS_PROFILE=search`` looks for new ones.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

# As the command line does: numbers are added up in the same order here and in its processes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
import typer.main
from hypothesis import HealthCheck, settings

from baserate.engines.spark_session import java_fault, spark_fault

settings.register_profile(
    "same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("search", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

#: Small data: no compiled queries, one partition, a JVM that starts quickly.
_SMALL = {
    "spark.sql.shuffle.partitions": "1",
    "spark.default.parallelism": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


#: The command line is put together once: it reads every option of every command.
_command = cache(typer.main.get_command)


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process: exit code, stdout, stderr."""
    from baserate.cli import main

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(typer.main, "get_command", _command)

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["baserate", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


#: Folders whose files take longest.
_LONG = ("conformance", "flows", "cli", "records", "docs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files go first, so that no process is left alone with one at the end."""
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(here).parts[0]
        return _LONG.index(folder) if folder in _LONG else len(_LONG)

    items.sort(key=rank)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A Spark engine on this machine; skipped where it cannot run, unless it is required."""
    fault = spark_fault() or java_fault()
    if fault is not None:
        if os.environ.get("BASERATE_TESTS_NEED_SPARK"):
            pytest.fail(f"Spark is required here: {fault}")
        pytest.skip(f"no Spark: {fault}")
    from baserate.engines.spark_engine import SparkEngine

    scratch = tmp_path_factory.mktemp("spark")
    with SparkEngine(
        master="local[1]", memory="1GB", temp_directory=scratch, options=_SMALL
    ) as engine:
        yield engine
