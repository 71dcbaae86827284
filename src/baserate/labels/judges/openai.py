"""A judge that is an LLM behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import NamedTuple

from baserate.labels.judges.answer import ANSWER_SCHEMA, Answer, exact_schema
from baserate.labels.judges.asking import Asking, Question, digest_of
from baserate.labels.judges.base import UnitVerdicts, no_label, without_label
from baserate.labels.judges.cache import AnswerCache, CachedAnswer
from baserate.labels.judges.chat import ChatClient, Dialect
from baserate.labels.judges.images import NO_IMAGES, OF_KEPT, PREPROCESSING, readable_images
from baserate.labels.judges.lanes import Lanes
from baserate.labels.judges.logprobs import with_token_probabilities
from baserate.labels.judges.pace import Breaker, each_answer, in_step
from baserate.labels.judges.prompt import template_digest, visible_subjects
from baserate.labels.judges.replies import CallFailed, Declined, Said
from baserate.labels.judges.settled import ANSWERED, is_kept, shared_out, verdicts_of, words_of
from baserate.labels.judges.usage import NO_TOKENS, Bill, Spent, Tokens, Usage
from baserate.labels.policies.written import WrittenPolicy, token_estimate
from baserate.labels.render import UnitContent
from baserate.terms.errors import LabelError
from baserate.terms.programme import Policy
from baserate.terms.programme_labelers import OpenAIJudge
from baserate.terms.words import LabelerKind, NoLabelReason

_NOT_IN_FORM = "answers that are not in the form asked for"
_ASKS = 3
_TOKENS_PER_LABEL = 40


class _Settled(NamedTuple):
    """What came of one question: an answer per policy, and why some of it failed, if it did."""

    answers: dict[str, CachedAnswer]
    failure: str | None = None


class ChatJudge:
    """Asks an LLM about one unit at a time, under one policy or, with unified calls, under all.

    Every settled answer is kept on disk at once, under a key of what was asked, by whom and
    under which policy: a killed run resumes, and nothing that is kept is paid for twice. A
    refusal and an answer cut off are settled too; an endpoint's failure and an unreadable
    answer are not, and are asked again by the next run. A unified call's answers are kept policy
    by policy: one that is missing is asked again, those that were given stay.

    Args:
        config: Endpoint, model, parameters.
        cache: Where answers are kept.
        images_below: Folder below which images may be read, where ``config.images`` is set.
        policies: The programme's policies, which unified calls ask about.
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
        policies: Sequence[Policy] = (),
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
        self._unified = tuple(policies) if config.calls == "unified" else ()
        self._documents = dict(documents or {})
        self._preprocessing = PREPROCESSING if kept_as is None else f"{kept_as}; {OF_KEPT}"
        self._rng = rng or random.Random(self.version)
        self._backoff_seconds = backoff_seconds
        self._breaker = Breaker(config.concurrency)
        self._dialect = Dialect()
        self._together: dict[str, CachedAnswer | None] = {}
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
        if self._config.calls == "unified":
            parameters["calls"] = "unified"
        if self._config.confidence != "stated":
            parameters["confidence"] = self._config.confidence
        asked_for = exact_schema(ANSWER_SCHEMA, ["p1.1"])
        return digest_of([template_digest(), asked_for, parameters])[:16]

    def version_for(self, policy: Policy) -> str:
        """Digest of the judge and of what it is asked about: with unified calls, every policy."""
        return self._asking(policy).version(self.version)

    def label(self, units: Sequence[UnitContent], policy: Policy) -> Iterator[UnitVerdicts]:
        """Label units for one policy: what is kept first, then answers as they arrive.

        A unified call's answers under the other policies wait until those are asked for.

        Raises: LabelError if the endpoint is down or refuses all work; answers so far are kept.
        """
        asking = self._asking(policy)
        questions, unseen = self._questions(units, asking)
        for unit in unseen:
            yield self._settled(unit, NoLabelReason.CANNOT_DECIDE)
        self._cache.asked(
            (u.interaction_id, key) for q in questions for u in q.units for key in q.keys.values()
        )
        kept = self._cache.get(q.keys[policy.id] for q in questions)
        open_ = []
        for question in questions:
            key = question.keys[policy.id]
            answer = kept.get(key)
            if key in self._together:
                answer = self._together.pop(key) or answer
                self.usage.together += len(question.units)
            elif answer is not None:
                self.usage.add_kept(answer.tokens, len(question.units))
            if answer is None:
                open_.append(question)
            else:
                yield from self._answers(question, answer)
        if not open_:
            return
        beside = self._cache.get(k for q in open_ for p, k in q.keys.items() if p != policy.id)
        for question in open_:
            question.wanted.extend(p for p, key in question.keys.items() if key not in beside)
        headers = self._headers()
        for question, answers in in_step(lambda: self._ask_all(open_, asking, headers)):
            self.usage.shared += len(question.units) - 1
            for other in answers.keys() - {policy.id}:
                answer = answers[other]
                self._together[question.keys[other]] = None if is_kept(answer.outcome) else answer
            yield from self._answers(question, answers[policy.id])

    def estimate(self, units: Sequence[UnitContent], policies: Sequence[Policy]) -> Bill:
        """What labelling would cost, without asking anything."""
        pairs = calls = asked = said = 0
        standing = [u for u in units if not u.is_gone]
        for asking, wanted in self._calls(policies):
            questions, _ = self._questions(standing, asking)
            kept = self._cache.get(q.keys[p] for q in questions for p in wanted)
            open_ = [q for q in questions if any(q.keys[p] not in kept for p in wanted)]
            pairs += len(wanted) * sum(len(q.units) for q in questions)
            calls += len(open_)
            for prompt in (question.prompt() for question in open_):
                asked += token_estimate(words_of(prompt))
                told = _TOKENS_PER_LABEL * (len(prompt.parts) + 1)
                said += len(asking.policies) * min(told, self._config.max_tokens)
        price = Usage(self._config.price_per_1k_input, self._config.price_per_1k_output)
        price.add_tokens(Tokens(asked, said))
        return Bill(pairs, calls, asked, said, price.cost)

    def spent_per_unit(
        self, units: Sequence[UnitContent], policies: Sequence[Policy]
    ) -> Spent | None:
        """What one of these units took under all policies, by the answers kept.

        None where no answer is kept under one of the policies. The tokens of a unified call are
        shared out equally among the policies that it settled, so that sums are exact.
        """
        total = Spent()
        standing = [u for u in units if not u.is_gone]
        for asking, wanted in self._calls(policies):
            questions, _ = self._questions(standing, asking)
            total += Spent(calls=len(wanted) / len(asking.policies))
            for policy in wanted:
                kept = self._cache.get(q.keys[policy] for q in questions)
                asked = sum(len(q.units) for q in questions if q.keys[policy] in kept)
                if not asked:
                    return None
                price = Usage(self._config.price_per_1k_input, self._config.price_per_1k_output)
                for answer in kept.values():
                    price.add_tokens(answer.tokens)
                tokens = price.tokens
                total += Spent(
                    0.0, tokens.prompt / asked, tokens.completion / asked, price.cost / asked
                )
        return total

    def close(self) -> None:
        """Close the cache."""
        self._cache.close()

    def _asking(self, policy: Policy) -> Asking:
        """What a call asks about that is made for a policy, in the wording given."""
        if self._config.calls == "one_policy":
            return Asking((policy,), self._documents)
        policies = [policy if p.id == policy.id else p for p in self._unified]
        policies += [] if policy in policies else [policy]
        return Asking(tuple(policies), self._documents, unified=True)

    def _calls(self, policies: Sequence[Policy]) -> list[tuple[Asking, list[str]]]:
        """Kinds of calls that some policies take, each with those of the policies that it serves.

        Calls of one kind are the same whichever of the policies they are made for.
        """
        kinds: dict[str, tuple[Asking, list[str]]] = {}
        for policy in policies:
            asking = self._asking(policy)
            kinds.setdefault(asking.version(self.version), (asking, []))[1].append(policy.id)
        return list(kinds.values())

    def _questions(
        self, units: Sequence[UnitContent], asking: Asking
    ) -> tuple[list[Question], list[UnitContent]]:
        """Questions in order, and units of which this judge can see nothing."""
        version = asking.version(self.version)
        questions: dict[str, Question] = {}
        unseen = []
        for unit in units:
            seen = unit.clipped(self._config.max_chars)
            images = readable_images(seen, self._images_below) if self._config.images else NO_IMAGES
            if not visible_subjects(seen, images):
                unseen.append(unit)
                continue
            asked = [self._config.base_url, version, seen.seen_digest, images.identities()]
            question = Question(asking, asking.keys(asked), seen, images, version)
            same = questions.setdefault(next(iter(question.keys.values())), question)
            same.units.append(unit)
        return list(questions.values()), unseen

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
        questions: Sequence[Question],
        asking: Asking,
        headers: Mapping[str, str],
    ) -> AsyncGenerator[tuple[Question, dict[str, CachedAnswer]]]:
        longest = self._config.max_tokens * len(asking.policies)
        config = self._config.model_copy(update={"max_tokens": longest})
        async with Lanes(config.base_url, headers, config.timeout_seconds) as lanes:
            client = ChatClient(
                lanes,
                config,
                schema=asking.schema,
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

    async def _ask(
        self, client: ChatClient, question: Question
    ) -> tuple[Question, dict[str, CachedAnswer]]:
        """Ask until settled, keep what is settled, watch for an endpoint that is down.

        Returns: the question and its answers under the policies wanted.
        """
        answers, failure = await self._settle(client, question)
        if self._keep(question, answers) or failure is None:
            self._breaker.answered()
        else:
            self._breaker.failed(failure)
        return question, answers

    def _keep(self, question: Question, answers: Mapping[str, CachedAnswer]) -> bool:
        """Keep the answers that settle something. Returns: whether there was one."""
        settled = {question.keys[p]: a for p, a in answers.items() if is_kept(a.outcome)}
        self._cache.put(settled)
        return bool(settled)

    async def _settle(self, client: ChatClient, question: Question) -> _Settled:
        """Ask again while one of the policies has no valid answer; those that were given stay."""
        paid, prompt, wanted = NO_TOKENS, question.prompt(), question.wanted
        read: dict[str, Answer] = {}
        reason, failure = NoLabelReason.INVALID_OUTPUT, _NOT_IN_FORM
        for again in range(_ASKS):
            self.usage.asked_again += again > 0
            try:
                reply = await client.ask(prompt, looser=again)
            except CallFailed as failed:
                reason, failure = failed.reason, failed.what
                break
            except LabelError:
                self._keep(question, shared_out(dict.fromkeys(read, ANSWERED), read, paid))
                raise
            paid += reply.tokens
            if isinstance(reply, Declined):
                reason = reply.reason
                break
            found = question.asking.read(self._graded(reply), prompt.parts)
            read = {p: a for p, a in found.items() if p in wanted} | read
            if len(read) == len(wanted):
                break
        outcomes = {p: ANSWERED if p in read else str(reason) for p in wanted}
        for answer in read.values():
            self._count(answer)
        return _Settled(
            shared_out(outcomes, read, paid),
            None if all(map(is_kept, outcomes.values())) else failure,
        )

    def _count(self, answer: Answer) -> None:
        self.usage.unknown_ids += answer.unknown_ids
        self.usage.missing_parts += answer.missing
        self.usage.contradictions += answer.contradictions
        self.usage.uncited += answer.uncited

    def _graded(self, said: Said) -> str:
        """The answer, with probabilities from its tokens where that is what was asked for."""
        if self._config.confidence == "stated":
            return said.text
        graded, ungraded = with_token_probabilities(said.text, said.logprobs)
        self.usage.ungraded += ungraded
        return graded

    def _answers(self, question: Question, answer: CachedAnswer) -> Iterator[UnitVerdicts]:
        """One answer as verdicts on every unit with the same content."""
        for unit in question.units:
            if answer.outcome != ANSWERED:
                yield self._settled(unit, NoLabelReason(answer.outcome))
                continue
            self.usage.outcomes[ANSWERED] += 1
            said = dict.fromkeys(unit.keys, no_label(NoLabelReason.CANNOT_DECIDE))
            yield UnitVerdicts(unit.interaction_id, said | verdicts_of(answer.labels))

    def _settled(self, unit: UnitContent, reason: NoLabelReason) -> UnitVerdicts:
        self.usage.outcomes[str(reason)] += 1
        return without_label(unit, reason)
