"""The shape of every table, as data; the docs' table reference is checked against this page.

Types are words so that any engine can read them: ``string``, ``int64``, ``float64``, ``bool``,
``timestamp`` (microseconds, UTC), ``date`` and, for the nested record, ``turns``.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

COMPONENT_TYPE = pa.struct(
    [
        ("position", pa.int64()),
        ("kind", pa.string()),
        ("component_id", pa.string()),
        ("title", pa.string()),
        ("description", pa.string()),
        ("image_ref", pa.string()),
        ("impressions", pa.int64()),
    ]
)
#: ``is_refusal`` is null where the turn has no response row: it was answered with Pins alone.
TURN_TYPE = pa.struct(
    [
        ("turn", pa.int64()),
        ("query_text", pa.string()),
        ("response_text", pa.string()),
        ("is_refusal", pa.bool_()),
        ("components", pa.list_(COMPONENT_TYPE)),
    ]
)
ARROW_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "turns": pa.list_(TURN_TYPE),
}


#: Measures of ``frame_totals`` with this prefix roll up by maximum, all others by sum.
MAX_WEIGHT = "max_weight:"


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Args:
        name: Name in the table.
        type: One of the words of ``ARROW_TYPES``.
        doc: One sentence: meaning, unit, range.
        required: For logging tables: must be mapped. For our tables: never null.
        volatile: Left out of the table's digest (wall-clock times and the like).
    """

    name: str
    type: str
    doc: str
    required: bool = True
    volatile: bool = False


@dataclass(frozen=True)
class TableSchema:
    """One table: its name, its columns in order and the columns that identify a row."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    def column(self, name: str) -> Column:
        """The column of that name. Raises: KeyError."""
        return next(c for c in self.columns if c.name == name)

    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(c.name for c in self.columns)

    def completed(self, table: pa.Table) -> pa.Table:
        """A table of an earlier version of baserate: columns that came later are null in it."""
        for column in self.columns:
            if not column.required and column.name not in table.column_names:
                nulls = pa.nulls(len(table), ARROW_TYPES[column.type])
                table = table.append_column(column.name, nulls)
        return table.select([n for n in self.names() if n in table.column_names])

    def arrow(self) -> pa.Schema:
        """The Arrow schema, columns in order, required columns not nullable."""
        return pa.schema(
            [pa.field(c.name, ARROW_TYPES[c.type], nullable=not c.required) for c in self.columns]
        )

    def named(self, name: str, doc: str) -> TableSchema:
        """The same shape under another name."""
        return TableSchema(name, doc, self.columns, self.key)

    def with_columns(self, *columns: Column) -> TableSchema:
        """The same table with a programme's own columns (scores, pivots) at the end."""
        return TableSchema(self.name, self.doc, (*self.columns, *columns), self.key)


def _optional(name: str, type_: str, doc: str) -> Column:
    return Column(name, type_, doc, required=False)


# --- logging tables, as platforms have them (names after mapping) ---------------------------

_LOGGED_AT = _optional(
    "logged_at", "timestamp", "When the row was logged (UTC). Needed where the path has no {ds}."
)

