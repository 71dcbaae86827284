"""The answer an LLM judge must give, and the strict reading of what it gave."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from baserate.labels.judges.base import SubjectVerdict, no_label
from baserate.labels.policies.written import NO_CLAUSE, Section, WrittenPolicy
from baserate.labels.render import WHOLE, SubjectKey
from baserate.terms.words import NoLabelReason, Verdict

_REASON_CHARS = 200
_REASON_ASKED = 120
_MOST_BRACES = 1000
_VERDICT = {"type": "string", "enum": ["violating", "not_violating", "unsure"]}
_LABEL: dict[str, Any] = {
    "verdict": _VERDICT,
    "probability": {"type": "number"},
    "severity": {"type": ["integer", "null"]},
    "reason": {"type": "string"},
}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _answer(label: dict[str, Any]) -> dict[str, Any]:
    parts = {"type": "array", "items": _object({"id": {"type": "string"}, **label})}
    return _object({"interaction": _object(label), "parts": parts})


def exact_schema(schema: Mapping[str, Any], ids: Collection[str]) -> dict[str, Any]:
    """The schema for one question: an entry for each of its parts, and reasons that end.

    A server that makes a grammar of the schema then holds the model to it: a small one otherwise
    makes up names and goes on with entries or reasons until its tokens are used up.

    Args:
        schema: The schema for any question, under one policy or with a key for each.
        ids: Names of the parts asked about.
    """
    properties = schema["properties"]
    if "parts" not in properties:
        return _object({key: exact_schema(each, ids) for key, each in properties.items()})
    items = properties["parts"]["items"]
    reason = {"reason": {"type": "string", "maxLength": _REASON_ASKED}}
    label = {**properties["interaction"]["properties"], **reason}
    named = {**items["properties"], **reason, "id": {"type": "string", "enum": list(ids)}}
    parts = {"type": "array", "items": _object(named), "minItems": len(ids), "maxItems": len(ids)}
    return _object({"interaction": _object(label), "parts": parts})


#: JSON Schema of the answer, within what strict modes of servers accept.
ANSWER_SCHEMA: dict[str, Any] = _answer(_LABEL)


def answer_schema(policy: WrittenPolicy | None) -> dict[str, Any]:
    """JSON Schema of the answer under a policy, for people and models alike.

    With a written policy only its clauses can be cited and only its levels be given; reason and
    clause come before the verdict, so that a model that writes word by word rests the one on
    the other.
    """
    if policy is None:
        return ANSWER_SCHEMA
    levels = [*range(1, len(policy.severity) + 1), None]
    return _answer(
        {
            "reason": {"type": "string"},
            "clause": {"type": "string", "enum": [*policy.citable, NO_CLAUSE]},
            "verdict": _VERDICT,
            "severity": {"type": ["integer", "null"], "enum": levels},
            "probability": {"type": "number"},
        }
    )


def unified_schema(policies: Mapping[str, WrittenPolicy | None]) -> dict[str, Any]:
    """JSON Schema of the answer of one call about several policies: each one's own, by its id."""
    return _object({id_: answer_schema(policy) for id_, policy in policies.items()})


def _probability(value: object) -> object:
    """A probability outside [0, 1] is no probability; the verdict beside it still counts."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value if 0.0 <= value <= 1.0 else None


def _severity(value: object) -> object:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 1 else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


class _Label(BaseModel):
    model_config = ConfigDict(extra="ignore")

    verdict: Literal["violating", "not_violating", "unsure"]
    probability: Annotated[float | None, BeforeValidator(_probability)] = None
    severity: Annotated[int | None, BeforeValidator(_severity)] = None
    reason: Annotated[str, BeforeValidator(_text)] = ""
    clause: Annotated[str, BeforeValidator(_text)] = ""

    def contradicts_itself(self) -> bool:
        """True where verdict and probability can't both be meant."""
        p = 0.5 if self.probability is None else self.probability
        return (self.verdict == "violating" and p < 0.5) or (
            self.verdict == "not_violating" and p > 0.5
        )

    def as_verdict(self, policy: WrittenPolicy | None) -> SubjectVerdict:
        """The label in the one shape; what contradicts the verdict or the policy is dropped."""
        verdict = Verdict(self.verdict)
        severity = self.severity if verdict is Verdict.VIOLATING else None
        if policy is not None and (severity or 0) > len(policy.severity):
            severity = None
        return SubjectVerdict(
            verdict,
            severity=severity,
            confidence=None if self.contradicts_itself() else self.probability,
            reason=" ".join(self.reason.split())[:_REASON_CHARS] or None,
            clause=cited_clause(self.clause, verdict, policy),
        )


def cited_clause(clause: str | None, verdict: Verdict, policy: WrittenPolicy | None) -> str | None:
    """The clause that a label rests on; None where it cites none that can carry its verdict.

    A clause that says what violates carries no "not violating", and the other way round. An edge
    case carries both: its ruling may turn on a detail.
    """
    found = None if policy is None else policy.by_id.get((clause or "").strip())
    if found is None or policy is None or found.id not in policy.citable:
        return None
    decided = verdict in (Verdict.VIOLATING, Verdict.NOT_VIOLATING)
    opposed = decided and found.section is not Section.EDGE_CASES and found.verdict is not verdict
    return None if opposed else found.id


