"""The table interactions, exactly as its schema says."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from baserate.engines.keyed_hash import prn_expr
from baserate.records.nesting import own_column
from baserate.records.relational import attach
from baserate.records.users import People
from baserate.records.withheld import Withheld
from baserate.terms.programme import Programme
from baserate.terms.record_tables import interactions_schema, score_column

_OF_USER = ("country", "language", "age_band")


def interactions(
    records: ir.Table,
    started: ir.Table,
    people: People | None,
    scores: ir.Table | None,
    quarantined: ir.Table,
    programme: Programme,
    withheld: Withheld,
) -> ir.Table:
    """One row per interaction, columns in the order of the schema, but for ``ds``.

    Args:
        records: From ``nesting.nested``.
        started: interaction_id and started_at.
        people: The users; None: there is no such table.
        scores: From ``unit_scores``; None: there is no table of scores.
        quarantined: interaction_id and n_quarantined.
        programme: Policies, pivots and the salt of the permanent random numbers.
        withheld: What is not stored as it was read.
    """
    rows = attach(records, started, ("interaction_id",))
    rows = attach(rows, quarantined, ("interaction_id",))
    own = programme.own_columns()
    if people is not None:
        known = people.known.select("user_id", *_OF_USER, *[c for c in own if c in people.known])
        rows = attach(rows, known, ("user_id",))
    policies = programme.policy_ids()
    if scores is not None:
        rows = attach(rows, scores, ("interaction_id",))
    derived = {
        "n_quarantined": rows.n_quarantined.fill_null(0).cast("int64"),
        "prn": prn_expr(rows.interaction_id, f"{programme.salt}/phase1"),
        **{c: _own_value(rows, c) for c in own},
        **withheld.ids(rows),
    }
    schema = interactions_schema(policies, own)
    absent = {c: ibis.null("string") for c in _OF_USER if c not in rows.columns}
    absent |= {
        score_column(p): ibis.null("float64")
        for p in policies
        if score_column(p) not in rows.columns
    }
    return rows.mutate(**derived, **absent).select(*[n for n in schema.names() if n != "ds"])


def _own_value(rows: ir.Table, column: str) -> ir.Value:
    """A site's own pivot: the request's, else the user's."""
    both = [rows[c] for c in (own_column(column), column) if c in rows.columns]
    return ibis.coalesce(*both)
