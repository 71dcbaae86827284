"""All tables of a workspace by name; the last of the river, ``estimates``, stands here."""

from __future__ import annotations

from baserate.terms.label_tables import (
    ANCHOR_JUDGE_LABELS,
    ANCHOR_LABELS,
    ANCHOR_QUESTIONS,
    EQUIVALENCES,
    GOLD,
    LABELS,
    OUTCOMES,
    PANEL_LABELS,
    PROBES,
    REVIEW_LABELS,
    REVIEW_OUTCOMES,
    REVIEW_QUARANTINE,
    SHOWN,
)
from baserate.terms.record_tables import AUDIT, INTERACTIONS, QUARANTINE
from baserate.terms.sample_tables import CALIBRATIONS, FRAME_TOTALS, IMAGES, REVIEW_SAMPLES, SAMPLES
from baserate.terms.schemas import Column, TableSchema, optional

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
        optional("n_effective", "float64", "R(1-R)/variance; null where undefined."),
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
        EQUIVALENCES,
        GOLD,
        ANCHOR_QUESTIONS,
        ANCHOR_LABELS,
        ANCHOR_JUDGE_LABELS,
        ESTIMATES,
    )
}
