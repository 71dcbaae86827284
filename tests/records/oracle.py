"""The rules of records once more, in plain Python over single rows: slow, and easy to believe.

Sees the whole log at once and knows no runs, windows or joins: every row's fate is a function of
the log. Rows are told apart by their column ``tag``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.records.awkward import DAY, Logs

Row = dict[str, Any]


@dataclass
class Fate:
    """What becomes of one row: the day that accounts for it and why it is set aside."""

    day: int
    reason: str | None


@dataclass
class Expected:
    """What the records of all days should be.

    Attributes:
        fates: By table and tag; users are left out.
        turns: Kept turns by day and interaction: turn -> (request, response, components).
        started: Time of the first request by day and interaction.
        scores: Scores of the unit's subjects by day, interaction and policy.
    """

    fates: dict[tuple[str, int], Fate] = field(default_factory=dict)
    turns: dict[tuple[int, str], dict[int, tuple[Row, Row | None, list[Row]]]] = field(
        default_factory=dict
    )
    started: dict[tuple[int, str], datetime] = field(default_factory=dict)
    scores: dict[tuple[int, str, str], list[float]] = field(default_factory=dict)

    def aside(self, day: int, table: str) -> dict[int, str]:
        """Reason by tag of what a day sets aside."""
        return {
            tag: fate.reason
            for (t, tag), fate in self.fates.items()
            if t == table and fate.day == day and fate.reason
        }


class Oracle:
    """Works the rules out for one set of logs."""

    def __init__(self, logs: Logs, late: int, policies: tuple[str, ...]) -> None:
        self.late = late
        self.policies = policies
        self.rows = {
            table: [{**row, "_p": p} for p, rows in days.items() for row in rows]
            for table, days in logs.rows.items()
        }
        self.columns = {
            table: sorted({c for row in rows for c in row if c != "_p"})
            for table, rows in self.rows.items()
        }
        self.out = Expected()

    def expected(self) -> Expected:
        self._date_requests()
        for day in sorted({fate.day for fate in self.out.fates.values()}):
            self._sift_requests(day)
        for table in ("responses", "components"):
            self._sift_children(table)
        self._close_turns()
        self._sift_scores()
        return self.out

    # --- requests ---------------------------------------------------------------------------

    def _date_requests(self) -> None:
        days: dict[str, set[int]] = defaultdict(set)
        for row in self.rows["requests"]:
            row["_e"] = _event_day(row)
            row["_timed"] = bool(row["interaction_id"]) and self._in_time(row)
            if row["_timed"]:
                days[row["interaction_id"]].add(row["_e"])
        for row in self.rows["requests"]:
            self._put("requests", row, *self._run_of(row, days[row["interaction_id"] or ""]))

    def _in_time(self, row: Row) -> bool:
        return row["_e"] is not None and -1 <= row["_p"] - row["_e"] <= self.late

    def _run_of(self, row: Row, days: set[int]) -> tuple[int, str | None]:
        p, e = row["_p"], row["_e"]
        if not row["interaction_id"]:
            return p, "missing_key"
        if e is None:
            return p, "invalid_time"
        if not row["_timed"]:
            return p, "too_late" if p > e else "logged_before_event"

        def start_of(day: int) -> int:
            return min(d for d in days if day - self.late <= d <= day)

        start = start_of(e)
        if p > start + self.late:
            return e, "too_late"
        return start, None if start_of(start) == start else "too_late"

    def _sift_requests(self, day: int) -> None:
        ours = [r for r in self.rows["requests"] if self._fate("requests", r).day == day]
        for row in ours:
            if row["_timed"] and self._fate("requests", row).reason is None:
                unit = (day, row["interaction_id"])
                first = self.out.started.get(unit, row["requested_at"])
                self.out.started[unit] = min(first, row["requested_at"])
        self._drop_duplicates("requests", ours, lambda r: (r["interaction_id"], r["turn"]))
        people = {u["user_id"]: u for u in self.rows["users"]}
        flags: dict[str, str] = {}
        for row in self._fine("requests", ours):
            user = people.get(row["user_id"], {})
            if user.get("is_internal"):
                flags[row["interaction_id"]] = "internal_traffic"
            elif row["is_test"] or user.get("is_test"):
                flags.setdefault(row["interaction_id"], "test_traffic")
        for row in self._fine("requests", ours):
            if row["interaction_id"] in flags:
                self._set_aside("requests", row, flags[row["interaction_id"]])

    # --- responses and components -----------------------------------------------------------

    def _claim(self, p: int, requests: Iterable[Row]) -> int | None:
        runs = [
            run
            for r in requests
            if p - self.late <= (run := self._fate("requests", r).day) <= p
            or (run == p + 1 and r["_p"] <= p)
        ]
        return min(runs, default=None)

    def _of_turn(self, interaction: str | None, turn: int) -> list[Row]:
        return [
            r
            for r in self.rows["requests"]
            if interaction and r["interaction_id"] == interaction and r["turn"] == turn
        ]

    def _open(self, day: int, interaction: str, turn: int) -> bool:
        return any(
            self._fate("requests", r) == Fate(day, None) for r in self._of_turn(interaction, turn)
        )

    def _sift_children(self, table: str) -> None:
        for row in self.rows[table]:
            key = row["interaction_id"], row["turn"]
            day = self._claim(row["_p"], self._of_turn(*key))
            keyed = bool(row["interaction_id"]) and (
                table == "responses" or (row["position"] is not None and bool(row["component_id"]))
            )
            if not keyed:
                reason = "missing_key"
            elif day is None:
                reason = "orphan"
            elif not self._open(day, *key):
                reason = "parent_quarantined"
            elif table == "components" and row["impressions"] < 0:
                reason = "negative_impressions"
            elif table == "components" and row["impressions"] > 10**12:
                reason = "too_many_impressions"
            else:
                reason = None
            self._put(table, row, row["_p"] if day is None else day, reason)
        self._drop_duplicates(
            table,
            self.rows[table],
            lambda r: (
                self._fate(table, r).day,
                r["interaction_id"],
                r["turn"],
                r.get("position"),
            ),
        )

    def _close_turns(self) -> None:
        answers = {self._turn("responses", r): r for r in self._fine("responses")}
        shown = defaultdict(list)
        for row in self._fine("components"):
            shown[self._turn("components", row)].append(row)
        for row in self._fine("requests"):
            day, interaction, turn = key = self._turn("requests", row)
            if key not in answers and key not in shown:
                self._set_aside("requests", row, "no_response")
                continue
            pins = sorted(shown[key], key=lambda r: r["position"])
            turns = self.out.turns.setdefault((day, interaction), {})
            turns[turn] = (row, answers.get(key), pins)

    def _turn(self, table: str, row: Row) -> tuple[int, str, int]:
        return self._fate(table, row).day, row["interaction_id"], row["turn"]

    # --- scores -----------------------------------------------------------------------------

    def _sift_scores(self) -> None:
        for row in self.rows["scores"]:
            day, reason = self._fate_of_score(row)
            self._put("scores", row, day, reason)
        self._drop_duplicates(
            "scores",
            self.rows["scores"],
            lambda r: (
                self._fate("scores", r).day,
                r["subject_kind"],
                r["subject_id"],
                r["turn"] if r["subject_kind"] in ("query", "response") else 0,
                r["policy"],
            ),
        )
        self._score_units()

    def _fate_of_score(self, row: Row) -> tuple[int, str | None]:
        p, kind, subject = row["_p"], row["subject_kind"], row["subject_id"]
        pin = kind == "component"
        day = p if pin else self._claim(p, self._subject_requests(row))
        own = p if day is None else day
        if not (kind and subject and row["policy"]):
            return own, "missing_key"
        if kind not in ("interaction", "query", "response", "component"):
            return p, "unknown_subject_kind"
        if row["policy"] not in self.policies:
            return own, "unknown_policy"
        if row["score"] is None or not 0 <= row["score"] <= 1:
            return own, "invalid_score"
        if pin:
            near = range(p - self.late, p + 1)
            seen = any(
                c["component_id"] == subject and c["_p"] in near for c in self.rows["components"]
            )
            return p, None if seen else "orphan"
        if day is None:
            return p, "orphan"
        turns = self.out.turns.get((day, subject), {})
        if kind == "interaction":
            return day, None if turns else "parent_quarantined"
        if row["turn"] not in turns:
            return day, "parent_quarantined"
        lacks = kind == "response" and turns[row["turn"]][1] is None
        return day, "orphan" if lacks else None

    def _subject_requests(self, row: Row) -> list[Row]:
        if row["subject_kind"] == "interaction":
            return [
                r
                for r in self.rows["requests"]
                if row["subject_id"] and r["interaction_id"] == row["subject_id"]
            ]
        if row["subject_kind"] in ("query", "response"):
            return self._of_turn(row["subject_id"], row["turn"])
        return []

    def _score_units(self) -> None:
        pins: dict[tuple[str, str, int], float] = {}
        for row in self._fine("scores"):
            if row["subject_kind"] == "component":
                pins[row["subject_id"], row["policy"], row["_p"]] = row["score"]
            else:
                unit = (self._fate("scores", row).day, row["subject_id"], row["policy"])
                self.out.scores.setdefault(unit, []).append(row["score"])
        for (day, interaction), turns in self.out.turns.items():
            shown = {c["component_id"] for _, _, rows in turns.values() for c in rows}
            for policy in self.policies:
                found = [
                    next(scores)
                    for pin in shown
                    if (scores := self._near_scores(pins, pin, policy, day)) is not None
                ]
                if found:
                    self.out.scores.setdefault((day, interaction, policy), []).extend(found)

    def _near_scores(
        self, pins: dict[tuple[str, str, int], float], pin: str, policy: str, day: int
    ) -> Any:
        near = [p for p in range(day, day + self.late + 1) if (pin, policy, p) in pins]
        return iter([pins[pin, policy, p] for p in near]) if near else None

    # --- fates ------------------------------------------------------------------------------

    def _put(self, table: str, row: Row, day: int, reason: str | None) -> None:
        self.out.fates[table, row["tag"]] = Fate(day, reason)

    def _fate(self, table: str, row: Row) -> Fate:
        return self.out.fates[table, row["tag"]]

    def _set_aside(self, table: str, row: Row, reason: str) -> None:
        self._fate(table, row).reason = reason

    def _fine(self, table: str, rows: list[Row] | None = None) -> list[Row]:
        every = self.rows[table] if rows is None else rows
        return [r for r in every if self._fate(table, r).reason is None]

    def _drop_duplicates(self, table: str, rows: list[Row], key: Any) -> None:
        groups: dict[Any, list[Row]] = defaultdict(list)
        for row in self._fine(table, rows):
            groups[key(row)].append(row)
        for group in groups.values():
            for row in sorted(group, key=lambda r: self._order(table, r))[:-1]:
                self._set_aside(table, row, "duplicate")

    def _order(self, table: str, row: Row) -> list[Any]:
        """Later and larger last; missing values first."""
        event = {"requests": "requested_at", "responses": "responded_at", "scores": "scored_at"}
        times = ["_p", "logged_at", *([event[table]] if table in event else [])]
        if table == "scores":
            times = ["scored_at", "_p", "logged_at"]
        values = [row.get(t) for t in times] + [row.get(c) for c in self.columns[table]]
        return [(value is not None, value if value is not None else 0) for value in values]


def _event_day(row: Row) -> int | None:
    time = row["requested_at"]
    return None if time is None else (time.date() - DAY).days
