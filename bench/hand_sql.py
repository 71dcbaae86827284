"""The records of a day in SQL, by hand: what `records_by_hand.py` measures records against.

Written for one programme: requests, responses and components of one turn per interaction, one
late day, no users and no scores. Within that it does with any rows what records do, by the rules
at the heads of `records/days.py`, `requests.py` and `children.py`: the day's rows among those of
its neighbours; late, repeated, orphaned and broken rows set aside with reason and content; the
nested record with its digest; the account. Not in it: interactions that go over midnight, text
that is not UTF-8, times that are text.

One text for both engines; where they differ, a word in braces stands for the engine's own.
"""

from __future__ import annotations

from baserate.terms.words import MAX_IMPRESSIONS

#: The site's columns by name: the order of a row's JSON and of the last ties.
COLUMNS = {
    "requests": ("interaction_id", "query_text", "requested_at", "surface", "turn"),
    "responses": ("interaction_id", "model_version", "response_text", "turn"),
    "components": (
        *("component_id", "description", "image_ref", "impressions"),
        *("interaction_id", "position", "title", "turn"),
    ),
}
_TURN = ("interaction_id", "turn")
KEYS = {"requests": _TURN, "responses": _TURN, "components": (*_TURN, "position")}
_SHOWN = ("kind", "component_id", "title", "description", "image_ref")
_PIN = ("position", *_SHOWN, "impressions")
_ABSENT = ("user_id", "session_id", "conversation_id", "country", "language", "age_band")

_CLAIMS = """
  LEFT JOIN (SELECT *, 0 AS log_day, run_0 AS run FROM turns UNION ALL
    SELECT *, 1 AS log_day, run_1 AS run FROM turns) AS t USING (interaction_id, turn, log_day)
  WHERE coalesce(t.run = 0, c.log_day = 0)"""
