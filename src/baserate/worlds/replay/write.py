"""One day's traffic as logging tables with a site's own column names, and with a log's dirt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from baserate.stats.arrays import BoolArray, IntArray
from baserate.terms.words import SubjectKind
from baserate.worlds.replay.inventory import Inventory
from baserate.worlds.replay.people import (
    AGE_BANDS,
    COUNTRIES,
    DAY,
    NO_RESPONSE,
    SECOND,
    SURFACES,
    TEST_REQUEST,
    TOO_LATE,
    TOO_LATE_DAYS,
    Users,
)
from baserate.worlds.replay.platform import Day
from baserate.worlds.replay.scorer import MODEL_VERSION
from baserate.worlds.replay.spec import Dirt, ReplaySpec

#: baserate's column name: this site's, where they differ; goes into the programme file, too.
SITE_COLUMNS: dict[str, dict[str, str]] = {
    "users": {
        "user_id": "uid",
        "country": "signup_country",
        "language": "ui_language",
        "is_internal": "is_employee",
        "is_test": "is_test_account",
    },
    "requests": {
        "interaction_id": "req_id",
        "turn": "turn_no",
        "user_id": "uid",
        "requested_at": "event_time",
        "logged_at": "ingested_at",
        "query_text": "prompt",
        "is_test": "synthetic",
    },
    "responses": {
        "interaction_id": "req_id",
        "turn": "turn_no",
        "responded_at": "event_time",
        "logged_at": "ingested_at",
        "model_version": "model",
        "response_text": "answer",
        "is_refusal": "refused",
    },
    "components": {
        "interaction_id": "req_id",
        "turn": "turn_no",
        "position": "slot",
        "component_id": "pin_id",
        "title": "pin_title",
        "description": "pin_description",
        "logged_at": "ingested_at",
    },
    "scores": {
        "subject_kind": "entity",
        "subject_id": "entity_id",
        "turn": "turn_no",
        "score": "risk",
        "model_version": "scorer",
        "logged_at": "ingested_at",
    },
}
_TIME = pa.timestamp("us", tz="UTC")
_MODELS = ("assistant-4.1", "assistant-4.2")
_ORPHAN_BIT = np.uint64(1 << 63)
_BAD_SCORES = np.array([np.nan, 1.7, -0.2])


def write_parquet(table: pa.Table, path: Path) -> int:
    """Write a table as one small-footed Parquet file; the same table gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=1,
        row_group_size=1 << 20,
        dictionary_pagesize_limit=16 << 20,
        store_schema=False,
    )
    return int(table.num_rows)


def interaction_ids(number: np.ndarray) -> pa.Array:
    """Numbers as ids of sixteen hex digits."""
    digits = number.astype(">u8").tobytes().hex().encode()
    return pa.array(np.frombuffer(digits, dtype="S16").astype(str))


def write_users(out: Path, users: Users) -> int:
    """The table of users; a few are listed twice, as snapshots of users are."""
    n = len(users.country)
    rows = np.concatenate([np.arange(n), np.arange(0, n, 500)])
    names = list(COUNTRIES)
    table = pa.table(
        {
            "user_id": _user_ids(rows),
            "country": _words(names, users.country[rows]),
            "language": _words([COUNTRIES[c].language for c in names], users.country[rows]),
            "age_band": _words(list(AGE_BANDS), users.age_band[rows]),
            "is_internal": pa.array(np.isin(rows, users.staff)),
            "is_test": pa.array(np.isin(rows, users.test)),
        }
    )
    return write_parquet(_renamed("users", table), out / "users" / "part-000.parquet")


