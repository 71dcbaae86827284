"""What logging tables become: interactions, and the account of every row."""

from __future__ import annotations

from baserate.terms.schemas import Column, TableSchema, optional

INTERACTIONS = TableSchema(
    "interactions",
    "The unified record: one row per interaction, with all its turns and Pins. A programme adds "
    "one column score_<policy> per policy (null where missing) and one per pivot of its own.",
    (
        Column("interaction_id", "string", "Identifies the interaction."),
        Column("ds", "date", "The day (UTC) of its first turn."),
        Column("started_at", "timestamp", "Time of its first turn (UTC)."),
        optional("user_id", "string", "Who asked."),
        optional("session_id", "string", "Session."),
        optional("conversation_id", "string", "Conversation."),
        optional("country", "string", "Country of the user."),
        optional("language", "string", "Language of the user."),
        optional("age_band", "string", "Age band of the user."),
        optional("surface", "string", "Surface of the first turn."),
        optional("model_version", "string", "Model that answered the last turn."),
        Column("turns", "turns", "The turns in order, each with query, response, components."),
        Column("n_turns", "int64", "Number of turns."),
        Column("n_components", "int64", "Number of Pins shown, over all turns."),
        Column("exposure", "int64", "Impressions of all its Pins, over all turns."),
        Column("n_quarantined", "int64", "Rows of this interaction that were quarantined."),
        Column("prn", "float64", "Permanent random number in (0, 1), keyed hash of the id."),
        Column("content_digest", "string", "md5 of what a labeler sees, 32 hex digits."),
    ),
    ("interaction_id",),
)
QUARANTINE = TableSchema(
    "quarantine",
    "Rows of logging tables that are not part of an interaction, whole, with the reason.",
    (
        Column("ds", "date", "The day whose run set the row aside."),
        Column("source_table", "string", "The logging table."),
        Column("row_key", "string", "The row's key columns, as JSON."),
        Column("reason", "string", "One of the quarantine reasons."),
        optional("detail", "string", "What was found, without text of people or models."),
        Column("row_json", "string", "The row as it was read, as JSON; nothing is lost."),
    ),
    ("source_table", "row_key", "reason", "row_json"),
)
#: What ``audit`` says of the records themselves stands under this name.
AUDITED_INTERACTIONS = "interactions"
AUDIT = TableSchema(
    "audit",
    "Per day and logging table: rows in = rows used + rows quarantined, by reason. Under "
    "interactions: how many there are, and how many have no score of a policy.",
    (
        Column("ds", "date", "The day."),
        Column("source_table", "string", "The logging table, or interactions."),
        Column(
            "measure",
            "string",
            "rows_in, rows_used, quarantined:<reason>, late, or left_out (by the mapping's "
            "`where`; not part of rows_in). Of interactions: units, no_score:<policy>.",
        ),
        Column("value", "int64", "Number of rows, or of interactions."),
    ),
    ("source_table", "measure"),
)


def score_column(policy: str) -> str:
    """Name of the interactions column with the unit's score for a policy."""
    return f"score_{policy}"


def interactions_schema(policies: tuple[str, ...], own_columns: tuple[str, ...]) -> TableSchema:
    """The interactions table of one programme: score columns and pivots of its own added."""
    scores = [
        optional(score_column(p), "float64", f"Unit score for {p}, in [0, 1]; null: missing.")
        for p in policies
    ]
    pivots = [optional(p, "string", "Column of this programme's own.") for p in own_columns]
    return INTERACTIONS.with_columns(*scores, *pivots)
