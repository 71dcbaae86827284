"""What of the logs is not stored as it was read: ids behind pseudonyms, columns dropped.

Rows are joined and told apart by what they are in the logs; what is said here concerns only what
is written to ``interactions`` and ``quarantine``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

import ibis
import ibis.expr.types as ir

from baserate.engines.pseudonyms import PseudonymKey
from baserate.records.relational import plain_text
from baserate.terms.errors import PrivacyError, TableError
from baserate.terms.programme import Programme

#: Stands in the quarantine where a column's value is never stored.
DROPPED = "(dropped)"
_IDS = ("user_id", "session_id", "conversation_id")
_TABLES_WITH_IDS = ("users", "requests")
#: Columns of ours that rows are joined, told apart or kept out by; they go no further than that.
_FOR_RECORDS_ONLY = ("user_id", "is_internal", "is_test", "logged_at", "responded_at", "scored_at")


class Withheld:
    """How values are stored, by the programme's section ``privacy``.

    Args:
        programme: What is withheld, and what the site's columns are called.
        key: The key of the pseudonyms; None where the programme asks for none.

    Raises: PrivacyError if the programme asks for pseudonyms and there is no key.
    """

    def __init__(self, programme: Programme, key: PseudonymKey | None) -> None:
        privacy = programme.privacy
        if privacy.pseudonyms and key is None:
            raise PrivacyError(
                "pseudonyms need a key",
                code="no_key",
                where="privacy.pseudonyms",
                hint="give privacy.key_env or privacy.key_file",
            )
        self._key = key
        self._drop: dict[str, tuple[str, ...]] = {str(t): c for t, c in privacy.drop.items()}
        self._tables = programme.tables.present()
        self._hashed = frozenset(privacy.pseudonyms)
        #: The site's names of ids behind pseudonyms: hidden wherever a table has them.
        self._site_ids = {
            theirs
            for table in _TABLES_WITH_IDS
            for name in privacy.pseudonyms
            if table in self._tables
            for theirs in self._tables[table].reads(name)
        }

    def check(self, table: str, there: Iterable[str]) -> None:
        """See that what is to be dropped is there; see ``check_dropped``."""
        check_dropped(self._drop.get(table, ()), table, there)

    def ours(self, table: str, columns: Mapping[str, ir.Value]) -> dict[str, ir.Value]:
        """Our columns of a logging table, empty where the site's column is dropped.

        What records are made by stays, and is empty in ``ids``.
        """
        return {
            name: ibis.null(value.type())
            if self._is_dropped(table, name) and name not in _FOR_RECORDS_ONLY
            else value
            for name, value in columns.items()
        }

    def ids(self, rows: ir.Table) -> dict[str, ir.Value]:
        """The ids of interactions as they are stored."""
        found: dict[str, ir.Value] = {n: self._hidden(rows[n]) for n in self._hashed}
        if self._is_dropped("requests", "user_id"):
            found["user_id"] = ibis.null("string")
        return found

    def key(self, table: str, rows: ir.Table, key: Iterable[str]) -> dict[str, ir.Value]:
        """A row's key columns as the quarantine stores them."""
        return {
            name: ibis.literal(DROPPED)
            if self._is_dropped(table, name)
            else self._hidden(rows[name])
            if name in self._hashed
            else rows[name]
            for name in key
        }

    def row(self, table: str, raw: Mapping[str, ir.Value], ours: ir.Table) -> dict[str, ir.Value]:
        """The site's columns as the quarantine stores them.

        What an id is expressed from holds the id's own pseudonym, by which a person is found.

        Args:
            table: The logging table.
            raw: Its columns as they were read.
            ours: The same rows in our columns.
        """
        stored = {c: self._stored(table, c, v) for c, v in raw.items()}
        for name in _IDS:
            by_expression = name in self._tables[table].expressions
            if by_expression and name in self._hashed and not self._is_dropped(table, name):
                read = [c for c in self._tables[table].reads(name) if c in stored]
                stored |= dict.fromkeys(read, self._hidden(ours[name]))
                break
        return stored

    def _stored(self, table: str, theirs: str, value: ir.Value) -> ir.Value:
        """A site's column, or an element of an exploded list, which is what its list is."""
        sources = self._tables[table].sources(theirs)
        if not sources.isdisjoint(self._drop.get(table, ())):
            return ibis.literal(DROPPED)
        return value if sources.isdisjoint(self._site_ids) else self._hidden(value)

    def _hidden(self, value: ir.Value) -> ir.StringValue:
        assert self._key is not None
        return self._key.expr(plain_text(value))

    def _is_dropped(self, table: str, ours: str) -> bool:
        read = self._tables[table].reads(ours)
        return not set(read).isdisjoint(self._drop.get(table, ()))


def check_dropped(columns: Iterable[str], table: str, there: Iterable[str]) -> None:
    """See that what is to be dropped is there: a misspelt name would be stored.

    Args:
        columns: The site's columns that are never stored.
        table: The logging table.
        there: The site's columns in the files read; empty where no day has any.

    Raises: TableError naming the column.
    """
    found = set(there)
    for column in columns:
        if found and column not in found:
            near = difflib.get_close_matches(column, sorted(found), n=1)
            raise TableError(
                f"there is no column {column!r} to drop",
                code="missing_column",
                where=f"privacy.drop.{table}",
                got=f"columns {', '.join(sorted(found))}",
                hint=f"did you mean {near[0]!r}?" if near else "mend its name or remove it",
            )
