"""What a row is when its content is erased, and writing files in which some rows are so.

Ids, days, domain columns, scores, random numbers, probabilities, verdicts and counts stay: figures
follow from them. Texts, image references, what tells a person and the time of day go. This page
knows tables by their columns, so that it also holds for tables that come later in the same shape:

============== =====================================================================================
interactions   user, session and conversation; time of day; the texts, component ids and images of
               every turn. Turns, Pins and their places stay, so that what was shown can be counted.
quarantine     the whole row as it was read; a person's id in the row's key
labels         reasons in a labeler's own words
images         references and digests of pictures that nobody else was shown on that day
gold           both texts; the item is retired
============== =====================================================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from baserate.engines.conform import DUCKDB_TYPES, identifier
from baserate.engines.duckdb_engine import DuckDBEngine
from baserate.engines.pseudonyms import HEX_DIGITS, PseudonymKey
from baserate.terms.pictures import reference_key
from baserate.terms.schemas import Column, TableSchema
from baserate.terms.words import ImageStatus, NoLabelReason

#: Stands in the quarantine in place of a row.
ERASED_ROW = '{"erased":true}'
_IDS, _PEOPLE, _COLUMNS = "erased_interactions", "erased_people", "erased_id_columns"
_PICTURES = "erased_pictures"
_FIXED_REASONS = ", ".join(f"'{reason}'" for reason in NoLabelReason)
_NO_COMPONENT = (
    "{'position': c.position, 'kind': c.kind, 'component_id': NULL, 'title': NULL, "
    "'description': NULL, 'image_ref': NULL, 'impressions': c.impressions}"
)
#: A turn without a response row has no response to be gone: is_refusal stays null there.
_NO_TURN = (
    "{'turn': t.turn, 'query_text': NULL, 'response_text': NULL, "
    "'is_refusal': CASE WHEN t.is_refusal IS NOT NULL THEN false END, "
    f"'components': list_transform(t.components, lambda c: {_NO_COMPONENT})}}"
)
_KIND = "coalesce(length(c.kind) || ':' || c.kind, '~')"
_NO_DIGEST = (
    "md5('content/1' || array_to_string(list_transform(turns, lambda t: 'T~~' || array_to_string("
    f"list_transform(t.components, lambda c: 'C' || {_KIND} || '~~~~'), '')), ''))"
)
_KEY_WITHOUT_COPY = r"regexp_replace(row_key, ',\"copy\":[0-9]+\}$', '}')"
_INTERACTION_OF_ROW = (
    "coalesce(row_key->>'interaction_id', CASE WHEN row_key->>'subject_kind' IN "
    "('interaction', 'query', 'response') THEN row_key->>'subject_id' END)"
)


@dataclass(frozen=True)
class RawIds:
    """How people are known in tables that hold their ids as they are in the logs.

    Attributes:
        key: Turns such an id into the pseudonym that an erasure is recorded by.
        columns: The site's columns that hold such ids.
    """

    key: PseudonymKey
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Erased:
    """Whose and which content is erased.

    Attributes:
        interactions: Ids of interactions.
        people: Pseudonyms, with the last day (ISO) that the erasure reaches.
        raw: How people are known where tables hold their ids; None: tables hold pseudonyms.
        up_to: Every row of days up to this one (ISO); None: none.
        pictures: Day and reference of pictures that only erased interactions show.
    """

    interactions: tuple[str, ...] = ()
    people: Mapping[str, str] = field(default_factory=dict)
    raw: RawIds | None = None
    up_to: str | None = None
    pictures: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.interactions or self.people or self.up_to)


class Eraser:
    """Erases content in files; made by ``erasing``."""

    def __init__(self, engine: DuckDBEngine, erased: Erased) -> None:
        self._engine = engine
        self._erased = erased

    def concerned(self, source: Path | str, schema: TableSchema, ds: str) -> int:
        """Number of rows of a file whose content is still to be erased.

        Args:
            source: A Parquet file with exactly the schema's columns.
            schema: Its columns.
            ds: Its day or period.
        """
        rule = _rule(schema)
        if rule is None:
            return 0
        whole, found = self._is_whole(rule, ds), _on(ds, rule.found)
        if not whole and not (self._names_anyone() and self._count(source, found)):
            return 0  # the cheap question first: two columns, not all texts
        return self._count(source, f"({whole} OR {found}) AND {rule.has_content}")

    def rewrite(self, source: Path | str, target: Path, schema: TableSchema, ds: str) -> int:
        """Write the file without the content that is to be erased.

        Returns:
            Number of rows that lost content; with none, nothing is written.
        """
        n = self.concerned(source, schema, ds)
        rule = _rule(schema)
        if not n or rule is None:
            return 0
        found = f"({self._is_whole(rule, ds)} OR {_on(ds, rule.found)})"
        erased = f"coalesce({found} AND {rule.has_content} OR {rule.blank}, false)"
        query = (
            _together(rule, schema, source, erased)
            if rule.around
            else _apart(rule, schema, source, erased)
        )
        copy = f"COPY ({query}) TO {_text(target)} (FORMAT parquet, COMPRESSION zstd)"
        self._engine.rows("SET preserve_insertion_order = false")
        try:
            self._engine.rows(copy)
        finally:
            self._engine.rows("SET preserve_insertion_order = true")
        return n

    def interactions(self, source: Path | str, schema: TableSchema, ds: str) -> dict[str, str]:
        """Interactions in which the people asked, as far as a file knows, and whose each is.

        Returns:
            The person's pseudonym by interaction.
        """
        rule = _rule(schema)
        if rule is _INTERACTIONS:
            asked = _on(ds, _OF_PERSON.format(value="user_id"))
            return self._whose(source, "interaction_id", "[user_id]", asked)
        if rule is _QUARANTINE:
            asked = f"source_table = 'requests' AND {_on(ds, _ROW_OF_PERSON)}"
            return self._whose(source, _UNIT_OF_ROW, _IDS_OF_ROW, asked)
        return {}

    def _whose(self, source: Path | str, interaction: str, ids: str, asked: str) -> dict[str, str]:
        """Interactions of the rows that were asked for, by whichever of a row's ids is erased."""
        known = f"SELECT {interaction} AS i, unnest({ids}) AS value FROM {_file(source)}"
        known = f"SELECT i, unnest([value, erased_pseudonym(value)]) AS id FROM ({known} WHERE "
        query = f"SELECT i, min(id) FROM ({known}{asked})) SEMI JOIN {_PEOPLE} USING (id)"
        rows = self._engine.rows(f"{query} WHERE i IS NOT NULL GROUP BY i")
        return {str(interaction): str(pseudonym) for interaction, pseudonym in rows}

    def units(self, source: Path | str, schema: TableSchema) -> set[str]:
        """Units of several interactions that the named interactions are of, as far as known."""
        if _rule(schema) is not _QUARANTINE:
            return set()
        named = f"{_INTERACTION_OF_ROW} IN (SELECT id FROM {_IDS})"
        return self._ids(source, "row_key->>'unit_id'", named)

    def of_others(self, source: Path | str, schema: TableSchema, ds: str) -> set[str]:
        """Interactions among those named that are another person's."""
        if _rule(schema) is not _INTERACTIONS:
            return set()
        other = f"user_id IS NOT NULL AND NOT {_on(ds, _OF_PERSON.format(value='user_id'))}"
        return self._ids(source, "interaction_id", f"{_OF_INTERACTION} AND {other}")

    def references(
        self, source: Path | str, schema: TableSchema, ds: str, of_others: Sequence[str] | None
    ) -> set[str]:
        """References of pictures that a file of interactions shows.

        Args:
            source: The file; one of another table has none.
            schema: Its columns.
            ds: Its day.
            of_others: None: those that erased interactions show. Else files of samples: those
                that drawn interactions show which are not erased.
        """
        rule = _rule(schema)
        if rule is not _INTERACTIONS:
            return set()
        whole, found = self._is_whole(rule, ds), _on(ds, rule.found)
        condition = f"({whole} OR {found})"
        if of_others is not None:
            drawn = f"[{', '.join(_text(f) for f in of_others)}]"
            drawn = f"SELECT interaction_id FROM read_parquet({drawn}, hive_partitioning = false)"
            condition = f"NOT {condition} AND interaction_id IN ({drawn})"
        pins = "unnest(flatten(list_transform(turns, lambda t: t.components)))"
        query = f"SELECT {pins} AS pin FROM {_file(source)} WHERE {condition}"
        rows = self._engine.rows(f"SELECT DISTINCT pin.image_ref FROM ({query})")
        return {reference_key(reference) for (reference,) in rows if reference}

    def _ids(self, source: Path | str, value: str, condition: str) -> set[str]:
        query = f"SELECT DISTINCT {value} FROM {_file(source)} WHERE {condition}"
        return {str(id_) for (id_,) in self._engine.rows(query) if id_ is not None}

    def _is_whole(self, rule: _Rule, ds: str) -> bool:
        """Whether every row of the day is erased."""
        return rule.by_day and self._erased.up_to is not None and ds <= self._erased.up_to

    def _names_anyone(self) -> bool:
        erased = self._erased
        return bool(erased.interactions or erased.people or erased.pictures)

    def _count(self, source: Path | str, condition: str) -> int:
        query = f"SELECT count(*) FROM {_file(source)} WHERE {condition}"
        return int(self._engine.rows(query)[0][0])


