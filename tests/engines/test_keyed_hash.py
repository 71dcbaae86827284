"""A unit has one permanent random number, whoever computes it."""

from __future__ import annotations

import hashlib
from fractions import Fraction

import ibis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.keyed_hash import prn_array, prn_expr
from baserate.terms.errors import TableError

AWKWARD = ["", "a", "A", "é", "e\u0301", "日本", "😀", "a|b", "'", '"', "\\", "a\nb", " a"]
AWKWARD.append("x" * 5000)


@pytest.fixture(scope="module")
def engine():
    with DuckDBEngine(memory_limit="1GB", threads=1) as engine:
        yield engine


def on_duckdb(engine: DuckDBEngine, ids: list[str], salt: str) -> np.ndarray:
    table = ibis.memtable(pa.table({"id": pa.array(ids, pa.string())}))
    return engine.to_arrow(table.select(u=prn_expr(table.id, salt)))["u"].to_numpy()


def from_the_definition(unit: str, salt: str) -> Fraction:
    k = int(hashlib.md5(f"{salt}|{unit}".encode()).hexdigest()[:13], 16)
    return (k + Fraction(1, 2)) / 2**52


def test_duckdb_and_numpy_agree_to_the_last_bit(engine):
    ids = AWKWARD + [f"id-{i}" for i in range(5000)]
    assert np.array_equal(on_duckdb(engine, ids, "sált"), prn_array(ids, "sált"))


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")), st.text("ab|é", min_size=1))
def test_any_id_and_salt_give_the_defined_number_on_both(engine, unit, salt):
    exact = from_the_definition(unit, salt)
    assert Fraction(prn_array([unit], salt)[0]) == exact
    assert Fraction(on_duckdb(engine, [unit], salt)[0]) == exact


def test_numbers_lie_strictly_between_zero_and_one_and_are_uniform():
    u = prn_array([str(i) for i in range(20_000)], "salt")
    assert u.min() > 0.0
    assert u.max() < 1.0
    counts = np.histogram(u, bins=20, range=(0, 1))[0]
    chi_square = ((counts - 1000) ** 2 / 1000).sum()
    assert 4.0 < chi_square < 52.0  # 19 degrees of freedom, p = 0.0001 on both sides


def test_another_salt_is_another_order():
    ids = [str(i) for i in range(2000)]
    correlation = np.corrcoef(prn_array(ids, "one"), prn_array(ids, "two"))[0, 1]
    assert abs(correlation) < 0.1


def test_a_null_id_is_an_error_in_arrays_and_null_in_expressions(engine):
    with pytest.raises(TableError, match="null"):
        prn_array(pa.array(["a", None]), "salt")
    assert np.isnan(on_duckdb(engine, ["a", None], "salt")[1])  # type: ignore[list-item]


def test_arrow_and_lists_give_the_same_and_no_ids_give_none():
    ids = AWKWARD
    chunked = pa.chunked_array([pa.array(ids[:3]), pa.array(ids[3:])])
    assert np.array_equal(prn_array(chunked, "s"), prn_array(ids, "s"))
    assert prn_array([], "s").shape == (0,)
