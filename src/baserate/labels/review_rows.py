"""One row of a reviewers' file: a label, or the reason why it can't be one."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from baserate.labels.render import WHOLE, SubjectKey
from baserate.labels.rows import FileRow
from baserate.terms.programme import Policy
from baserate.terms.words import NoLabelReason, SubjectKind, Verdict

REQUIRED_COLUMNS = ("interaction_id", "policy", "verdict", "labeler_id")
OPTIONAL_COLUMNS = (
    "subject_kind",
    "turn",
    "position",
    "severity",
    "confidence",
    "reason",
    "clause",
    "labeled_at",
    "policy_version",
)
_SHOWABLE = re.compile(r"[\w .:+\-]{1,30}\Z", re.ASCII)
_CLAUSE = re.compile(r"[VNE][1-9]\d{0,2}\Z")
_REASON_CHARS = 1000


class RejectReason(StrEnum):
    """Why a row of a reviewers' file is no label."""

    MALFORMED = "malformed"
    NOT_UTF8 = "not_utf8"
    NO_VERDICT = "no_verdict"
    UNKNOWN_VERDICT = "unknown_verdict"
    UNKNOWN_INTERACTION = "unknown_interaction"
    NOT_SELECTED = "not_selected"
    UNKNOWN_POLICY = "unknown_policy"
    OTHER_POLICY_VERSION = "other_policy_version"
    UNKNOWN_SUBJECT = "unknown_subject"
    MISSING_LABELER = "missing_labeler"
    INVALID_SEVERITY = "invalid_severity"
    INVALID_CONFIDENCE = "invalid_confidence"
    INVALID_CLAUSE = "invalid_clause"
    INVALID_TIME = "invalid_time"
    DUPLICATE = "duplicate"


class RejectedRow(NamedTuple):
    """A row that is no label; ``detail`` holds no text of people or models.

    ``interaction_id`` is there where the row names an interaction that was drawn for people.
    """

    file: str
    line: int
    interaction_id: str | None
    reason: RejectReason
    detail: str


class Review(NamedTuple):
    """A person's verdict on one subject under one policy."""

    interaction_id: str
    policy: str
    policy_version: str
    subject: SubjectKey
    verdict: Verdict
    severity: int | None
    confidence: float | None
    reason: str | None
    clause: str | None
    labeler_id: str
    labeled_at: datetime


class _Unusable(Exception):
    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class ReviewRules:
    """What a row must satisfy; remembers the rows it has let pass, to know a second one.

    Args:
        selected_ids: Interactions drawn for people.
        subjects: What may be labelled, by interaction.
        policies: The programme's policies by id.
        now: For rows that do not say when they were labelled.
    """

    def __init__(
        self,
        selected_ids: Collection[str],
        subjects: Mapping[str, Sequence[SubjectKey]],
        policies: Mapping[str, Policy],
        now: datetime,
    ) -> None:
        self.selected_ids = frozenset(selected_ids)
        self.subjects = subjects
        self.policies = policies
        self._now = now
        self._passed: dict[tuple[str, str, SubjectKey, str], tuple[str, int]] = {}

    def judge(self, file: str, row: FileRow) -> Review | RejectedRow:
        """A row of a file as a label, or the reason why it is none."""
        try:
            review = self._review(row)
            self._is_the_first(review, file, row.line)
        except _Unusable as fault:
            named = row.fields.get("interaction_id")
            id_ = str(named) if str(named) in self.selected_ids else None
            return RejectedRow(file, row.line, id_, fault.reason, fault.detail)
        return review

    def _review(self, row: FileRow) -> Review:
        if row.fault is not None:
            raise _Unusable(RejectReason(row.fault), "the row can't be read")
        fields = {name: _blank_is_none(value) for name, value in row.fields.items()}
        interaction_id = self._interaction(fields.get("interaction_id"))
        policy = self._policy(fields.get("policy"), fields.get("policy_version"))
        verdict = _verdict(fields.get("verdict"))
        labeler = fields.get("labeler_id")
        if labeler is None:
            raise _Unusable(RejectReason.MISSING_LABELER, "labeler_id is empty")
        reason = fields.get("reason")
        return Review(
            interaction_id,
            policy.id,
            policy.version,
            self._subject(interaction_id, fields),
            verdict,
            _severity(fields.get("severity")),
            _confidence(fields.get("confidence")),
            _reason(verdict, None if reason is None else str(reason)[:_REASON_CHARS]),
            _clause(fields.get("clause")),
            str(labeler),
            _time(fields.get("labeled_at"), self._now),
        )

    def _interaction(self, value: Any) -> str:
        id_ = "" if value is None else str(value)
        if id_ not in self.subjects:
            raise _Unusable(
                RejectReason.UNKNOWN_INTERACTION,
                "interaction_id is empty" if not id_ else "not among the day's judged interactions",
            )
        if id_ not in self.selected_ids:
            raise _Unusable(RejectReason.NOT_SELECTED, "not drawn for people")
        return id_

    def _policy(self, value: Any, version: Any) -> Policy:
        policy = self.policies.get(str(value))
        if policy is None:
            raise _Unusable(
                RejectReason.UNKNOWN_POLICY,
                f"got {_shown(value)}; known: {', '.join(self.policies)}",
            )
        if version is not None and str(version) != policy.version:
            raise _Unusable(
                RejectReason.OTHER_POLICY_VERSION,
                f"judged by version {_shown(version)}, the programme measures {policy.version}",
            )
        return policy

    def _subject(self, interaction_id: str, fields: Mapping[str, Any]) -> SubjectKey:
        kind = str(fields.get("subject_kind") or SubjectKind.INTERACTION).strip().lower()
        if kind not in list(SubjectKind):
            raise _Unusable(RejectReason.UNKNOWN_SUBJECT, f"subject_kind {_shown(kind)}")
        known = self.subjects[interaction_id]
        turns = {key.turn for key in known} - {WHOLE.turn}
        default = 0 if kind == SubjectKind.INTERACTION else min(turns) if len(turns) == 1 else None
        turn = _whole_number(fields.get("turn"), default)
        position = _whole_number(fields.get("position"), 0)
        if turn is None or position is None:
            raise _Unusable(
                RejectReason.UNKNOWN_SUBJECT, "turn or position is missing or no whole number"
            )
        key = SubjectKey(SubjectKind(kind), turn, position)
        if key not in known:
            raise _Unusable(
                RejectReason.UNKNOWN_SUBJECT,
                f"the interaction has no {kind} with turn {turn}, position {position}",
            )
        return key

    def _is_the_first(self, review: Review, file: str, line: int) -> None:
        key = (review.interaction_id, review.policy, review.subject, review.labeler_id)
        first = self._passed.setdefault(key, (file, line))
        if first != (file, line):
            raise _Unusable(
                RejectReason.DUPLICATE,
                f"the same labeler judged the same subject in {first[0]}, line {first[1]}",
            )


