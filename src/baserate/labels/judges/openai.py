"""A judge that is an LLM behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from baserate.labels.judges.answer import ANSWER_SCHEMA, answer_schema, read_answer
from baserate.labels.judges.base import SubjectVerdict, UnitVerdicts, no_label, without_label
from baserate.labels.judges.cache import AnswerCache, CachedAnswer
from baserate.labels.judges.chat import ChatClient, Dialect
from baserate.labels.judges.images import (
    NO_IMAGES,
    OF_KEPT,
    PREPROCESSING,
    ShownImages,
    readable_images,
)
from baserate.labels.judges.lanes import Lanes
from baserate.labels.judges.pace import Breaker, each_answer, in_step
from baserate.labels.judges.prompt import (
    SYSTEM_WRITTEN,
    Prompt,
    build_prompt,
    template_digest,
    visible_subjects,
)
from baserate.labels.judges.replies import CallFailed, Declined
from baserate.labels.judges.usage import NO_TOKENS, Bill, Tokens, Usage
from baserate.labels.policies.written import WrittenPolicy
from baserate.labels.render import SubjectKey, UnitContent
from baserate.terms.errors import LabelError
from baserate.terms.programme import Policy
from baserate.terms.programme_labelers import OpenAIJudge
from baserate.terms.words import LabelerKind, NoLabelReason, SubjectKind, Verdict

ANSWERED = "answered"
_ASKS = 3
_BYTES_PER_TOKEN = 4
_TOKENS_PER_LABEL = 40


@dataclass(frozen=True)
class _Question:
    """One question: its key in the cache, what is asked, and all units that it answers for."""

    key: str
    seen: UnitContent
    images: ShownImages
    policy: Policy
    judge_version: str
    written: WrittenPolicy | None = None
    units: list[UnitContent] = field(default_factory=list)

    def prompt(self) -> Prompt:
        """The messages."""
        return build_prompt(
            self.seen,
            self.policy,
            judge_version=self.judge_version,
            images=self.images,
            gone=self.images.gone,
            written=self.written,
        )


class ChatJudge:
    """Asks an LLM about one unit and one policy at a time.

    Every settled answer is kept on disk at once, under a key of what was asked, by whom and
    under which policy: a killed run resumes, and nothing that is kept is paid for twice. A
    refusal and an answer cut off are settled too; an endpoint's failure and an unreadable
    answer are not, and are asked again by the next run.

    Args:
        config: Endpoint, model, parameters.
        cache: Where answers are kept.
        images_below: Folder below which images may be read, where ``config.images`` is set.
        documents: Written policies by policy id; the others are judged by their definition.
        kept_as: How kept images are made from their files; None where images are not kept.
        rng: Draws the jitter of waiting times; seeded by the judge's version where not given.
        backoff_seconds: First wait after a failure; doubles each time.
    Raises: LabelError if the address is no address or the cache can't be opened.
    """

    kind = LabelerKind.LLM_JUDGE

    def __init__(
        self,
        config: OpenAIJudge,
        cache: Path,
        *,
        images_below: Path,
        documents: Mapping[str, WrittenPolicy] | None = None,
        kept_as: str | None = None,
        rng: random.Random | None = None,
        backoff_seconds: float = 0.5,
    ) -> None:
        if not config.base_url.startswith(("http://", "https://")):
            raise LabelError(
                "the judge's endpoint is not a web address",
                code="judge_endpoint",
                where="judge.base_url",
                expected="http://... or https://..., up to /v1",
                hint="mend judge.base_url in the programme file",
            )
        self._config = config
        self._cache = AnswerCache(cache)
        self._images_below = images_below
        self._documents = dict(documents or {})
        self._preprocessing = PREPROCESSING if kept_as is None else f"{kept_as}; {OF_KEPT}"
        self._rng = rng or random.Random(self.version)
        self._backoff_seconds = backoff_seconds
        self._breaker = Breaker(config.concurrency)
        self._dialect = Dialect()
        self.usage = Usage(config.price_per_1k_input, config.price_per_1k_output)

    @property
    def id(self) -> str:
        """The model's name."""
        return self._config.model

    @property
    def version(self) -> str:
        """Digest of template, answer schema, model, parameters and image preprocessing."""
        names = ("model", "temperature", "max_tokens", "max_chars", "images")
        parameters = {name: getattr(self._config, name) for name in names}
        if self._config.images:
            parameters["image_preprocessing"] = self._preprocessing
        return _digest([template_digest(), ANSWER_SCHEMA, parameters])[:16]

    def version_for(self, policy: Policy) -> str:
        """Digest of the judge and the policy as written, with its own template and schema."""
        made_of: list[object] = [self.version, policy.id, policy.name, policy.version]
        written = self._documents.get(policy.id)
        if written is None:
            made_of.append(policy.definition)
        else:
            template = template_digest(SYSTEM_WRITTEN)
            made_of += [template, answer_schema(written), written.version, written.digest]
        return _digest(made_of)[:16]

    def label(self, units: Sequence[UnitContent], policy: Policy) -> Iterator[UnitVerdicts]:
        """Label units for one policy: what is kept first, then answers as they arrive.

        Raises: LabelError if the endpoint is down or refuses all work; answers so far are kept.
        """
        questions, unseen = self._questions(units, policy)
        for unit in unseen:
            yield self._settled(unit, NoLabelReason.CANNOT_DECIDE)
        self._cache.asked((u.interaction_id, key) for key, q in questions.items() for u in q.units)
        kept = self._cache.get(questions)
        for key, answer in kept.items():
            self.usage.add_kept(answer.tokens, len(questions[key].units))
            yield from self._answers(questions[key], answer)
        open_ = [q for key, q in questions.items() if key not in kept]
        if not open_:
            return
        headers = self._headers()
        schema = answer_schema(self._documents.get(policy.id))
        for question, answer in in_step(lambda: self._ask_all(open_, headers, schema)):
            self.usage.shared += len(question.units) - 1
            yield from self._answers(question, answer)

    def estimate(self, units: Sequence[UnitContent], policies: Sequence[Policy]) -> Bill:
        """What labelling would cost, without asking anything."""
        pairs = calls = asked = said = 0
        for policy in policies:
            questions, _ = self._questions([u for u in units if not u.is_gone], policy)
            open_ = questions.keys() - self._cache.get(questions).keys()
            pairs += sum(len(q.units) for q in questions.values())
            calls += len(open_)
            for prompt in (questions[key].prompt() for key in open_):
                asked += -(-len(_words(prompt).encode()) // _BYTES_PER_TOKEN)
                said += min(_TOKENS_PER_LABEL * (len(prompt.parts) + 1), self._config.max_tokens)
        price = Usage(self._config.price_per_1k_input, self._config.price_per_1k_output)
        price.add_tokens(Tokens(asked, said))
        return Bill(pairs, calls, asked, said, price.cost)

    def paid_per_unit(
        self, units: Sequence[UnitContent], policies: Sequence[Policy]
    ) -> float | None:
        """Price of one of these units under all policies, by the answers kept.

        None where no answer is kept under one of the policies, or no price is known: none in the
        programme, or an endpoint that does not count tokens.
        """
        total = 0.0
        for policy in policies:
            questions, _ = self._questions([u for u in units if not u.is_gone], policy)
            kept = self._cache.get(questions)
            price = Usage(self._config.price_per_1k_input, self._config.price_per_1k_output)
            for answer in kept.values():
                price.add_tokens(answer.tokens)
            asked = sum(len(questions[key].units) for key in kept)
            if not asked or price.cost == 0.0:
                return None
            total += price.cost / asked
        return total

    def close(self) -> None:
        """Close the cache."""
        self._cache.close()

    def _questions(
        self, units: Sequence[UnitContent], policy: Policy
    ) -> tuple[dict[str, _Question], list[UnitContent]]:
        """Questions by key, and units of which this judge can see nothing."""
        version = self.version_for(policy)
        questions: dict[str, _Question] = {}
        unseen = []
        for unit in units:
            seen = unit.clipped(self._config.max_chars)
            images = readable_images(seen, self._images_below) if self._config.images else NO_IMAGES
            if not visible_subjects(seen, images):
                unseen.append(unit)
                continue
            asked = [self._config.base_url, version, seen.seen_digest, images.identities()]
            written = self._documents.get(policy.id)
            question = _Question(_digest(asked), seen, images, policy, version, written)
            questions.setdefault(question.key, question).units.append(unit)
        return questions, unseen

    def _headers(self) -> dict[str, str]:
        name = self._config.api_key_env
        if name is None:
            return {}
        key = os.environ.get(name)
        if not key:
            raise LabelError(
                "the judge's key is not set",
                code="judge_key",
                where="judge.api_key_env",
                expected=f"environment variable {name}",
                hint=f"export {name}=... and run the command again",
            )
        return {"Authorization": f"Bearer {key}"}

    async def _ask_all(
        self,
        questions: Sequence[_Question],
        headers: Mapping[str, str],
        schema: Mapping[str, Any],
    ) -> AsyncGenerator[tuple[_Question, CachedAnswer]]:
        config = self._config
        async with Lanes(config.base_url, headers, config.timeout_seconds) as lanes:
            client = ChatClient(
                lanes,
                config,
                schema=schema,
                usage=self.usage,
                rng=self._rng,
                backoff_seconds=self._backoff_seconds,
                dialect=self._dialect,
            )
            answers = each_answer(
                partial(self._ask, client),
                questions,
                breaker=self._breaker,
                concurrency=config.concurrency,
            )
            async with aclosing(answers):
                async for answer in answers:
                    yield answer

    async def _ask(self, client: ChatClient, question: _Question) -> tuple[_Question, CachedAnswer]:
        """Ask until settled, keep what is settled, watch for an endpoint that is down."""
        try:
            answer = await self._settle(client, question)
        except CallFailed as failed:
            self._breaker.failed(failed.what)
            return question, CachedAnswer(str(failed.reason), [])
        if answer.outcome == NoLabelReason.INVALID_OUTPUT:
            self._breaker.failed("answers that are not in the form asked for")
        else:
            self._cache.put(question.key, answer)
            self._breaker.answered()
        return question, answer

    async def _settle(self, client: ChatClient, question: _Question) -> CachedAnswer:
        paid = NO_TOKENS
        prompt = question.prompt()
        for again in range(_ASKS):
            self.usage.asked_again += again > 0
            reply = await client.ask(prompt.messages, looser=again)
            paid += reply.tokens
            if isinstance(reply, Declined):
                return CachedAnswer(str(reply.reason), [], paid)
            answer = read_answer(reply.text, prompt.parts, question.written)
            if answer is not None:
                self.usage.unknown_ids += answer.unknown_ids
                self.usage.missing_parts += answer.missing
                self.usage.contradictions += answer.contradictions
                self.usage.uncited += answer.uncited
                labels: list[list[object]] = [[*k, *said] for k, said in answer.verdicts.items()]
                return CachedAnswer(ANSWERED, labels, paid)
        return CachedAnswer(str(NoLabelReason.INVALID_OUTPUT), [], paid)

    def _answers(self, question: _Question, answer: CachedAnswer) -> Iterator[UnitVerdicts]:
        """One answer as verdicts on every unit with the same content."""
        for unit in question.units:
            if answer.outcome != ANSWERED:
                yield self._settled(unit, NoLabelReason(answer.outcome))
                continue
            self.usage.outcomes[ANSWERED] += 1
            said = dict.fromkeys(unit.keys, no_label(NoLabelReason.CANNOT_DECIDE))
            yield UnitVerdicts(unit.interaction_id, said | _verdicts(answer.labels))

    def _settled(self, unit: UnitContent, reason: NoLabelReason) -> UnitVerdicts:
        self.usage.outcomes[str(reason)] += 1
        return without_label(unit, reason)


def _verdicts(labels: Sequence[Sequence[Any]]) -> dict[SubjectKey, SubjectVerdict]:
    return {
        SubjectKey(SubjectKind(kind), turn, position): SubjectVerdict(Verdict(verdict), *rest)
        for kind, turn, position, verdict, *rest in labels
    }


def _words(prompt: Prompt) -> str:
    """The texts of the messages; images are not counted."""
    texts = []
    for message in prompt.messages:
        content = message["content"]
        parts = content if isinstance(content, list) else [{"text": content}]
        texts += [str(part["text"]) for part in parts if "text" in part]
    return "\n".join(texts)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