@dataclass(frozen=True)
class _Rule:
    """How one shape of table is erased, in DuckDB's SQL.

    Attributes:
        found: Whether a row is one of those erased.
        has_content: Whether it has anything left to erase.
        without: Columns as they are without content.
        blank: Whether a row was erased before and must be written anew with the others.
        by_day: Whether the table's day is the content's day.
        around: A query around the rows, where what a row becomes depends on others; else empty.
    """

    found: str
    has_content: str
    without: Mapping[str, str]
    blank: str = "false"
    by_day: bool = True
    around: str = ""


_OF_INTERACTION = f"interaction_id IN (SELECT id FROM {_IDS})"
_NAMED = f"(SELECT id FROM {_PEOPLE} WHERE up_to >= :ds)"
_OF_PERSON = "({value} IN " + _NAMED + " OR erased_pseudonym({value}) IN " + _NAMED + ")"
_PERSON_OF_ROW = "(row_key->>'user_id')"
_INTERACTIONS = _Rule(
    found=f"{_OF_INTERACTION} OR {_OF_PERSON.format(value='user_id')}",
    has_content=(
        "(user_id IS NOT NULL OR session_id IS NOT NULL OR conversation_id IS NOT NULL "
        f"OR content_digest <> {_NO_DIGEST})"
    ),
    without={
        "started_at": "CAST(ds AS TIMESTAMPTZ)",
        "user_id": "NULL",
        "session_id": "NULL",
        "conversation_id": "NULL",
        "turns": f"list_transform(turns, lambda t: {_NO_TURN})",
        "content_digest": _NO_DIGEST,
    },
)
_LABELS = _Rule(
    found=_OF_INTERACTION,
    has_content=f"(reason IS NOT NULL AND reason NOT IN ({_FIXED_REASONS}))",
    without={"reason": f"CASE WHEN reason IN ({_FIXED_REASONS}) THEN reason END"},
)
_GOLD = _Rule(
    found=f"item_id IN (SELECT id FROM {_IDS})",
    has_content="(text <> '' OR query_text IS NOT NULL)",
    without={"text": "''", "query_text": "NULL", "retired": "true"},
    by_day=False,
)
_ROW_OF_PERSON = (
    f"{_OF_PERSON.format(value=_PERSON_OF_ROW)} "
    "OR list_has_any(json_extract_string(row_json, '$.*'), "
    f"(SELECT coalesce(list(id), []) FROM {_PEOPLE} WHERE up_to >= :ds)) "
    f"OR EXISTS (SELECT 1 FROM {_COLUMNS} c, {_PEOPLE} p WHERE p.up_to >= :ds "
    "AND p.id = erased_pseudonym(json_extract_string(row_json, c.path)))"
)
_UNIT_OF_ROW = "coalesce(row_key->>'unit_id', row_key->>'interaction_id')"
_IDS_OF_ROW = f"list_append(json_extract_string(row_json, '$.*'), {_PERSON_OF_ROW})"
_ERASED_KEY = (
    f"CASE WHEN source_table = 'users' THEN '{{\"user_id\":null}}' ELSE {_KEY_WITHOUT_COPY} END"
)
_NUMBERED = (
    "SELECT *, CASE WHEN copy > 1 THEN substr(plain_key, 1, length(plain_key) - 1) || "
    "',\"copy\":' || copy || '}' ELSE plain_key END AS numbered_key FROM ("
    "SELECT *, row_number() OVER (PARTITION BY erased, source_table, plain_key, reason "
    "ORDER BY detail NULLS FIRST) AS copy FROM ("
    f"SELECT *, {_ERASED_KEY} AS plain_key FROM (" + "{rows})))"
)
_QUARANTINE = _Rule(
    found=f"{_INTERACTION_OF_ROW} IN (SELECT id FROM {_IDS}) "
    f"OR row_key->>'unit_id' IN (SELECT id FROM {_IDS}) OR {_ROW_OF_PERSON}",
    has_content=f"row_json <> '{ERASED_ROW}' AND source_table <> 'reviews'",
    without={"row_json": f"'{ERASED_ROW}'", "row_key": "numbered_key"},
    blank=f"row_json = '{ERASED_ROW}'",
    around=_NUMBERED,
)
#: Rows of one group look alike; the group is named by its first picture, which may go.
_REGROUPED = (
    "SELECT * REPLACE (CASE WHEN picture_group IS NULL OR named THEN picture_group ELSE first END "
    "AS picture_group) FROM (SELECT *, row_number() OVER (PARTITION BY erased ORDER BY image_ref) "
    "AS place, left(min(content_sha256) FILTER (WHERE NOT erased) OVER alike, 16) AS first, "
    "bool_or(NOT erased AND left(content_sha256, 16) = picture_group) OVER alike AS named "
    "FROM ({rows}) WINDOW alike AS (PARTITION BY picture_group))"
)
_OF_PICTURES = (
    "reason",
    "content_sha256",
    "perceptual_hash",
    "picture_group",
    "media_type",
    "width",
    "height",
    "bytes",
    "animated",
    "retain_until",
)
_IMAGES = _Rule(
    found=f"image_ref IN (SELECT reference FROM {_PICTURES} WHERE day = :ds)",
    has_content="image_ref NOT LIKE 'erased:%'",
    without={
        "image_ref": "'erased:' || place",
        "status": f"'{ImageStatus.ERASED}'",
        **dict.fromkeys(_OF_PICTURES, "NULL"),
    },
    blank="image_ref LIKE 'erased:%'",
    around=_REGROUPED,
)


