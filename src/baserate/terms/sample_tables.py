"""What is drawn from the interactions of a day, and what the draw knew."""

from __future__ import annotations

from baserate.terms.schemas import Column, TableSchema, optional

#: Measures of ``frame_totals`` with this prefix roll up by maximum, all others by sum.
MAX_WEIGHT = "max_weight:"

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
REVIEW_SAMPLES = SAMPLES.named(
    "review_samples", "The units drawn from phase 1 for people, with all needed to redraw them."
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
        optional("reason", "string", "What was found, in a word: http_404, timeout, ..."),
        optional("content_sha256", "string", "sha256 of the file: its name in the store."),
        optional(
            "perceptual_hash",
            "string",
            "63 bits of its look, 16 hex digits; null where it has no structure.",
        ),
        optional("picture_group", "string", "Group of pictures that look alike on that day."),
        optional("media_type", "string", "image/jpeg, image/png, image/webp or image/gif."),
        optional("width", "int64", "Width as shown, in pixels."),
        optional("height", "int64", "Height as shown, in pixels."),
        optional("bytes", "int64", "Size of the file."),
        optional("animated", "bool", "True where it moves: its first frame is shown and hashed."),
        Column("n_shown", "int64", "Pins of sampled interactions that show it."),
        optional("retain_until", "date", "Last day that it is kept."),
        Column("attempts", "int64", "Runs that tried to fetch it.", volatile=True),
        Column("fetched_at", "timestamp", "When it was last tried (UTC).", volatile=True),
    ),
    ("image_ref",),
)
