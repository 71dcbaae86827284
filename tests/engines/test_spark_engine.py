"""What is missing for Spark is said in one error, before anything is started."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from baserate.engines.choose import open_engine
from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.settings import Settings
from baserate.engines.spark_engine import SparkEngine, spark_size
from baserate.engines.spark_session import java_fault, spark_fault
from baserate.terms.errors import EngineError


def test_without_java_the_error_says_what_to_install(monkeypatch, tmp_path):
    pytest.importorskip("pyspark", reason="the extra [spark] is not installed")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert java_fault()
    with pytest.raises(EngineError) as error:
        SparkEngine()
    assert error.value.code == "java_missing"
    assert "openjdk-17" in (error.value.hint or "")
    assert "BASERATE_SPARK_REMOTE" in (error.value.hint or "")


def test_a_java_that_does_not_run_is_no_java(monkeypatch, tmp_path):
    (tmp_path / "bin").mkdir()
    java = tmp_path / "bin" / "java"
    java.write_text("#!/bin/sh\nexit 1\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert "does not run" in (java_fault() or "")


def test_without_pyspark_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark", None)
    assert spark_fault() == "pyspark is not installed"
    with pytest.raises(EngineError) as error:
        SparkEngine()
    assert error.value.code == "spark_missing"
    assert "baserate[spark]" in (error.value.hint or "")


@pytest.mark.parametrize(
    ("given", "size"), [("4GB", "4g"), ("512MiB", "512m"), ("2 GB", "2g"), ("1tb", "1t")]
)
def test_sizes_are_written_as_spark_reads_them(given, size):
    assert spark_size(given) == size


@pytest.mark.parametrize("given", ["60%", "1.5GB", "lots", ""])
def test_a_size_that_spark_cannot_have_is_refused(given):
    with pytest.raises(EngineError) as error:
        spark_size(given)
    assert error.value.code == "engine_settings"


def test_the_settings_choose_the_engine():
    with open_engine(Settings(memory_limit="1GB", threads=1)) as engine:
        assert isinstance(engine, DuckDBEngine)
    assert Settings(engine="spark").spark_master == "local[*]"


def test_when_java_is_killed_the_error_says_so_and_the_engine_still_closes(tmp_path):
    if (fault := spark_fault() or java_fault()) is not None:
        pytest.skip(fault)
    said = run_alone(
        f"""
        import os, signal
        from baserate.engines.spark_engine import SparkEngine
        from baserate.terms.errors import EngineError

        with SparkEngine(master="local[1]", memory="512MB", temp_directory={str(tmp_path)!r}) as e:
            os.kill(e.session.sparkContext._gateway.proc.pid, signal.SIGKILL)
            try:
                with e.explained():
                    e.session.sql("SELECT 1").collect()
            except EngineError as error:
                print(error.code)
        print("closed")
        """
    )
    assert said.split() == ["java_gone", "closed"]


def run_alone(code: str) -> str:
    """What a Python of its own prints: it has a Spark session of its own."""
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
