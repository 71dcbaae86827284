"""Logging tables, as platforms have them: names after mapping."""

from __future__ import annotations

from baserate.terms.schemas import Column, TableSchema, optional

_LOGGED_AT = optional(
    "logged_at", "timestamp", "When the row was logged (UTC). Needed where the path has no {ds}."
)

USERS = TableSchema(
    "users",
    "Who asked. One row per user; a later row of the same user replaces an earlier one.",
    (
        Column("user_id", "string", "Identifies a user."),
        optional("country", "string", "Country, as the site writes it."),
        optional("language", "string", "Language, as the site writes it."),
        optional("age_band", "string", "Age band, as the site writes it."),
        optional("is_internal", "bool", "True for staff: kept out of the population."),
        optional("is_test", "bool", "True for test accounts: kept out of the population."),
    ),
    ("user_id",),
)
REQUESTS = TableSchema(
    "requests",
    "What was asked. One row per turn of an interaction; the first turn's time dates it.",
    (
        Column("interaction_id", "string", "Identifies an interaction: the unit of measurement."),
        optional("turn", "int64", "Turn within the interaction, from 1. Default 1."),
        optional("user_id", "string", "Who asked."),
        optional("session_id", "string", "Session of the user."),
        optional("conversation_id", "string", "Conversation that the interaction belongs to."),
        Column("requested_at", "timestamp", "When it was asked (UTC); its date is the day."),
        _LOGGED_AT,
        optional("surface", "string", "Where in the product it was asked."),
        optional("query_text", "string", "What was asked."),
        optional("is_test", "bool", "True for synthetic traffic: kept out of the population."),
    ),
    ("interaction_id", "turn"),
)
RESPONSES = TableSchema(
    "responses",
    "What was answered. One row per turn.",
    (
        Column("interaction_id", "string", "The interaction answered."),
        optional("turn", "int64", "The turn answered, from 1. Default 1."),
        optional("responded_at", "timestamp", "When it was answered (UTC)."),
        _LOGGED_AT,
        optional("model_version", "string", "Version of the answering model."),
        optional("response_text", "string", "The answer."),
        optional("is_refusal", "bool", "True where the system declined to answer."),
    ),
    ("interaction_id", "turn"),
)
COMPONENTS = TableSchema(
    "components",
    "What was shown with the answer: Pins, in order.",
    (
        Column("interaction_id", "string", "The interaction it was shown in."),
        optional("turn", "int64", "The turn it was shown in, from 1. Default 1."),
        Column("position", "int64", "Place in the order shown, from 1."),
        optional("kind", "string", "Kind of component. Default 'pin'."),
        Column("component_id", "string", "Identifies the content shown (the Pin)."),
        _LOGGED_AT,
        optional("title", "string", "Title of the Pin."),
        optional("description", "string", "Description of the Pin."),
        optional("image_ref", "string", "Where the image is."),
        optional(
            "impressions", "int64", "Times seen in this interaction, at most 10^12. Default 1."
        ),
    ),
    ("interaction_id", "turn", "position"),
)
SCORES = TableSchema(
    "scores",
    "What a risk model said, per subject and policy.",
    (
        Column(
            "subject_kind",
            "string",
            "interaction, query, response or component; says what subject_id means.",
        ),
        Column(
            "subject_id", "string", "interaction_id, or component_id for subject_kind component."
        ),
        optional("turn", "int64", "Turn of a query or response. Default 1."),
        Column("policy", "string", "Policy id of the programme."),
        Column("score", "float64", "Risk in [0, 1]; outside it or NaN: quarantined."),
        optional("model_version", "string", "Version of the risk model."),
        optional("scored_at", "timestamp", "When it was scored (UTC); the latest wins."),
        _LOGGED_AT,
    ),
    ("subject_kind", "subject_id", "turn", "policy"),
)
LOGGING_TABLES = {t.name: t for t in (USERS, REQUESTS, RESPONSES, COMPONENTS, SCORES)}