def _rule(schema: TableSchema) -> _Rule | None:
    """How a table of this shape is erased; None: it holds no content."""
    names = set(schema.names())
    if {"turns", "content_digest", "user_id"} <= names:
        return _INTERACTIONS
    if {"source_table", "row_key", "row_json"} <= names:
        return _QUARANTINE
    if {"interaction_id", "verdict", "reason"} <= names:
        return _LABELS
    if {"image_ref", "content_sha256", "picture_group"} <= names:
        return _IMAGES
    if {"item_id", "text", "query_text", "retired"} <= names:
        return _GOLD
    return None


def holds_content(schema: TableSchema) -> bool:
    """Whether tables of this shape hold texts or what tells a person."""
    return _rule(schema) is not None


@contextmanager
def erasing(engine: DuckDBEngine, erased: Erased) -> Iterator[Eraser]:
    """An eraser of what is named; its lists live on the engine meanwhile.

    Args:
        engine: DuckDB that reads and writes the files.
        erased: Whose and which content.
    """
    ids = pa.table({"id": pa.array(erased.interactions, pa.string())})
    people = pa.table(
        {
            "id": pa.array(erased.people.keys(), pa.string()),
            "up_to": pa.array(erased.people.values(), pa.string()),
        }
    )
    raw = erased.raw
    paths = [] if raw is None else [f'$."{c}"' for c in raw.columns]
    columns = pa.table({"path": pa.array(paths, pa.string())})
    pseudonym = "CAST(NULL AS VARCHAR)"
    if raw is not None:
        inner, outer = raw.key.blocks
        pseudonym = f"left(keyed_sha256('{inner}', '{outer}', value), {HEX_DIGITS})"
    engine.rows(f"CREATE OR REPLACE TEMPORARY MACRO erased_pseudonym(value) AS {pseudonym}")
    connection = engine.backend.con
    pictures = pa.table(
        {
            "day": pa.array([day for day, _ in erased.pictures], pa.string()),
            "reference": pa.array([key for _, key in erased.pictures], pa.string()),
        }
    )
    names = ((_IDS, ids), (_PEOPLE, people), (_COLUMNS, columns), (_PICTURES, pictures))
    try:
        for name, rows in names:
            connection.register(name, rows)
        yield Eraser(engine, erased)
    finally:
        for name, _ in names:
            connection.unregister(name)
        engine.rows("DROP MACRO IF EXISTS erased_pseudonym")


