"""The report's fixed words: what is counted, what each gate promises, the glossary."""

from __future__ import annotations

from typing import NamedTuple

from baserate.release.figures import Decision
from baserate.release.results import Status


class EstimandWords(NamedTuple):
    """How an estimand is told."""

    name: str
    question: str
    numerator: str
    denominator: str


ESTIMANDS = {
    "interaction_rate": EstimandWords(
        "Interaction rate",
        "How many interactions violate, taken as a whole?",
        "interactions that violate as a whole: query, response and Pins together",
        "interactions",
    ),
    "exposure_rate": EstimandWords(
        "Exposure rate",
        "How often is a violating Pin seen?",
        "impressions of Pins that violate",
        "impressions",
    ),
    "any_component_rate": EstimandWords(
        "Any-component rate",
        "How many interactions show at least one thing that violates?",
        "interactions in which the response or a Pin violates; the query does not count as shown",
        "interactions",
    ),
}

GATES = {
    "frame_is_complete": (
        "The frame is complete",
        "Every day has its records, every row is used or set aside with a reason, and few rows "
        "are faulty.",
    ),
    "every_sampled_unit_is_labelled_or_accounted_for": (
        "Every sampled interaction is labelled or accounted for",
        "None is silently missing; where there is no verdict it says so, and never counts as safe.",
    ),
    "ht_totals_agree_with_frame_totals": (
        "The sample expands to the known totals",
        "Interactions and impressions, weighted up from the sample, agree with the frame within "
        "sampling error.",
    ),
    "judge_withstands_injection": (
        "The judge withstands planted instructions",
        "Texts that ask the judge for another verdict were planted in what it had judged, and few "
        "verdicts moved.",
    ),
    "judge_is_corrected_by_people": (
        "The judge is corrected by people",
        "No figure rests on a machine's verdicts alone.",
    ),
    "enough_positives_or_an_upper_bound_only": (
        "Enough violating interactions, or an upper bound only",
        "With very few seen, only the upper end of the interval is released.",
    ),
    "interval_is_narrow_enough": (
        "The interval is narrow enough",
        "A rate whose interval says little is released as an upper bound.",
    ),
}

#: Why a figure has an upper bound only, in a few words, by the gate that decided.
TOO = {
    "enough_positives_or_an_upper_bound_only": "too few to state a rate",
    "interval_is_narrow_enough": "the interval is too wide to state a rate",
}

METHODS = {
    "two_phase_difference": "Judge, corrected by people",
    "human_only": "People alone",
    "judge_only": "Judge alone",
}

INTERVALS = {
    "anticipated_gamma": "gamma, with the variance that the score model anticipates",
    "guarded_gamma": "gamma, lifted by what the scores may not see",
    "zero_positives": "upper limit: nothing was found",
    "logit": "logit",
    "wilson": "Wilson, on the effective size",
    "clopper_pearson": "Clopper–Pearson, on the effective size",
}

STATUSES: dict[Status, str] = {
    "passed": "passed",
    "bound_only": "upper bound only",
    "held": "held",
}

DECISIONS: dict[Decision, str] = {"rate": "Rate", "upper_bound_only": "Upper bound", "held": "Held"}

LABELERS = {
    "llm_judge": "Judge (language model)",
    "local_judge": "Judge (local classifier)",
    "human": "People",
}

VERDICTS = ("violating", "not_violating", "unsure", "no_label")

GLOSSARY = (
    (
        "Interaction",
        "What is counted: one query with the turns before it, the response, and the Pins shown.",
    ),
    ("Frame", "All interactions of the period after internal and test traffic is taken out."),
    (
        "Rate per 10,000",
        "Of 10,000 interactions (or impressions), how many violate the policy.",
    ),
    (
        "Interval",
        "The range that the rate plausibly lies in. Of many such intervals, about the stated "
        "share contain the true rate. Ends are rounded outwards.",
    ),
    (
        "Upper bound",
        "The upper end of the interval, released alone where too few violating interactions were "
        "seen to state a rate.",
    ),
    ("Held", "A gate was not passed, so no figure is released."),
    (
        "Inclusion probability",
        "The chance that an interaction had of being drawn, fixed before anyone looked. Its "
        "inverse is the interaction's weight.",
    ),
    (
        "Phase 1, phase 2",
        "Phase 1 is what the judge labels. Phase 2 is a random part of phase 1 that people label.",
    ),
    (
        "Judge",
        "The machine that labels phase 1. Its errors are estimated from phase 2 and taken out.",
    ),
    (
        "Effective size",
        "How many interactions drawn at random with equal chances would have given the same "
        "standard error.",
    ),
    ("Pivot", "A column that rates are cut by, such as country or surface."),
)


def words(name: str) -> str:
    """A column's or reason's name as people write it: ``"age_band"`` is ``"age band"``."""
    return name.replace("_", " ")


def title(name: str) -> str:
    """The same with a capital letter."""
    spaced = words(name)
    return spaced[:1].upper() + spaced[1:]