#: Tables that are kept, in order; each query reads those before it.
STEPS = {
    "seen": """
SELECT *, CASE WHEN log_day - event_day BETWEEN -1 AND 1 AND interaction_id <> ''
  THEN event_day ELSE log_day END AS run
FROM (SELECT *, {event_day} AS event_day FROM requests WHERE log_day BETWEEN -4 AND 1) AS r""",
    "asked": """
SELECT *, row_number() OVER (PARTITION BY interaction_id, turn, fault IS NULL
  ORDER BY log_day DESC, requested_at DESC NULLS LAST, {ties_requests}) AS place
FROM (SELECT *, CASE WHEN coalesce(interaction_id, '') = '' THEN 'missing_key'
    WHEN requested_at IS NULL THEN 'invalid_time'
    WHEN log_day - event_day < -1 THEN 'logged_before_event'
    WHEN log_day - event_day > 1 THEN 'too_late' END AS fault
  FROM seen WHERE run = 0 AND log_day >= 0) AS r""",
    "turns": """
SELECT interaction_id, turn, run_0, run_1, open, parent FROM (
  SELECT interaction_id, turn,
    min(run) FILTER (WHERE run BETWEEN -1 AND 0 OR run = 1 AND log_day <= 0) AS run_0,
    min(run) FILTER (WHERE run BETWEEN 0 AND 1 OR run = 2 AND log_day <= 1) AS run_1
  FROM seen WHERE interaction_id <> '' GROUP BY interaction_id, turn) AS claims
LEFT JOIN (SELECT interaction_id, turn, bool_or(fault IS NULL) AS open, min(fault) AS parent
  FROM asked WHERE interaction_id <> '' GROUP BY interaction_id, turn) AS status
USING (interaction_id, turn)""",
    "answered": f"""
SELECT *, row_number() OVER (PARTITION BY interaction_id, turn, fault IS NULL
  ORDER BY log_day DESC, {{ties_responses}}) AS place
FROM (SELECT c.*, parent, CASE WHEN coalesce(c.interaction_id, '') = '' THEN 'missing_key'
    WHEN t.run IS NULL THEN 'orphan'
    WHEN NOT coalesce(open, false) THEN 'parent_quarantined' END AS fault
  FROM (SELECT * FROM responses WHERE log_day BETWEEN 0 AND 1) AS c {_CLAIMS}) AS r""",
    "shown": f"""
SELECT *, row_number() OVER (PARTITION BY interaction_id, turn, position, fault IS NULL
  ORDER BY log_day DESC, {{ties_components}}) AS place
FROM (SELECT c.*, parent, CASE
    WHEN coalesce(c.interaction_id, '') = '' OR position IS NULL OR coalesce(component_id, '') = ''
    THEN 'missing_key' WHEN t.run IS NULL THEN 'orphan'
    WHEN NOT coalesce(open, false) THEN 'parent_quarantined'
    WHEN impressions < 0 THEN 'negative_impressions'
    WHEN impressions > {MAX_IMPRESSIONS} THEN 'too_many_impressions' END AS fault
  FROM (SELECT * FROM components WHERE log_day BETWEEN 0 AND 1) AS c {_CLAIMS}) AS r""",
    "pins": """
SELECT interaction_id, turn, count(*) AS n, CAST(sum(impressions) AS BIGINT) AS exposure,
  {sort}({collect}({pin})) AS components
FROM shown WHERE fault IS NULL AND place = 1 GROUP BY interaction_id, turn""",
    "whole": """
SELECT interaction_id, turn, query_text, surface, response_text, model_version,
  a.interaction_id IS NOT NULL AS has_response, n, exposure, components
FROM (SELECT * FROM asked WHERE fault IS NULL AND place = 1) AS q
LEFT JOIN (SELECT * FROM answered WHERE fault IS NULL AND place = 1) AS a
  USING (interaction_id, turn)
LEFT JOIN pins USING (interaction_id, turn)""",
    "aside": """
SELECT source_table, CASE WHEN copy = 1 THEN row_key
    ELSE substr(row_key, 1, length(row_key) - 1) || ',"copy":' || copy || '}}' END AS row_key,
  reason, detail, row_json, interaction_id
FROM (SELECT *, row_number() OVER (PARTITION BY source_table, row_key, reason, row_json
    ORDER BY detail NULLS FIRST) AS copy FROM (
  SELECT 'requests' AS source_table, {key_requests} AS row_key,
    coalesce(fault, CASE WHEN place > 1 THEN 'duplicate' ELSE 'no_response' END) AS reason,
    CASE WHEN fault = 'missing_key' THEN 'no interaction_id'
      WHEN fault = 'invalid_time' THEN 'no requested_at'
      WHEN fault = 'logged_before_event'
      THEN 'days from event to log: ' || CAST(log_day - event_day AS STRING)
      WHEN fault = 'too_late' THEN 'logged or asked too long after its interaction began; '
        || 'days from event to log: ' || CAST(log_day - event_day AS STRING)
      WHEN place > 1 THEN 'a later row has the same interaction and turn'
      ELSE 'no response and no component of this turn' END AS detail,
    {json_requests} AS row_json, interaction_id FROM asked
  LEFT JOIN (SELECT interaction_id, turn, true AS empty FROM whole
    WHERE NOT has_response AND n IS NULL) AS w USING (interaction_id, turn)
  WHERE fault IS NOT NULL OR place > 1 OR empty
  UNION ALL SELECT 'responses', {key_responses}, coalesce(fault, 'duplicate'),
    CASE WHEN fault = 'missing_key' THEN 'a key column is empty'
      WHEN fault = 'orphan' THEN 'no request of this interaction and turn'
      WHEN fault = 'parent_quarantined' THEN 'its request: ' || parent
      ELSE 'a later row has the same interaction_id, turn' END,
    {json_responses}, interaction_id FROM answered WHERE fault IS NOT NULL OR place > 1
  UNION ALL SELECT 'components', {key_components}, coalesce(fault, 'duplicate'),
    CASE WHEN fault = 'missing_key' THEN 'a key column is empty'
      WHEN fault = 'orphan' THEN 'no request of this interaction and turn'
      WHEN fault = 'parent_quarantined' THEN 'its request: ' || parent
      WHEN fault IS NOT NULL THEN 'impressions ' || CAST(impressions AS STRING)
      ELSE 'a later row has the same interaction_id, turn, position' END,
    {json_components}, interaction_id FROM shown WHERE fault IS NOT NULL OR place > 1
  ) AS u) AS v""",
}
INTERACTIONS = """
SELECT interaction_id, DATE '{day}' AS ds, started_at, {absent}, surface, model_version,
  {record} AS turns, CAST(1 AS BIGINT) AS n_turns, coalesce(n, 0) AS n_components,
  coalesce(exposure, 0) AS exposure, coalesce(n_aside, 0) AS n_quarantined,
  ({hex} + CAST(0.5 AS DOUBLE)) / CAST(4503599627370496 AS DOUBLE) AS prn,
  md5('content/1T' || {query_sized} || {response_sized} || coalesce({pins_text}, ''))
    AS content_digest, CAST(NULL AS DOUBLE) AS score_one
FROM (SELECT * FROM whole WHERE has_response OR n > 0) AS w
JOIN (SELECT interaction_id, min(requested_at) AS started_at FROM asked
  WHERE coalesce(fault, '') NOT IN ('missing_key', 'too_late', 'logged_before_event')
  GROUP BY interaction_id) AS s USING (interaction_id)
LEFT JOIN (SELECT interaction_id, count(*) AS n_aside FROM aside GROUP BY interaction_id) AS b
  USING (interaction_id)
"""
QUARANTINE = "SELECT DATE '{day}' AS ds, source_table, row_key, reason, detail, row_json FROM aside"
#: The tables that are written.
WRITTEN = {"quarantine": QUARANTINE, "interactions": INTERACTIONS}
#: Rows used, late among them, and rows set aside; the sum of the first and last is rows in.
ACCOUNT = """
SELECT 'requests' AS source_table, 'rows_used' AS measure, count(*) AS value
  FROM whole WHERE has_response OR n > 0
UNION ALL SELECT 'responses', 'rows_used', count(*) FROM whole WHERE has_response
UNION ALL SELECT 'components', 'rows_used', CAST(sum(n) AS BIGINT) FROM whole
UNION ALL SELECT 'requests', 'late', count(*) FROM asked
  JOIN (SELECT interaction_id, turn FROM whole WHERE has_response OR n > 0) AS w
  USING (interaction_id, turn) WHERE fault IS NULL AND place = 1 AND log_day > 0
UNION ALL SELECT 'responses', 'late', count(*) FROM answered
  WHERE fault IS NULL AND place = 1 AND log_day > 0
UNION ALL SELECT 'components', 'late', count(*) FROM shown
  WHERE fault IS NULL AND place = 1 AND log_day > 0
UNION ALL SELECT source_table, 'quarantined:' || reason, count(*) FROM aside
  GROUP BY source_table, reason
"""


