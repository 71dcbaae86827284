"""Errors say what to do, and travel whole."""

from __future__ import annotations

import pickle

from baserate.terms.errors import BaserateError, TableError


def test_an_error_travels_between_processes_with_all_it_says() -> None:
    error = TableError("a column is missing", code="x", where="requests", got="a", hint="map it")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is TableError
    assert again.as_dict() == error.as_dict()
    assert str(again) == str(error)


def test_the_message_says_where_what_and_how_to_mend_it() -> None:
    told = str(BaserateError("it is broken", where="file.parquet", expected="whole", hint="mend"))
    assert told == "file.parquet: it is broken\n  expected: whole\n  hint: mend"