def _apart(rule: _Rule, schema: TableSchema, source: Path | str, erased: str) -> str:
    """Rows that stay are copied as they are, the others made: texts of the many are not touched."""
    stay = ", ".join(_typed(c, identifier(c.name)) for c in schema.columns)
    go = ", ".join(_typed(c, rule.without.get(c.name, identifier(c.name))) for c in schema.columns)
    file = _file(source)
    return (
        f"SELECT {stay} FROM {file} WHERE NOT {erased} UNION ALL SELECT {go} FROM {file} "
        f"WHERE {erased}"
    )


def _together(rule: _Rule, schema: TableSchema, source: Path | str, erased: str) -> str:
    """What a row becomes depends on other rows."""
    rows = rule.around.replace("{rows}", f"SELECT *, {erased} AS erased FROM {_file(source)}")

    def value(column: Column) -> str:
        name = identifier(column.name)
        without = rule.without.get(column.name)
        return name if without is None else f"CASE WHEN erased THEN {without} ELSE {name} END"

    return f"SELECT {', '.join(_typed(c, value(c)) for c in schema.columns)} FROM ({rows})"


def _typed(column: Column, value: str) -> str:
    return f"CAST({value} AS {DUCKDB_TYPES[column.type]}) AS {identifier(column.name)}"


def _on(ds: str, condition: str) -> str:
    return f"coalesce({condition.replace(':ds', _text(ds))}, false)"


def _file(path: Path | str) -> str:
    return f"read_parquet({_text(path)}, hive_partitioning = false)"


def _text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"