def _blank_is_none(value: Any) -> Any:
    """Spreadsheets and data frames write "nothing" as an empty text or NaN."""
    if isinstance(value, str):
        return value.strip() or None
    return None if isinstance(value, float) and math.isnan(value) else value


def _shown(value: Any) -> str:
    """A short plain word as it is, anything else by its length: it may be content."""
    text = "nothing" if value is None else str(value)
    return f"'{text}'" if _SHOWABLE.match(text) else f"{len(text)} characters"


def _verdict(value: Any) -> Verdict:
    if value is None:
        raise _Unusable(RejectReason.NO_VERDICT, "verdict is empty: not judged yet")
    word = str(value).lower().replace("-", "_").replace(" ", "_")
    if word not in list(Verdict):
        raise _Unusable(
            RejectReason.UNKNOWN_VERDICT, f"got {_shown(value)}; known: {', '.join(Verdict)}"
        )
    return Verdict(word)


def _reason(verdict: Verdict, reason: str | None) -> str | None:
    """Free text for a verdict; for ``no_label`` always one of its reasons."""
    if verdict is not Verdict.NO_LABEL:
        return reason
    return reason if reason in list(NoLabelReason) else str(NoLabelReason.CANNOT_DECIDE)


def _whole_number(value: Any, default: int | None) -> int | None:
    if value is None:
        return default
    number = _number(value)
    return int(number) if number is not None and number == math.floor(number) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _severity(value: Any) -> int | None:
    if value is None:
        return None
    severity = _whole_number(value, None)
    if severity is None or not 1 <= severity <= 100:
        raise _Unusable(
            RejectReason.INVALID_SEVERITY, f"got {_shown(value)}; expected a whole number from 1"
        )
    return severity


def _confidence(value: Any) -> float | None:
    if value is None:
        return None
    confidence = _number(value)
    if confidence is None or not 0.0 <= confidence <= 1.0:
        raise _Unusable(RejectReason.INVALID_CONFIDENCE, f"got {_shown(value)}; expected 0 to 1")
    return confidence


def _clause(value: Any) -> str | None:
    """The clause cited; only the shape of an id is taken, so that no free text comes in with it."""
    word = "" if value is None else str(value).strip().upper()
    if word in ("", "NONE"):
        return None
    if not _CLAUSE.match(word):
        raise _Unusable(
            RejectReason.INVALID_CLAUSE, f"got {_shown(value)}; expected an id such as V1, or none"
        )
    return word


def _time(value: Any, now: datetime) -> datetime:
    """A time in UTC; one without a zone is taken as UTC."""
    if value is None:
        return now
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _Unusable(
            RejectReason.INVALID_TIME, f"got {_shown(value)}; expected YYYY-MM-DDTHH:MM:SSZ"
        ) from None
