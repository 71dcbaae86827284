"""The steps from logging tables to the records of a day, in order.

Which rows are the day's (``days``); requests and who asked; responses and components; scores;
what is set aside; the nested record; the account.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import reduce
from operator import or_
from typing import NamedTuple

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from baserate.records.audit import Account, audit_table
from baserate.records.bench import Workbench
from baserate.records.children import Children, Turns, day_children
from baserate.records.days import (
    Window,
    has_text,
    interaction_starts,
    outlook,
    request_keys,
    run_columns,
    runs_by_turn,
    with_run,
)
from baserate.records.interactions import interactions
from baserate.records.nesting import TurnFacts, nested, turn_facts
from baserate.records.quarantine import in_units, per_interaction, set_aside
from baserate.records.reasons import REASON
from baserate.records.relational import among, attach, holds
from baserate.records.requests import (
    TURN_KEY,
    Requests,
    day_requests,
    set_traffic_aside,
    without_answer,
)
from baserate.records.scores import Scores, day_scores, scored_subjects, shown_pins
from baserate.records.sources import LogTable
from baserate.records.unit_scores import pin_scores, unit_scores
from baserate.records.units import UNIT_KEY, Places, Units, day_units, places
from baserate.records.users import People, day_users
from baserate.records.withheld import Withheld
from baserate.terms.programme import Programme
from baserate.terms.record_tables import QUARANTINE, interactions_schema, score_column
from baserate.terms.schemas import TableSchema


class Tables(NamedTuple):
    """What a build ends with."""

    interactions: ir.Table
    quarantine: ir.Table
    audit: pa.Table


@dataclass(frozen=True)
class Sifted:
    """Every logging table's rows, used and set aside; None: the programme has no such table."""

    window: Window
    people: People | None
    requests: Requests
    responses: Children
    components: Children | None
    facts: TurnFacts
    scores: Scores | None
    units: Units | None


class Made(NamedTuple):
    """What finished records have.

    Attributes:
        turns: Turns of all interactions.
        components: Components of all interactions.
        interactions: Interactions, and those without a score by policy, as ``audit`` has them.
    """

    turns: int
    components: int
    interactions: dict[str, int]