USERS = TableSchema(
    "users",
    "Who asked. One row per user; a later row of the same user replaces an earlier one.",
    (
        Column("user_id", "string", "Identifies a user."),
        _optional("country", "string", "Country, as the site writes it."),
        _optional("language", "string", "Language, as the site writes it."),
        _optional("age_band", "string", "Age band, as the site writes it."),
        _optional("is_internal", "bool", "True for staff: kept out of the population."),
        _optional("is_test", "bool", "True for test accounts: kept out of the population."),
    ),
    ("user_id",),
)
REQUESTS = TableSchema(
    "requests",
    "What was asked. One row per turn of an interaction; the first turn's time dates it.",
    (
        Column("interaction_id", "string", "Identifies an interaction: the unit of measurement."),
        _optional("turn", "int64", "Turn within the interaction, from 1. Default 1."),
        _optional("user_id", "string", "Who asked."),
        _optional("session_id", "string", "Session of the user."),
        _optional("conversation_id", "string", "Conversation that the interaction belongs to."),
        Column("requested_at", "timestamp", "When it was asked (UTC); its date is the day."),
        _LOGGED_AT,
        _optional("surface", "string", "Where in the product it was asked."),
        _optional("query_text", "string", "What was asked."),
        _optional("is_test", "bool", "True for synthetic traffic: kept out of the population."),
    ),
    ("interaction_id", "turn"),
)
RESPONSES = TableSchema(
    "responses",
    "What was answered. One row per turn.",
    (
        Column("interaction_id", "string", "The interaction answered."),
        _optional("turn", "int64", "The turn answered, from 1. Default 1."),
        _optional("responded_at", "timestamp", "When it was answered (UTC)."),
        _LOGGED_AT,
        _optional("model_version", "string", "Version of the answering model."),
        _optional("response_text", "string", "The answer."),
        _optional("is_refusal", "bool", "True where the system declined to answer."),
    ),
    ("interaction_id", "turn"),
)
COMPONENTS = TableSchema(
    "components",
    "What was shown with the answer: Pins, in order.",
    (
        Column("interaction_id", "string", "The interaction it was shown in."),
        _optional("turn", "int64", "The turn it was shown in, from 1. Default 1."),
        Column("position", "int64", "Place in the order shown, from 1."),
        _optional("kind", "string", "Kind of component. Default 'pin'."),
        Column("component_id", "string", "Identifies the content shown (the Pin)."),
        _LOGGED_AT,
        _optional("title", "string", "Title of the Pin."),
        _optional("description", "string", "Description of the Pin."),
        _optional("image_ref", "string", "Where the image is."),
        _optional(
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
        _optional("turn", "int64", "Turn of a query or response. Default 1."),
        Column("policy", "string", "Policy id of the programme."),
        Column("score", "float64", "Risk in [0, 1]; outside it or NaN: quarantined."),
        _optional("model_version", "string", "Version of the risk model."),
        _optional("scored_at", "timestamp", "When it was scored (UTC); the latest wins."),
        _LOGGED_AT,
    ),
    ("subject_kind", "subject_id", "turn", "policy"),
)
LOGGING_TABLES = {t.name: t for t in (USERS, REQUESTS, RESPONSES, COMPONENTS, SCORES)}

# --- our tables -----------------------------------------------------------------------------

INTERACTIONS = TableSchema(
    "interactions",
    "The unified record: one row per interaction, with all its turns and Pins. A programme adds "
    "one column score_<policy> per policy (null where missing) and one per pivot of its own.",
    (
        Column("interaction_id", "string", "Identifies the interaction."),
        Column("ds", "date", "The day (UTC) of its first turn."),
        Column("started_at", "timestamp", "Time of its first turn (UTC)."),
        _optional("user_id", "string", "Who asked."),
        _optional("session_id", "string", "Session."),
        _optional("conversation_id", "string", "Conversation."),
        _optional("country", "string", "Country of the user."),
        _optional("language", "string", "Language of the user."),
        _optional("age_band", "string", "Age band of the user."),
        _optional("surface", "string", "Surface of the first turn."),
        _optional("model_version", "string", "Model that answered the last turn."),
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
        _optional("detail", "string", "What was found, without text of people or models."),
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
SAMPLES = TableSchema(
    "samples",
    "The units drawn, with all that is needed to redraw them.",
    (
        Column("ds", "date", "The day drawn from."),
        Column("interaction_id", "string", "The unit."),
        Column("phase", "int64", "1: drawn for the judge. 2: drawn from phase 1 for people."),
        Column("design_id", "string", "Digest of the design: method, sizes, budget, salt name."),
        Column("stratum", "string", "Stratum of the draw; 'all' where there is one."),
        Column("cluster", "string", "What was drawn as one: the interaction's own id."),
        Column("prn", "float64", "Permanent random number of this phase, in (0, 1)."),
        Column("size", "float64", "Size measure that the probability is proportional to."),
        Column(
            "inclusion_prob",
            "float64",
            "Probability under the design, in (0, 1]; for phase 2 given phase 1.",
        ),
        Column(
            "control",
            "bool",
            "True where the unit would also be in the control arm: drawn with "
            "equal probabilities, whatever its scores.",
        ),
        Column("control_prob", "float64", "Probability of the control arm; 0 in phase 2."),
        Column("exposure", "int64", "Impressions of its Pins."),
    ),
    ("phase", "interaction_id"),
)
FRAME_TOTALS = TableSchema(
    "frame_totals",
    "Totals over the whole population, per stratum and domain, known without any label.",
    (
        Column("ds", "date", "The day."),
        Column("stratum", "string", "Stratum of the draw."),
        Column("domain_kind", "string", "'all' or the pivot's name."),
        Column("domain_value", "string", "'all' or the pivot's value."),
        Column(
            "measure",
            "string",
            "n_units, exposure, n_missing_score:<policy>, "
            "model:<policy>:<estimand> (expected numerator by the calibrated model), "
            "spread:<policy>:<estimand> (anticipated phase-1 variance), max_weight:<estimand> "
            "(largest v / inclusion_prob: rolls up by maximum, all else by sum).",
        ),
        Column("value", "float64", "The total."),
    ),
    ("stratum", "domain_kind", "domain_value", "measure"),
)
IMAGES = TableSchema(
    "images",
    "The pictures that a day's sampled interactions show, as they were when they were fetched.",
    (
        Column("ds", "date", "The day of the interactions."),
        Column(
            "image_ref",
            "string",
            "The reference as logged; where it is longer than 2,048 characters, sha256:<digest>.",
        ),
        Column("status", "string", "kept, or what stood in the way."),
        _optional("reason", "string", "What was found, in a word: http_404, timeout, ..."),
        _optional("content_sha256", "string", "sha256 of the file: its name in the store."),
        _optional(
            "perceptual_hash",
            "string",
            "63 bits of its look, 16 hex digits; null where it has no structure.",
        ),
        _optional("picture_group", "string", "Group of pictures that look alike on that day."),
        _optional("media_type", "string", "image/jpeg, image/png, image/webp or image/gif."),
        _optional("width", "int64", "Width as shown, in pixels."),
        _optional("height", "int64", "Height as shown, in pixels."),
        _optional("bytes", "int64", "Size of the file."),
        _optional("animated", "bool", "True where it moves: its first frame is shown and hashed."),
        Column("n_shown", "int64", "Pins of sampled interactions that show it."),
        _optional("retain_until", "date", "Last day that it is kept."),
        Column("attempts", "int64", "Runs that tried to fetch it.", volatile=True),
        Column("fetched_at", "timestamp", "When it was last tried (UTC).", volatile=True),
    ),
    ("image_ref",),
)
LABELS = TableSchema(
    "labels",
    "Verdicts of machines and people, in one shape. Append-only.",
    (
        Column("ds", "date", "The day of the interaction."),
        Column("interaction_id", "string", "The interaction."),
        Column("subject_kind", "string", "interaction, query, response or component."),
        Column("turn", "int64", "Turn of the subject; 0 for the interaction as a whole."),
        Column("position", "int64", "Position of the Pin; 0 for anything else."),
        Column("policy", "string", "Policy id."),
        Column("policy_version", "string", "Version of the policy the labeler judged by."),
        Column("verdict", "string", "violating, not_violating, unsure or no_label."),
        _optional("severity", "int64", "Severity from 1, where the policy has a scale."),
        _optional("confidence", "float64", "The labeler's probability of violating, in [0, 1]."),
        _optional("reason", "string", "Short reason; for no_label one of its reasons."),
        _optional("clause", "string", "Clause of the written policy that it rests on, e.g. V1."),
        Column("labeler_kind", "string", "llm_judge, local_judge or human."),
        Column("labeler_id", "string", "Which judge or person (pseudonymous)."),
        Column("labeler_version", "string", "Digest of what makes the judge; '' for people."),
        Column("phase", "int64", "The phase whose sample the label answers."),
        Column("labeled_at", "timestamp", "When it was labeled (UTC).", volatile=True),
    ),
    (
        "phase",
        "interaction_id",
        "subject_kind",
        "turn",
        "position",
        "policy",
        "labeler_id",
        "labeler_version",
    ),
)
PANEL_LABELS = LABELS.named(
    "panel_labels",
    "What each member of a panel said on its own, where the programme's judge is one; "
    "`labeler_id` is the member's name in the programme. No estimate reads it.",
)
SHOWN = TableSchema(
    "shown",
    "What was shown in each sampled interaction, without its content: the denominator of "
    "exposure and the list that a complete verdict must cover.",
    (
        Column("ds", "date", "The day of the interaction."),
        Column("interaction_id", "string", "The interaction."),
        Column("subject_kind", "string", "response or component."),
        Column("turn", "int64", "Turn of the subject."),
        Column("position", "int64", "Position of the Pin; 0 for a response."),
        Column("impressions", "int64", "Impressions of the Pin; 0 for a response."),
    ),
    ("interaction_id", "subject_kind", "turn", "position"),
)
OUTCOMES = TableSchema(
    "outcomes",
    "What the labels of one phase say of each sampled unit: the numerator of each estimand.",
    (
        Column("ds", "date", "The day of the interaction."),
        Column("interaction_id", "string", "The interaction."),
        Column("phase", "int64", "1: the judge's verdicts. 2: people's, by majority."),
        Column("policy", "string", "Policy id."),
        Column("estimand", "string", "The estimand whose numerator it is."),
        _optional("value", "float64", "Numerator; null where there is no usable verdict."),
        _optional("expected", "float64", "Numerator expected from the labeler's confidence."),
        Column("maximum", "float64", "Largest possible numerator: 1, or the unit's exposure."),
    ),
    ("phase", "interaction_id", "policy", "estimand"),
)
CALIBRATIONS = TableSchema(
    "calibrations",
    "What a score or a judge's confidence is worth as a probability, from earlier days' labels.",
    (
        Column("ds", "date", "The day it is used on; only labels of earlier days went in."),
        Column("role", "string", "score: the frame's risk score. judge: the judge's confidence."),
        Column("policy", "string", "Policy id."),
        Column("estimand", "string", "The estimand that is predicted."),
        Column("content", "string", "The calibration itself, as JSON."),
        Column("n_labels", "int64", "Labels that went in; 0: a prior only."),
    ),
    ("role", "policy", "estimand"),
)
PROBES = TableSchema(
    "probes",
    "Verdicts of a judge that text planted in the content moved, per policy and family of attack. "
    "A frame of its own: never part of a rate.",
    (
        Column("ds", "date", "The day it was probed."),
        Column("policy", "string", "Policy id."),
        Column("family", "string", "The way of attacking; control: calm text that asks nothing."),
        Column("labeler_kind", "string", "llm_judge or local_judge."),
        Column("labeler_id", "string", "Which judge."),
        Column("labeler_version", "string", "Version of the judge under the policy."),
        Column("n_pairs", "int64", "Pairs of an interaction and its planted twin."),
        Column("n_flipped", "int64", "Verdicts turned into the opposite."),
        Column("n_lost", "int64", "Verdicts turned into unsure or none."),
        Column("rate", "float64", "Share of verdicts that moved."),
        Column("lower", "float64", "Lower end of its Clopper-Pearson interval."),
        Column("upper", "float64", "Upper end."),
        Column("level", "float64", "Level of the interval."),
        Column("sources", "string", "Packages that prompts were drawn from, with digests."),
    ),
    ("policy", "family", "labeler_id", "labeler_version"),
)
REVIEW_SAMPLES = SAMPLES.named(
    "review_samples", "The units drawn from phase 1 for people, with all needed to redraw them."
)
REVIEW_LABELS = LABELS.named("review_labels", "Verdicts of people, every rater's own.")
REVIEW_QUARANTINE = QUARANTINE.named(
    "review_quarantine", "Rows of review files that could not be used: file, line, reason."
)
REVIEW_OUTCOMES = OUTCOMES.named("review_outcomes", "Outcomes by people's majority verdict.")
GOLD = TableSchema(
    "gold",
    "Items whose verdict is settled, whole as of a day. Kept for judges; no estimate reads it.",
    (
        Column("item_id", "string", "The item."),
        Column("policy", "string", "Policy id."),
        Column("verdict", "string", "violating or not_violating, of the whole."),
        Column("text", "string", "The response, or whatever is judged."),
        _optional("query_text", "string", "What was asked."),
        Column(
            "kind",
            "string",
            "probability: drawn with a known probability, may correct a metric. diagnostic: "
            "hand-picked, never corrects one.",
        ),
        _optional("inclusion_prob", "float64", "What it was drawn with; null if diagnostic."),
        Column("provenance", "string", "Where it comes from and who settled it."),
        Column("group", "string", "First item of its group of near-duplicates."),
        Column("split", "string", "train, dev or test; the same for a whole group."),
        Column("exposures", "int64", "Times that a judge was tested with it."),
        Column("retired", "bool", "True where it is no longer used."),
    ),
    ("item_id", "policy"),
)
ESTIMATES = TableSchema(
    "estimates",
    "One rate with its interval, per period, policy, estimand, domain and method.",
    (
        Column("period_start", "date", "First day, inclusive."),
        Column("period_end", "date", "Last day, inclusive."),
        Column("policy", "string", "Policy id."),
        Column("policy_version", "string", "Version of the policy the labels were made by."),
        Column("estimand", "string", "interaction_rate, exposure_rate or any_component_rate."),
        Column("domain_kind", "string", "'all' or the pivot's name."),
        Column("domain_value", "string", "'all' or the pivot's value."),
        Column("method", "string", "judge_only, human_only or two_phase_difference."),
        Column("headline", "bool", "True for the one method that may be released as the rate."),
        Column("value", "float64", "The rate, in [0, 1]."),
        Column("std_error", "float64", "Linearised standard error of the rate."),
        Column("lower", "float64", "Lower end of the interval, in [0, 1]."),
        Column("upper", "float64", "Upper end of the interval, in [0, 1]."),
        Column("level", "float64", "Level of the interval, e.g. 0.95."),
        Column("interval", "string", "Name of the interval's method."),
        Column("status", "string", "rate, upper_bound_only or not_estimable."),
        Column("n_units", "int64", "Population units in the domain."),
        Column("denominator", "float64", "Total of the denominator over the domain."),
        Column("n_judged", "int64", "Phase-1 units in the domain with a judge's verdict."),
        Column("n_reviewed", "int64", "Phase-2 units in the domain with people's verdict."),
        Column("n_positive", "int64", "Violating units among those the method reads."),
        _optional("n_effective", "float64", "R(1-R)/variance; null where undefined."),
        Column("largest_share", "float64", "Largest single unit's share of the variance."),
        Column("n_no_label", "int64", "Sampled units without a usable verdict."),
        Column("nonresponse_lower", "float64", "The rate if every unlabelled unit were safe."),
        Column("nonresponse_upper", "float64", "The rate if every unlabelled unit violated."),
        Column("design_id", "string", "The designs of the days, digested together."),
        Column("judge_version", "string", "Version of the judge; '' where none is used."),
    ),
    (
        "period_start",
        "period_end",
        "policy",
        "estimand",
        "domain_kind",
        "domain_value",
        "method",
    ),
)
OUR_TABLES = {
    t.name: t
    for t in (
        INTERACTIONS,
        QUARANTINE,
        AUDIT,
        CALIBRATIONS,
        SAMPLES,
        FRAME_TOTALS,
        IMAGES,
        LABELS,
        SHOWN,
        OUTCOMES,
        REVIEW_SAMPLES,
        PANEL_LABELS,
        REVIEW_LABELS,
        REVIEW_OUTCOMES,
        REVIEW_QUARANTINE,
        PROBES,
        GOLD,
        ESTIMATES,
    )
}


def score_column(policy: str) -> str:
    """Name of the interactions column with the unit's score for a policy."""
    return f"score_{policy}"


def interactions_schema(policies: tuple[str, ...], own_columns: tuple[str, ...]) -> TableSchema:
    """The interactions table of one programme: score columns and pivots of its own added."""
    scores = [
        _optional(score_column(p), "float64", f"Unit score for {p}, in [0, 1]; null: missing.")
        for p in policies
    ]
    pivots = [_optional(p, "string", "Column of this programme's own.") for p in own_columns]
    return INTERACTIONS.with_columns(*scores, *pivots)
