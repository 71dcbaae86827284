"""What machines and people say of the units drawn, and what that makes of each unit."""

from __future__ import annotations

from baserate.terms.record_tables import QUARANTINE
from baserate.terms.schemas import Column, TableSchema, optional

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
        optional("severity", "int64", "Severity from 1, where the policy has a scale."),
        optional("confidence", "float64", "The labeler's probability of violating, in [0, 1]."),
        optional("reason", "string", "Short reason; for no_label one of its reasons."),
        optional("clause", "string", "Clause of the written policy that it rests on, e.g. V1."),
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
        optional("value", "float64", "Numerator; null where there is no usable verdict."),
        optional("expected", "float64", "Numerator expected from the labeler's confidence."),
        Column("maximum", "float64", "Largest possible numerator: 1, or the unit's exposure."),
    ),
    ("phase", "interaction_id", "policy", "estimand"),
)
REVIEW_LABELS = LABELS.named("review_labels", "Verdicts of people, every rater's own.")
REVIEW_QUARANTINE = QUARANTINE.named(
    "review_quarantine", "Rows of review files that could not be used: file, line, reason."
)
REVIEW_OUTCOMES = OUTCOMES.named("review_outcomes", "Outcomes by people's majority verdict.")
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
EQUIVALENCES = TableSchema(
    "equivalences",
    "Whether a judge's calls about all policies at once judge gold as well as a call for each: two "
    "one-sided tests per policy and measure. Costs are those of one unit under all policies.",
    (
        Column("ds", "date", "The day it was tested."),
        Column("policy", "string", "Policy id."),
        Column("measure", "string", "sensitivity or specificity."),
        Column("labeler_kind", "string", "llm_judge."),
        Column("labeler_id", "string", "Which judge."),
        Column("labeler_version", "string", "Version of the judge with unified calls."),
        Column("one_policy_version", "string", "Version of the same judge with a call for each."),
        Column("n", "int64", "Groups of gold items behind it."),
        Column("gained", "int64", "Items that only the unified call judged right."),
        Column("lost", "int64", "Items that only the one-policy call judged right."),
        optional("one_policy", "float64", "The measure with a call for each policy."),
        optional("unified", "float64", "The measure with unified calls."),
        optional("lower", "float64", "Lower end of the difference's interval; null: too few."),
        optional("upper", "float64", "Upper end."),
        Column("alpha", "float64", "Level of each one-sided test."),
        Column("margin", "float64", "Margin that was asked for."),
        Column("weighted", "bool", "Whether drawn gold was used alone, weighted as drawn."),
        Column("one_policy_calls", "float64", "Calls with a call for each policy."),
        Column("unified_calls", "float64", "Calls with unified calls."),
        Column("one_policy_tokens", "float64", "Tokens with a call for each policy."),
        Column("unified_tokens", "float64", "Tokens with unified calls."),
        Column("one_policy_cost", "float64", "Price with a call for each policy; 0: not known."),
        Column("unified_cost", "float64", "Price with unified calls; 0: not known."),
    ),
    ("policy", "measure", "labeler_id", "labeler_version"),
)
GOLD = TableSchema(
    "gold",
    "Items whose verdict is settled, whole as of a day. Kept for judges; no estimate reads it.",
    (
        Column("item_id", "string", "The item."),
        Column("policy", "string", "Policy id."),
        Column("verdict", "string", "violating or not_violating, of the whole."),
        Column("text", "string", "The response, or whatever is judged."),
        optional("query_text", "string", "What was asked."),
        Column(
            "kind",
            "string",
            "probability: drawn with a known probability, may correct a metric. diagnostic: "
            "hand-picked, never corrects one.",
        ),
        optional("inclusion_prob", "float64", "What it was drawn with; null if diagnostic."),
        Column("provenance", "string", "Where it comes from and who settled it."),
        Column("group", "string", "First item of its group of near-duplicates."),
        Column("split", "string", "train, dev or test; the same for a whole group."),
        Column("exposures", "int64", "Times that a judge was tested with it."),
        Column("retired", "bool", "True where it is no longer used."),
    ),
    ("item_id", "policy"),
)
ANCHOR_QUESTIONS = TableSchema(
    "anchor_questions",
    "Anchors that were mixed into a day's work list, under ids that do not show what they are.",
    (
        Column("ds", "date", "The day of the work list."),
        Column("asked_as", "string", "Its interaction_id in the work list."),
        Column("anchor_set", "string", "Name of the frozen set."),
        Column("set_digest", "string", "Digest of the frozen set."),
        Column("item_id", "string", "The gold item."),
        Column("policy", "string", "Policy that it has a gold verdict under."),
        Column("weight", "float64", "What an answer stands for among those of its verdict."),
    ),
    ("asked_as",),
)
ANCHOR_LABELS = TableSchema(
    "anchor_labels",
    "What people answered on anchors of a day's work list. No estimate reads it.",
    (
        Column("ds", "date", "The day of the work list, or the day the judge was asked."),
        Column("anchor_set", "string", "Name of the frozen set."),
        Column("set_digest", "string", "Digest of the frozen set."),
        Column("item_id", "string", "The gold item."),
        Column("policy", "string", "Policy id."),
        Column("policy_version", "string", "Version of the policy the labeler judged by."),
        Column("verdict", "string", "violating, not_violating, unsure or no_label."),
        Column("labeler_kind", "string", "llm_judge, local_judge or human."),
        Column("labeler_id", "string", "Which judge or person (pseudonymous)."),
        Column("labeler_version", "string", "Digest of what makes the judge; '' for people."),
        Column("weight", "float64", "What the answer stands for among those of its verdict."),
    ),
    ("anchor_set", "item_id", "policy", "labeler_id", "labeler_version"),
)
ANCHOR_JUDGE_LABELS = ANCHOR_LABELS.named(
    "anchor_judge_labels", "What judges answered on anchors that they were asked about on a day."
)
