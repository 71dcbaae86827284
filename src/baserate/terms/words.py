"""The words that tables, pages and commands share."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """What a labeler said of a subject under one policy."""

    VIOLATING = "violating"
    NOT_VIOLATING = "not_violating"
    UNSURE = "unsure"
    NO_LABEL = "no_label"


class SubjectKind(StrEnum):
    """What a label or a score speaks of."""

    INTERACTION = "interaction"
    QUERY = "query"
    RESPONSE = "response"
    COMPONENT = "component"


class LabelerKind(StrEnum):
    """Who labels."""

    LLM_JUDGE = "llm_judge"
    LOCAL_JUDGE = "local_judge"
    HUMAN = "human"


class NoLabelReason(StrEnum):
    """Why a subject that was asked about has no verdict. Never read as "safe"."""

    REFUSED = "refused"
    INVALID_OUTPUT = "invalid_output"
    TRUNCATED = "truncated"
    ENDPOINT_FAILED = "endpoint_failed"
    CONTENT_GONE = "content_gone"
    CANNOT_DECIDE = "cannot_decide"


class Estimand(StrEnum):
    """What a rate counts, over what (STATISTICS, section 1).

    ``interaction_rate``: interactions that violate as a whole / interactions.
    ``exposure_rate``: impressions of violating Pins / impressions of all Pins.
    ``any_component_rate``: interactions in which a shown component (response or Pin)
    violates / interactions. The query is not counted as shown.
    """

    INTERACTION_RATE = "interaction_rate"
    EXPOSURE_RATE = "exposure_rate"
    ANY_COMPONENT_RATE = "any_component_rate"


class Method(StrEnum):
    """How an estimate was made.

    ``judge_only``: the judge's verdicts, expanded; carries the judge's errors.
    ``human_only``: the human verdicts of the second phase, expanded.
    ``two_phase_difference``: judge verdicts corrected by the human subsample.
    """

    JUDGE_ONLY = "judge_only"
    HUMAN_ONLY = "human_only"
    TWO_PHASE_DIFFERENCE = "two_phase_difference"


class QuarantineReason(StrEnum):
    """Why a row of a logging table is not part of an interaction."""

    MISSING_KEY = "missing_key"
    INVALID_TIME = "invalid_time"
    INVALID_TEXT = "invalid_text"
    INVALID_VALUE = "invalid_value"
    DUPLICATE = "duplicate"
    INTERNAL_TRAFFIC = "internal_traffic"
    TEST_TRAFFIC = "test_traffic"
    TOO_LATE = "too_late"
    LOGGED_BEFORE_EVENT = "logged_before_event"
    NO_RESPONSE = "no_response"
    ORPHAN = "orphan"
    PARENT_QUARANTINED = "parent_quarantined"
    INVALID_SCORE = "invalid_score"
    UNKNOWN_POLICY = "unknown_policy"
    UNKNOWN_SUBJECT_KIND = "unknown_subject_kind"
    NEGATIVE_IMPRESSIONS = "negative_impressions"
    TOO_MANY_IMPRESSIONS = "too_many_impressions"


#: Most impressions that one component can have had in one interaction; more is a fault of the log.
MAX_IMPRESSIONS = 10**12

#: What each reason means, as the reference page says it.
QUARANTINE_MEANINGS = {
    QuarantineReason.MISSING_KEY: "A column of the row's key is empty.",
    QuarantineReason.INVALID_TIME: "A time is missing, or its text is no ISO 8601 time.",
    QuarantineReason.INVALID_TEXT: "A text is not UTF-8; its bytes are kept as base64.",
    QuarantineReason.INVALID_VALUE: "A cast in the column's expression cannot keep the value, or a "
    "text that should be JSON is none.",
    QuarantineReason.DUPLICATE: "A later row has the same key; the latest is kept.",
    QuarantineReason.INTERNAL_TRAFFIC: "The user is staff (is_internal).",
    QuarantineReason.TEST_TRAFFIC: "The request or its user is a test (is_test).",
    QuarantineReason.TOO_LATE: "Logged more than records.late_days after its day, or the turn "
    "continues an interaction that began before the late window.",
    QuarantineReason.LOGGED_BEFORE_EVENT: "Logged more than a day before the time it gives.",
    QuarantineReason.NO_RESPONSE: "The turn has neither a response nor a component.",
    QuarantineReason.ORPHAN: "Nothing that the row belongs to is in the logs.",
    QuarantineReason.PARENT_QUARANTINED: "The request that the row belongs to was set aside.",
    QuarantineReason.INVALID_SCORE: "The score is missing, NaN, below 0 or above 1.",
    QuarantineReason.UNKNOWN_POLICY: "A score of a policy that the programme does not measure.",
    QuarantineReason.UNKNOWN_SUBJECT_KIND: "A score of something that is not interaction, query, "
    "response or component.",
    QuarantineReason.NEGATIVE_IMPRESSIONS: "The component's impressions are below 0.",
    QuarantineReason.TOO_MANY_IMPRESSIONS: "The component's impressions in one interaction exceed "
    f"{MAX_IMPRESSIONS:,}.",
}


class ImageStatus(StrEnum):
    """What became of a picture that a sampled interaction shows."""

    KEPT = "kept"
    MISSING = "missing"
    REFUSED = "refused"
    TOO_LARGE = "too_large"
    TOO_MANY_PIXELS = "too_many_pixels"
    NOT_AN_IMAGE = "not_an_image"
    BROKEN = "broken"
    NO_ACCESS = "no_access"
    UNREACHABLE = "unreachable"
    EXPIRED = "expired"
    ERASED = "erased"


#: What each status means, as pages, judges and reviewers are told.
IMAGE_MEANINGS = {
    ImageStatus.KEPT: "Kept as it was when the sample was drawn.",
    ImageStatus.MISSING: "There was no such picture when the sample was drawn.",
    ImageStatus.REFUSED: "The reference leads where the programme does not allow to read.",
    ImageStatus.TOO_LARGE: "The file is larger than the programme allows.",
    ImageStatus.TOO_MANY_PIXELS: "The picture has more pixels than the programme allows.",
    ImageStatus.NOT_AN_IMAGE: "The file is no JPEG, PNG, WebP or GIF.",
    ImageStatus.BROKEN: "The file is cut off or damaged.",
    ImageStatus.NO_ACCESS: "The storage refused access; tried again on later runs.",
    ImageStatus.UNREACHABLE: "The storage did not answer; tried again on later runs.",
    ImageStatus.EXPIRED: "Its retention date has passed; it was deleted.",
    ImageStatus.ERASED: "It was erased on request.",
}


#: Column of an interaction that a report may cut a rate by, besides a site's own.
STANDARD_PIVOTS = ("country", "language", "age_band", "surface", "model_version")

#: The one value of the one domain that is the whole population.
ALL = "all"