class Steps:
    """The steps of one build.

    Args:
        tables: The logging tables.
        programme: What is measured.
        ds: The day.
        bench: Where tables are kept.
        withheld: What is not stored as it was read.
    """

    def __init__(
        self,
        tables: Mapping[str, LogTable],
        programme: Programme,
        ds: date,
        bench: Workbench,
        withheld: Withheld,
    ) -> None:
        self.tables = tables
        self.programme = programme
        self.ds = ds
        self.bench = bench
        self.withheld = withheld

    def run(self) -> Tables:
        """The tables of the day. Raises: EngineError if rows do not add up."""
        sifted = self._sift(Window(self.programme.records.late_days))
        where, aside = None, self._aside(sifted)
        if sifted.units is not None and sifted.units.grouped:
            where = places(sifted.units, sifted.facts.kept, self.bench)
            aside = in_units(aside, where.units)
        aside = self.bench.keep(aside, "quarantine")
        records = self.bench.keep(self._interactions(sifted, aside, where), "interactions")
        made = self._made(records)
        accounts = self._accounts(sifted, made)
        audit = audit_table(accounts, self._counts(aside), made.interactions, self.ds)
        return Tables(
            self._dated(self.bench.outlive(records), self._schema()),
            self._dated(self.bench.outlive(aside), QUARANTINE),
            audit,
        )

    def _schema(self) -> TableSchema:
        return interactions_schema(self.programme.policy_ids(), self.programme.own_columns())

    def _dated(self, rows: ir.Table, schema: TableSchema) -> ir.Table:
        return rows.mutate(ds=ibis.literal(self.ds)).select(*schema.names())

    def _counts(self, aside: ir.Table) -> dict[tuple[str, str], int]:
        counts = aside.group_by("source_table", "reason").agg(n=aside.count())
        rows = self.bench.rows(counts)
        return {(row["source_table"], row["reason"]): row["n"] for row in rows}

    def _sift(self, window: Window) -> Sifted:
        keys = request_keys(self.tables["requests"], window)
        seen = outlook(keys, window, self.bench)
        starts = interaction_starts(keys, window, self.bench) if seen.several else None
        window = replace(window, first=-1 if seen.ahead else 0)
        requests = day_requests(self.tables["requests"], starts, window, self.bench)
        people = self._people(requests, window)
        units = day_units(requests, self.programme.records, self.bench)
        keys_of_units = None
        if units is not None and units.grouped:
            keys_of_units = units.spans.select("interaction_id", UNIT_KEY)
        requests = set_traffic_aside(requests, people, keys_of_units, self.bench)
        turns = self._turns(with_run(keys, starts, window), requests, window)
        responses = day_children(self.tables["responses"], turns, self.bench)
        components = (
            day_children(self.tables["components"], turns, self.bench)
            if "components" in self.tables
            else None
        )
        facts = turn_facts(requests, responses, components, self.bench)
        scores = self._scores(turns, facts)
        return Sifted(window, people, requests, responses, components, facts, scores, units)

    def _people(self, requests: Requests, window: Window) -> People | None:
        if "users" not in self.tables:
            return None
        people = day_users(self.tables["users"], window, self.bench)
        asked = among(people.known, requests.turns(), ("user_id",))
        return People(people.ours, self.bench.keep(asked, "people"))

    def _turns(self, keys: ir.Table, requests: Requests, window: Window) -> Turns:
        runs = runs_by_turn(keys, window)
        # Another run's claim matters only to rows of the day's own log: they are no orphans.
        claims = run_columns(window)
        ours_or_seen = [runs[claims[0]].notnull(), *(runs[c] == 0 for c in claims.values())]
        claimed = reduce(or_, map(holds, ours_or_seen))
        ours = requests.ours.filter(has_text(requests.ours.interaction_id))
        status = ours.group_by(*TURN_KEY).agg(
            open=ours[REASON].isnull().any(), parent_reason=ours[REASON].min()
        )
        table = self.bench.keep(attach(runs.filter(claimed), status, TURN_KEY), "turns_seen")
        return Turns(table, window)

    def _scores(self, turns: Turns, facts: TurnFacts) -> Scores | None:
        if "scores" not in self.tables:
            return None
        components = self.tables.get("components")
        shown = None if components is None else shown_pins(components, turns.window)
        subjects = scored_subjects(turns, facts.kept, shown, self.bench)
        policies = self.programme.policy_ids()
        return day_scores(self.tables["scores"], subjects, turns, policies, self.bench)

    def _aside(self, sifted: Sifted) -> ir.Table:
        """Rows of the table quarantine, with the interaction that each is of."""
        ours = sifted.requests.ours
        parts = [
            ("requests", ours.filter(ours[REASON].notnull())),
            ("requests", without_answer(sifted.requests, sifted.facts.unanswered)),
        ]
        if sifted.responses.aside is not None:
            parts.append(("responses", sifted.responses.aside))
        if sifted.people is not None:
            users = sifted.people.ours
            parts.append(("users", users.filter(users[REASON].notnull())))
        if sifted.components is not None and sifted.components.aside is not None:
            parts.append(("components", sifted.components.aside))
        if sifted.scores is not None:
            parts.append(("scores", sifted.scores.aside))
        return set_aside([(self.tables[name], rows) for name, rows in parts], self.bench)

    def _interactions(self, sifted: Sifted, aside: ir.Table, where: Places | None) -> ir.Table:
        own = self.programme.own_columns()
        units = sifted.units
        records = nested(
            sifted.requests,
            sifted.responses,
            sifted.components,
            sifted.facts,
            own,
            None if units is None else units.spans.select("interaction_id", "session_id"),
            where,
            self.bench,
        )
        scores = None
        if sifted.scores is not None:
            policies = self.programme.policies
            shown = None if sifted.components is None else sifted.components.used
            used = sifted.scores.used
            if where is not None:
                used = where.of_interactions(used, "subject_id")
                shown = None if shown is None else where.of_interactions(shown)
            pins = pin_scores(sifted.scores.pins, policies, sifted.window)
            scores = unit_scores(used, shown, pins, policies)
            scores = self.bench.keep(scores, "unit_scores")
        return interactions(
            records,
            sifted.requests.started,
            sifted.people,
            scores,
            per_interaction(aside),
            self.programme,
            self.withheld,
        )

    def _made(self, records: ir.Table) -> Made:
        """What the records have, counted in one look."""
        scores = {p: score_column(p) for p in self.programme.policy_ids()}
        found = self.bench.one_row(
            records.agg(
                turns=records.n_turns.sum(),
                components=records.n_components.sum(),
                units=records.count(),
                **{column: records[column].count() for column in scores.values()},
            )
        )
        units = int(found["units"])
        missing = {f"no_score:{p}": units - int(found[c]) for p, c in scores.items()}
        turns, components = int(found["turns"] or 0), int(found["components"] or 0)
        return Made(turns, components, {"units": units, **missing})

    def _accounts(self, sifted: Sifted, made: Made) -> list[Account]:
        answered = self.bench.one_row(sifted.facts.kept.agg(n=sifted.facts.kept.answered.sum()))
        late = sifted.facts.n_late
        accounts = []
        if sifted.people is not None:
            accounts.append(self._users_account(sifted.people))
        ours = self.bench.one_row(sifted.requests.ours.agg(n=sifted.requests.ours.count()))["n"]
        accounts.append(Account("requests", ours, 0, made.turns, late["requests"]))
        children = {"responses": (sifted.responses, int(answered["n"] or 0))}
        if sifted.components is not None:
            children["components"] = (sifted.components, made.components)
        for name, (child, used) in children.items():
            accounts.append(Account(name, child.read, child.theirs, used, late[name]))
        if (scores := sifted.scores) is not None:
            accounts.append(
                Account("scores", scores.read, scores.theirs, scores.n_used, scores.n_late)
            )
        return [self._with_left_out(account) for account in accounts]

    def _with_left_out(self, account: Account) -> Account:
        """Where the mapping leaves rows out, how many it left out of this day."""
        if getattr(self.programme.tables, account.table).where is None:
            return account
        return replace(account, left_out=self.tables[account.table].left_out_today)

    def _users_account(self, people: People) -> Account:
        table = self.tables["users"]
        fine = people.ours[REASON].isnull()
        counts = self.bench.one_row(people.ours.agg(n=people.ours.count(), used=fine.sum()))
        read = counts["n"]
        if table.read_by_day is not None:
            read = table.count(table.read_by_day, self.bench)
        return Account("users", read, 0, counts["used"] or 0, 0)