def words(engine: str, day: str, salt: str) -> dict[str, str]:
    """What stands in the braces, for an engine."""
    duckdb = engine == "duckdb"

    def record(fields: dict[str, str]) -> str:
        if duckdb:
            return "{" + ", ".join(f"'{n}': {v}" for n, v in fields.items()) + "}"
        return "named_struct(" + ", ".join(f"'{n}', {v}" for n, v in fields.items()) + ")"

    def json(fields: dict[str, str]) -> str:
        if duckdb:
            return f"CAST(to_json({record(fields)}) AS STRING)"
        return f"to_json({record(fields)}, map('ignoreNullFields', 'false'))"

    def sized(value: str) -> str:
        return f"coalesce(CAST(length({value}) AS STRING) || ':' || {value}, '~')"

    time = (
        "strftime(requested_at, '%Y-%m-%dT%H:%M:%S.%fZ')"
        if duckdb
        else "date_format(requested_at, \"yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'\")"
    )
    since = "CAST(requested_at AS DATE)"
    pin_text = " || ".join(sized(f"c.{f}") for f in _SHOWN)
    digits = f"left(md5('{salt}/phase1|' || interaction_id), 13)"
    components = "components" if duckdb else "coalesce(components, array())"
    turn = record(
        {
            **{c: c for c in ("turn", "query_text", "response_text")},
            "is_refusal": "CASE WHEN has_response THEN false END",
            "components": "coalesce(components, [])" if duckdb else components,
        }
    )
    found = {
        "day": day,
        "event_day": f"{since} - DATE '{day}'" if duckdb else f"datediff({since}, DATE '{day}')",
        "sort": "list_sort" if duckdb else "sort_array",
        "collect": "list" if duckdb else "collect_list",
        "pin": record({f: f for f in _PIN}),
        "record": f"[{turn}]" if duckdb else f"array({turn})",
        "hex": f"CAST(CAST('0x' || {digits} AS BIGINT) AS DOUBLE)"
        if duckdb
        else f"CAST(CAST(conv({digits}, 16, 10) AS BIGINT) AS DOUBLE)",
        "query_sized": sized("query_text"),
        "response_sized": sized("response_text"),
        "pins_text": f"array_to_string(list_transform(components, lambda c: 'C' || {pin_text}), '')"
        if duckdb
        else f"array_join(transform(components, c -> 'C' || {pin_text}), '')",
        "absent": ", ".join(f"CAST(NULL AS STRING) AS {name}" for name in _ABSENT),
    }
    for table, columns in COLUMNS.items():
        found[f"key_{table}"] = json({c: c for c in KEYS[table]})
        found[f"json_{table}"] = json({c: time if c == "requested_at" else c for c in columns})
        found[f"ties_{table}"] = ", ".join(f"{c} DESC NULLS LAST" for c in columns)
    return found


def source(engine: str, base: object, table: str, day: str) -> str:
    """A logging table with the day each row was logged, counted from the day."""
    files = f"{base}/{table}/ds=*/*.parquet"
    kind = ", 'pin' AS kind" if table == "components" else ""
    if engine == "duckdb":
        read = f"read_parquet('{files}', hive_partitioning = true)"
        return f"SELECT *, CAST(ds AS DATE) - DATE '{day}' AS log_day{kind} FROM {read}"
    return f"SELECT *, datediff(ds, DATE '{day}') AS log_day{kind} FROM parquet.`{base}/{table}`"