class _Part(_Label):
    id: str


class _Answer(BaseModel):
    """The frame of an answer; its parts are read one by one, so that one can fail alone."""

    model_config = ConfigDict(extra="ignore")

    interaction: _Label
    parts: list[Any] = Field(default_factory=list)


class Answer(NamedTuple):
    """An answer as read.

    Args:
        verdicts: Verdict by subject; each part asked about is there.
        unknown_ids: Parts answered that were not asked about, or not named: ignored.
        missing: Parts asked about without one clear, valid label: ``no_label``.
        contradictions: Labels whose probability contradicted their verdict.
        uncited: Violating labels without a clause of the written policy that carries them.
    """

    verdicts: Mapping[SubjectKey, SubjectVerdict]
    unknown_ids: int
    missing: int
    contradictions: int
    uncited: int = 0


def read_answer(
    text: str, parts: Mapping[str, SubjectKey], policy: WrittenPolicy | None = None
) -> Answer | None:
    """Read an answer strictly; None where there is not exactly one valid answer in the text.

    Args:
        text: What the model wrote.
        parts: Part id: subject, as asked.
        policy: The written policy, whose clauses and levels count; None where there is none.
    """
    frame = _the_one_answer(text)
    return None if frame is None else _read(frame, parts, policy)


def read_unified_answer(
    text: str, parts: Mapping[str, SubjectKey], policies: Mapping[str, WrittenPolicy | None]
) -> dict[str, Answer]:
    """Read the answer of a call about several policies, each by itself and as strictly as alone.

    Args:
        text: What the model wrote.
        parts: Part id: subject, as asked.
        policies: Policy ids asked about, with the written policy where there is one.

    Returns: Answer by policy id; a policy without one valid answer of its own is not there.
        Nothing at all where there is not exactly one object with answers in the text.
    """
    whole = _answers_in(_loads(text), policies)
    frames = [whole] if whole else [a for v in _objects_in(text) if (a := _answers_in(v, policies))]
    if not frames or any(frame != frames[0] for frame in frames):
        return {}
    return {id_: _read(frame, parts, policies[id_]) for id_, frame in frames[0].items()}


def _answers_in(value: object, policies: Collection[str]) -> dict[str, _Answer]:
    """The valid answers of an object, by policy, in the order of the policies."""
    if not isinstance(value, dict):
        return {}
    return {p: a for p in policies if (a := _valid_answer(value.get(p))) is not None}


def _read(frame: _Answer, parts: Mapping[str, SubjectKey], policy: WrittenPolicy | None) -> Answer:
    labels: dict[str, _Part | None] = {}
    unknown = 0
    for item in frame.parts:
        part = _valid_part(item)
        if part is None or part.id not in parts:
            name = item.get("id") if isinstance(item, dict) else None
            if isinstance(name, str) and name in parts:
                labels[name] = None
            else:
                unknown += 1
        elif part.id in labels and labels[part.id] != part:
            labels[part.id] = None
        else:
            labels[part.id] = part
    clear = [p for p in labels.values() if p is not None]
    verdicts = dict.fromkeys(parts.values(), no_label(NoLabelReason.INVALID_OUTPUT))
    verdicts |= {parts[p.id]: p.as_verdict(policy) for p in clear}
    verdicts[WHOLE] = frame.interaction.as_verdict(policy)
    violating = [v for v in verdicts.values() if v.verdict is Verdict.VIOLATING]
    return Answer(
        verdicts,
        unknown,
        len(parts) - len(clear),
        sum(label.contradicts_itself() for label in (frame.interaction, *clear)),
        0 if policy is None else sum(v.clause is None for v in violating),
    )


def _valid_part(item: object) -> _Part | None:
    try:
        return _Part.model_validate(item)
    except ValidationError:
        return None


def _the_one_answer(text: str) -> _Answer | None:
    """The only valid answer in the text; two that differ are none: which was meant?"""
    whole = _valid_answer(_loads(text))
    if whole is not None:
        return whole
    found = [a for value in _objects_in(text) if (a := _valid_answer(value)) is not None]
    return found[0] if found and all(a == found[0] for a in found) else None


def _valid_answer(value: object) -> _Answer | None:
    try:
        return _Answer.model_validate(value)
    except ValidationError:
        return None


def _unambiguous(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object; a name that comes twice with two meanings has none."""
    found: dict[str, object] = {}
    for name, value in pairs:
        found[name] = value if found.setdefault(name, value) == value else None
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unambiguous)


def _loads(text: str) -> object:
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None


def _objects_in(text: str) -> list[object]:
    """Every outermost JSON object in a text with prose, code fences or thoughts around it."""
    found: list[object] = []
    at = text.find("{")
    for _ in range(_MOST_BRACES):
        if at < 0:
            break
        try:
            value, end = _DECODER.raw_decode(text, at)
            found.append(value)
        except (ValueError, RecursionError):
            end = at + 1
        at = text.find("{", end)
    return found
