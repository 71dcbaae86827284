"""The machine's settings come from the environment, and a wrong one is named."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.settings import load_settings
from baserate.terms.errors import EngineError


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in ("WORKSPACE", "DATABASE_URL", "MEMORY_LIMIT", "THREADS", "LOG_LEVEL"):
        monkeypatch.delenv(f"BASERATE_{name}", raising=False)


def test_without_variables_every_setting_has_its_default():
    settings = load_settings()
    assert settings.workspace == Path()
    assert settings.database_url is None
    assert (settings.memory_limit, settings.threads) == ("4GB", None)
    assert settings.logging_level() == logging.WARNING


def test_variables_are_read(monkeypatch):
    monkeypatch.setenv("BASERATE_WORKSPACE", "/srv/programme")
    monkeypatch.setenv("BASERATE_DATABASE_URL", "postgresql://db/baserate")
    monkeypatch.setenv("BASERATE_THREADS", "3")
    monkeypatch.setenv("BASERATE_LOG_LEVEL", "DEBUG")
    settings = load_settings()
    assert settings.workspace == Path("/srv/programme")
    assert settings.database_url == "postgresql://db/baserate"
    assert settings.threads == 3
    assert settings.logging_level() == logging.DEBUG


def test_an_empty_variable_counts_as_not_set(monkeypatch):
    monkeypatch.setenv("BASERATE_THREADS", "")
    assert load_settings().threads is None


@pytest.mark.parametrize("size", ["4GB", "512MiB", "1.5 GB", "60%"])
def test_sizes_that_are_accepted_work_in_the_engine(monkeypatch, size):
    monkeypatch.setenv("BASERATE_MEMORY_LIMIT", size)
    with DuckDBEngine(memory_limit=load_settings().memory_limit, threads=1) as engine:
        assert engine.rows("SELECT 1") == [(1,)]


def test_every_wrong_variable_is_named_at_once(monkeypatch):
    monkeypatch.setenv("BASERATE_THREADS", "many")
    monkeypatch.setenv("BASERATE_MEMORY_LIMIT", "lots")
    monkeypatch.setenv("BASERATE_LOG_LEVEL", "loud")
    with pytest.raises(EngineError) as caught:
        load_settings()
    for name in ("BASERATE_THREADS", "BASERATE_MEMORY_LIMIT", "BASERATE_LOG_LEVEL"):
        assert name in str(caught.value)
