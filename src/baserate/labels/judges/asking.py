"""What one call asks about, one policy or all, and the questions of a run that follow from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from baserate.labels.judges.answer import (
    Answer,
    answer_schema,
    read_answer,
    read_unified_answer,
    unified_schema,
)
from baserate.labels.judges.images import ShownImages
from baserate.labels.judges.prompt import (
    NO_SCALE,
    ON_SCALE,
    SYSTEM_WRITTEN,
    Prompt,
    build_prompt,
    compose_prompt,
    template_digest,
)
from baserate.labels.judges.unified import (
    UNIFIED_TEMPLATE,
    unified_system_text,
    unified_user_text,
)
from baserate.labels.policies.written import WrittenPolicy
from baserate.labels.render import SubjectKey, UnitContent
from baserate.terms.programme import Policy

#: Digest of all that is written around a written policy and a unit.
_WRITTEN_TEMPLATE = template_digest(SYSTEM_WRITTEN + ON_SCALE + NO_SCALE)


@dataclass(frozen=True)
class Asking:
    """What every call of a kind asks about.

    Args:
        policies: The policies, in order: one, or with unified calls all of the programme.
        documents: Written policies by policy id; the others are judged by their definition.
        unified: Whether one call asks about all of them.
    """

    policies: tuple[Policy, ...]
    documents: Mapping[str, WrittenPolicy]
    unified: bool = False

    @property
    def schema(self) -> Mapping[str, Any]:
        """JSON Schema of the answer."""
        if self.unified:
            return unified_schema(self._written)
        return answer_schema(self.documents.get(self.policies[0].id))

    def version(self, judge_version: str) -> str:
        """Digest of the judge and of each policy as written, with their templates and schemas.

        With unified calls all policies are in it, so that another wording of one of them is
        another version under each: what stands beside a policy may move its verdicts.

        Args:
            judge_version: Digest of all that makes the judge, the policies aside.
        """
        made_of: list[object] = [judge_version]
        made_of += [UNIFIED_TEMPLATE] if self.unified else []
        for policy in self.policies:
            made_of += [policy.id, policy.name, policy.version]
            written = self.documents.get(policy.id)
            if written is None:
                made_of.append(policy.definition)
            else:
                made_of += [] if self.unified else [_WRITTEN_TEMPLATE]
                made_of += [answer_schema(written), written.version, written.digest]
                made_of.append(written.text())  # the digest holds its meaning, this its form
        return digest_of(made_of)[:16]

    def messages(self, unit: UnitContent, images: ShownImages, version: str) -> Prompt:
        """The messages for one unit, clipped as the judge wants it."""
        shown: dict[str, Any] = {"judge_version": version, "images": images, "gone": images.gone}
        if not self.unified:
            (alone,) = self.policies
            return build_prompt(unit, alone, written=self.documents.get(alone.id), **shown)
        system = unified_system_text(self.policies, self.documents)
        return compose_prompt(unit, system, unified_user_text(self.policies), **shown)

    def read(self, text: str, parts: Mapping[str, SubjectKey]) -> dict[str, Answer]:
        """The answers by policy; a policy without one valid answer is not there."""
        if self.unified:
            return read_unified_answer(text, parts, self._written)
        alone = self.policies[0].id
        answer = read_answer(text, parts, self.documents.get(alone))
        return {} if answer is None else {alone: answer}

    def keys(self, asked: Sequence[object]) -> dict[str, str]:
        """The key of each policy's own answer in the cache.

        Args:
            asked: All that makes the question.
        """
        if not self.unified:
            return {self.policies[0].id: digest_of(asked)}
        return {p.id: digest_of([*asked, p.id]) for p in self.policies}

    @property
    def _written(self) -> dict[str, WrittenPolicy | None]:
        return {p.id: self.documents.get(p.id) for p in self.policies}


@dataclass(frozen=True)
class Question:
    """One question: what is asked of what, and all units that its answer is for.

    Args:
        asking: What is asked about.
        keys: Key in the cache of each policy's own answer.
        seen: The unit as shown.
        images: Its images.
        version: The judge's version.
        units: Every unit with this content.
        wanted: Policies of which no answer is kept yet.
    """

    asking: Asking
    keys: Mapping[str, str]
    seen: UnitContent
    images: ShownImages
    version: str
    units: list[UnitContent] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)

    def prompt(self) -> Prompt:
        """The messages."""
        return self.asking.messages(self.seen, self.images, self.version)


def digest_of(value: object) -> str:
    """sha256 of plain values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