class DayWriter:
    """Writes the four daily logging tables of one day; rows logged later go to later folders."""

    def __init__(self, out: Path, spec: ReplaySpec, inventory: Inventory, day: Day) -> None:
        self._out, self._day, self._inventory = out, day, inventory
        self._dirt: Dirt = spec.dirt
        self._rng = np.random.default_rng([spec.seed, 6, day.index])
        self._late = self._rng.random(day.n) < self._dirt.late
        answered = day.visits.kind[day.turn_of] != NO_RESPONSE
        scored = self._rng.random(len(day.turn_of)) >= self._dirt.unscored_responses
        #: Which turns' responses the platform has scored.
        self.scored_turns: BoolArray = scored & answered
        self.ids = interaction_ids(day.number)

    def write(self) -> dict[str, int]:
        """Write everything; rows written per table."""
        return {
            "requests": self._requests(),
            "responses": self._responses(),
            "components": self._components(),
            "scores": self._scores(),
        }

    def _requests(self) -> int:
        day, owner = self._day, self._day.turn_of
        missing = self._rng.random(len(owner)) < self._dirt.missing_key
        copied = np.flatnonzero(missing)
        rows = np.concatenate([np.arange(len(owner)), copied])
        lost = np.arange(len(rows)) >= len(owner)
        columns = {
            "interaction_id": _dictionary(owner[rows], self.ids, lost),
            "turn": pa.array(day.turn[rows]),
            "user_id": _coded(_user_ids, day.visits.user[owner[rows]]),
            "session_id": _coded(self._session_ids, day.visits.session[owner[rows]]),
            "requested_at": pa.array(day.asked[rows], _TIME),
            "surface": _words(list(SURFACES), day.surface[owner[rows]]),
            "query_text": _words(self._inventory.query, day.exchange[rows]),
            "is_test": pa.array(day.visits.kind[owner[rows]] == TEST_REQUEST),
        }
        return self._log("requests", columns, owner[rows], day.asked[rows])

    def _responses(self) -> int:
        day = self._day
        rows = np.flatnonzero(day.visits.kind[day.turn_of] != NO_RESPONSE)
        owner, exchange = day.turn_of[rows], day.exchange[rows]
        model = np.where(day.number[owner] % np.uint64(10) < np.uint64(3), 1, 0)
        columns = {
            "interaction_id": _dictionary(owner, self.ids),
            "turn": pa.array(day.turn[rows]),
            "responded_at": pa.array(day.answered[rows], _TIME),
            "model_version": _words(_MODELS, model),
            "response_text": _words(self._inventory.texts, self._inventory.answer[exchange]),
            "is_refusal": pa.array(self._inventory.refusal[exchange]),
        }
        return self._log("responses", columns, owner, day.answered[rows])

    def _components(self) -> int:
        """Pins; beside them copies under unknown ids and copies seen a negative number of times."""
        day = self._day
        shown = np.flatnonzero(day.visits.kind[day.pin_of] != NO_RESPONSE)
        n = len(shown)
        orphans = np.flatnonzero(self._rng.random(n) < self._dirt.orphaned)
        negative = np.flatnonzero(self._rng.random(n) < self._dirt.negative_impressions)
        rows = shown[np.concatenate([np.arange(n), orphans, negative])]
        owner = day.pin_of[rows]
        is_orphan = (np.arange(len(rows)) >= n) & (np.arange(len(rows)) < n + len(orphans))
        is_negative = np.arange(len(rows)) >= n + len(orphans)
        known = pa.concat_arrays([self.ids, interaction_ids(day.number ^ _ORPHAN_BIT)])
        pin = day.pin[rows]
        impressions = day.impressions[rows]
        columns = {
            "interaction_id": _dictionary(owner + day.n * is_orphan, known),
            "turn": pa.array(day.pin_turn[rows]),
            "position": pa.array(np.where(is_negative, 90, 0) + day.position[rows]),
            "component_id": _words(self._inventory.pin_id, pin),
            "title": _words(self._inventory.pin_title, pin),
            "description": _words(self._inventory.texts, self._inventory.pin_text[pin]),
            "image_ref": _words(self._inventory.pin_image, pin),
            "impressions": pa.array(np.where(is_negative, -1 - impressions, impressions)),
        }
        return self._log("components", columns, owner, day.answered_at()[rows])

    def _scores(self) -> int:
        """Each response's and each shown Pin's risk under each policy; some were never scored."""
        day, inventory = self._day, self._inventory
        turns = np.flatnonzero(self.scored_turns)
        pins = np.unique(day.pin)
        pins = pins[inventory.pin_scored[pins]]
        n_policies, n = len(inventory.policies), len(turns)
        text = np.concatenate([inventory.answer[day.exchange[turns]], inventory.pin_text[pins]])
        is_pin = np.repeat(np.arange(len(text)) >= n, n_policies)
        subject = np.repeat(np.concatenate([day.turn_of[turns], day.n + pins]), n_policies)
        at = np.concatenate([day.answered[turns], np.full(len(pins), day.midnight() + SECOND)])
        at = np.repeat(at, n_policies) + SECOND
        turn = np.concatenate([day.turn[turns], np.ones(len(pins), dtype=np.int64)])
        names = pa.concat_arrays([self.ids, pa.array(inventory.pin_id)])
        policy = np.tile(np.arange(n_policies), len(text))
        policy[self._rng.random(len(policy)) < self._dirt.unknown_policy] = n_policies
        columns = {
            "subject_kind": _words([SubjectKind.RESPONSE, SubjectKind.COMPONENT], is_pin * 1),
            "subject_id": _dictionary(subject, names),
            "turn": pa.array(np.repeat(turn, n_policies)),
            "policy": _words([*inventory.policies, "spam"], policy),
            "score": pa.array(self._spoiled(inventory.score[text].ravel())),
            "model_version": _words([MODEL_VERSION], np.zeros(len(policy), dtype=np.int64)),
            "scored_at": pa.array(at, _TIME),
        }
        owner = np.where(is_pin, -1, subject)
        return self._log("scores", columns, owner, at)

    def _spoiled(self, scores: np.ndarray) -> np.ndarray:
        bad = np.flatnonzero(self._rng.random(len(scores)) < self._dirt.invalid_score)
        spoiled = scores.copy()
        spoiled[bad] = _BAD_SCORES[np.arange(len(bad)) % len(_BAD_SCORES)]
        return spoiled

    def _log(
        self, name: str, columns: dict[str, pa.Array], owner: IntArray, event: IntArray
    ) -> int:
        """Write a table into the folders of the days its rows were logged on, in log order."""
        logged = self._logged(owner, event)
        again = np.flatnonzero(self._rng.random(len(owner)) < self._dirt.duplicated)
        rows = np.concatenate([np.arange(len(owner)), again])
        rows = rows[np.argsort(logged[rows], kind="stable")]
        lag = (logged[rows] - self._day.midnight()) // DAY
        table = _renamed(name, pa.table({**columns, "logged_at": pa.array(logged, _TIME)}))
        written = 0
        for days in np.unique(lag):
            part = table.take(pa.array(rows[lag == days]))
            folder = np.datetime64(self._day.ds) + days
            path = self._out / name / f"ds={folder}" / f"part-{days:03d}.parquet"
            written += write_parquet(part if days == 0 else _plain(part), path)
        return written

    def _logged(self, owner: IntArray, event: IntArray) -> IntArray:
        """When rows were logged: at once, the next morning, or so late that they are lost."""
        n, midnight = len(owner), self._day.midnight()
        at_once = event + ((1.0 + self._rng.exponential(8.0, n)) * SECOND).astype(np.int64)
        morning = midnight + DAY + (self._rng.random(n) * 0.3 * DAY).astype(np.int64)
        mine = owner >= 0
        late: BoolArray = mine & self._late[owner]
        gone: BoolArray = mine & (self._day.visits.kind[owner] == TOO_LATE)
        logged = np.where(late, np.maximum(at_once, morning), at_once)
        return np.where(gone, logged % DAY + midnight + TOO_LATE_DAYS * DAY, logged)

    def _session_ids(self, rows: IntArray) -> pa.Array:
        return pa.array([f"s{self._day.index:03d}-{r:07d}" for r in rows.tolist()])


def _user_ids(rows: IntArray) -> pa.Array:
    return pa.array([f"u{r:08d}" for r in rows.tolist()])


def _coded(name: Callable[[IntArray], pa.Array], rows: IntArray) -> pa.Array:
    values, codes = np.unique(rows, return_inverse=True)
    return _dictionary(codes, name(values))


def _words(words: Sequence[str], rows: IntArray) -> pa.Array:
    distinct = {word: i for i, word in enumerate(dict.fromkeys(words))}
    codes = np.array([distinct[word] for word in words])
    return _dictionary(codes[rows], pa.array([str(word) for word in distinct]))


def _dictionary(rows: IntArray, values: pa.Array, null: BoolArray | None = None) -> pa.Array:
    codes = pa.array(rows.astype(np.int32), mask=null)
    return pa.DictionaryArray.from_arrays(codes, values)


def _plain(table: pa.Table) -> pa.Table:
    """Dictionary columns as plain strings: a short file need not carry a long dictionary."""
    for i, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(i, field.name, table.column(i).cast(pa.string()))
    return table


def _renamed(name: str, table: pa.Table) -> pa.Table:
    mine = SITE_COLUMNS[name]
    return table.rename_columns([mine.get(c, c) for c in table.column_names])
