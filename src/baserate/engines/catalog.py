"""Addresses of tables in an engine's catalog, written where a path could stand.

``catalog://warehouse.logs.requests/ds={ds}`` means: the table's rows whose column ``ds`` is the
day. The columns named so are a partition's, not a row's: they are left out, as they are where a
folder ``ds=2026-01-31`` holds files. Without ``/column={ds}`` it is the whole table.
"""

from __future__ import annotations

from typing import NamedTuple

from baserate.terms.errors import TableError

SCHEME = "catalog://"


class CatalogAddress(NamedTuple):
    """A table of the catalog and the partition that is meant.

    Attributes:
        table: Name, e.g. ``warehouse.logs.requests``.
        where: Value by partition column.
    """

    table: str
    where: dict[str, str]


def is_catalog(path: str) -> bool:
    """Whether a path of the programme is an address of this kind."""
    return path.startswith(SCHEME)


def catalog_address(path: str) -> CatalogAddress:
    """The table and partition that an address names. Raises: TableError."""
    table, *parts = path.removeprefix(SCHEME).strip("/").split("/")
    pairs = [part.partition("=") for part in parts]
    if not table or not all(column and equal and value for column, equal, value in pairs):
        raise TableError(
            "this is no address of a table in a catalog",
            code="bad_address",
            where=path,
            expected="catalog://database.table/ds={ds}",
            hint="name the table, then the column that holds the day",
        )
    return CatalogAddress(table, {column: value for column, _, value in pairs})
