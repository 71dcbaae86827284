"""Rows set aside: whole, with the reason, each told apart from every other.

``row_key`` holds the table's key columns as JSON. Rows that agree in key, reason and content are
the same row logged several times; from the second on their ``row_key`` also says ``"copy": 2``,
``3``, ..., so that every row that was read has a row here. Of a unit of several interactions the
unit's id stands before the columns, as ``unit_id``, in rows of all but the first interaction.
"""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from baserate.records.bench import Workbench
from baserate.records.days import has_text
from baserate.records.relational import attach, holds, json_fields, json_object
from baserate.records.sources import RAW, LogTable

#: Whose interaction the row is of, where it says so; null for users and Pins.
OF_INTERACTION = "of_interaction"
_IDENTITY = ("source_table", "row_key", "reason", "row_json")


def set_aside(parts: Sequence[tuple[LogTable, ir.Table]], bench: Workbench) -> ir.Table:
    """Rows with a reason as the table quarantine but for ``ds``, with ``of_interaction`` besides.

    Args:
        parts: Logging tables and rows of theirs with ``reason`` and ``detail``.
        bench: Where tables are kept.
    """
    first, *others = [_fields(table, rows) for table, rows in parts]
    # Kept first: few rows of many would be written in as many small batches, slowly.
    rows = bench.keep(first.union(*others) if others else first, "aside")
    keyed = rows.select(
        source_table=rows.source_table,
        row_key=json_object(rows.key),
        reason=rows.reason,
        detail=rows.detail,
        row_json=json_object(rows.row),
        of_interaction=rows.of_interaction,
    )
    copy = ibis.row_number().over(_copies(keyed)) + 1
    numbered = keyed.mutate(copy=copy)
    key = numbered.row_key
    marked = key.substr(0, key.length() - 1) + ',"copy":' + numbered["copy"].cast("string") + "}"
    return numbered.mutate(row_key=ibis.ifelse(numbered["copy"] > 1, marked, key)).drop("copy")


def in_units(aside: ir.Table, units: ir.Table) -> ir.Table:
    """Rows set aside by the units that they are of.

    Args:
        aside: From ``set_aside``.
        units: Per interaction: ``unit_id``.
    """
    named = units.select(**{OF_INTERACTION: units.interaction_id, "unit_id": "unit_id"})
    rows = attach(aside, named, [OF_INTERACTION])
    of_another = holds(rows.unit_id != rows[OF_INTERACTION])
    unit = json_object(json_fields({"unit_id": rows.unit_id}))
    key = unit.substr(0, unit.length() - 1) + "," + rows.row_key.substr(1)
    of = ibis.coalesce(rows.unit_id, rows[OF_INTERACTION])
    moved = rows.mutate(
        **{"row_key": ibis.ifelse(of_another, key, rows.row_key), OF_INTERACTION: of}
    )
    return moved.select(*aside.columns)


def _copies(rows: ir.Table) -> ibis.expr.builders.WindowBuilder:
    """The rows that are one row several times, in the order of their ``detail``."""
    order = rows.detail.asc(nulls_first=True)
    return ibis.window(group_by=[rows[c] for c in _IDENTITY], order_by=order)


def _fields(table: LogTable, rows: ir.Table) -> ir.Table:
    return rows.select(
        source_table=ibis.literal(table.name),
        key=json_fields(table.withheld.key(table.name, rows, table.key)),
        reason=rows.reason,
        detail=rows.detail,
        row=json_fields(table.withheld.row(table.name, {c: rows[RAW][c] for c in table.raw}, rows)),
        of_interaction=_interaction(rows),
    )


def _interaction(rows: ir.Table) -> ir.StringValue:
    if "interaction_id" in rows.columns:
        return rows.interaction_id
    if "subject_kind" in rows.columns:
        own = rows.subject_kind.isin(["interaction", "query", "response"])
        return ibis.ifelse(own, rows.subject_id, ibis.null("string"))
    return ibis.null("string")


def per_interaction(quarantined: ir.Table) -> ir.Table:
    """interaction_id and n_quarantined, from rows with ``of_interaction``."""
    rows = quarantined.filter(has_text(quarantined[OF_INTERACTION]))
    counted = rows.group_by(interaction_id=rows[OF_INTERACTION])
    return counted.agg(n_quarantined=rows.count())
