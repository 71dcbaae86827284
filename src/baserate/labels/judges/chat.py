"""A patient client for OpenAI-compatible chat completions.

Servers differ in what they accept and fail in many ways. This page knows both: it negotiates
the answer's format, waits as it is told to, tries again where that can help, and says at once
where it can't. Nothing that was sent or received is logged or put into an error.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from baserate.labels.judges.answer import exact_schema
from baserate.labels.judges.lanes import Lanes
from baserate.labels.judges.pace import BUDGET_SPENT
from baserate.labels.judges.prompt import Prompt
from baserate.labels.judges.replies import (
    BLIND,
    CallFailed,
    Declined,
    EndpointError,
    MayPass,
    Said,
    read_reply,
)
from baserate.labels.judges.usage import Usage
from baserate.terms.errors import LabelError
from baserate.terms.programme_labelers import OpenAIJudge
from baserate.terms.words import NoLabelReason

#: Answer formats from the strictest to none; ``exact_schema`` is the schema of the very question.
FORMATS = ("exact_schema", "json_schema", "json_object", "plain")
_JSON_SCHEMA = FORMATS.index("json_schema")
_ALTERNATIVES = 10
_NO_LOGPROBS = "the endpoint gives no log-probabilities: set judge.confidence to stated"
_LONGEST_BACKOFF_SECONDS = 30.0
_LONGEST_TOLD_WAIT_SECONDS = 120.0
_REJECTED = frozenset({400, 413, 422})


@dataclass
class Dialect:
    """What an endpoint accepts, learnt on the way: ``level`` indexes FORMATS."""

    level: int = 0
    token_limit: str = "max_tokens"


class ChatClient:
    """Asks one endpoint, with retries; remembers what the endpoint accepts.

    Args:
        lanes: Connections to the endpoint.
        config: Model, parameters, patience.
        schema: JSON Schema of the answer to any question.
        usage: Account that every call is booked on.
        rng: Draws the jitter of waiting times.
        backoff_seconds: First wait where the server asks for none; doubles each time.
        dialect: What the endpoint accepts, shared between clients of one judge.
    """

    def __init__(
        self,
        lanes: Lanes,
        config: OpenAIJudge,
        *,
        schema: Mapping[str, Any],
        usage: Usage,
        rng: random.Random,
        backoff_seconds: float,
        dialect: Dialect,
    ) -> None:
        self._lanes = lanes
        self._config = config
        self._schema = schema
        self._usage = usage
        self._rng = rng
        self._backoff_seconds = backoff_seconds
        self._dialect = dialect
        self._not_before = 0.0

    async def ask(self, prompt: Prompt, *, looser: int = 0) -> Said | Declined:
        """Ask once, trying again where that can help.

        Args:
            prompt: What is asked.
            looser: Formats to skip from the strictest that the endpoint accepts; both kinds of
                schema are one.
        Raises: CallFailed if there is no answer; LabelError if no question can be answered.
        """
        for attempt in range(self._config.max_retries + 1):
            await self._until_allowed()
            self._within_budget()
            try:
                return await self._negotiated(prompt, looser)
            except MayPass as failure:
                told_too_long = (failure.wait or 0.0) > _LONGEST_TOLD_WAIT_SECONDS
                if attempt == self._config.max_retries or told_too_long:
                    raise failure.failed from None
                self._usage.retries += 1
                await self._pause(attempt, failure.wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _within_budget(self) -> None:
        """Raises: LabelError where the run has spent its budget, or can't tell what it spends."""
        budget, usage = self._config.max_cost, self._usage
        if budget is None:
            return
        if usage.unmetered_calls:
            raise LabelError(
                "the endpoint does not count tokens, so that no budget can be kept",
                code="judge_unmetered",
                where="judge.max_cost",
                hint="take max_cost away, or ask the endpoint to report usage",
            )
        if usage.cost >= budget:
            raise LabelError(
                "the judge's budget for one run is spent",
                code=BUDGET_SPENT,
                where="judge.max_cost",
                expected=f"at most {budget:g}",
                got=f"{usage.cost:.4g} in {usage.calls:,} calls",
                hint="answers so far are kept: run the command again to go on with a new budget, "
                "or raise it",
            )

    async def _until_allowed(self) -> None:
        while (wait := self._not_before - time.monotonic()) > 0:
            await asyncio.sleep(wait)

    async def _pause(self, attempt: int, told: float | None) -> None:
        """Wait as told, all calls together; else longer each time, each call on its own."""
        if told is not None:
            self._not_before = max(self._not_before, time.monotonic() + told)
            return
        longest = min(self._backoff_seconds * 2.0**attempt, _LONGEST_BACKOFF_SECONDS)
        await asyncio.sleep(longest * self._rng.uniform(0.5, 1.0))

    async def _negotiated(self, prompt: Prompt, looser: int) -> Said | Declined:
        """The first format that is not rejected, and is remembered once it has worked."""
        level = self._dialect.level
        if looser:
            level = min(max(level, _JSON_SCHEMA) + looser, len(FORMATS) - 1)
        while True:
            old_name = self._dialect.token_limit
            response = await self._post(prompt, FORMATS[level])
            if response.status_code not in _REJECTED:
                reply, metered = read_reply(response)
                self._usage.add_tokens(reply.tokens if metered else None)
                if reply.model:
                    self._usage.models[reply.model] += 1
                if not looser:
                    self._dialect.level = max(self._dialect.level, level)
                return reply
            error = EndpointError.of(response)
            if (declined := error.declined()) is not None:
                return declined
            if error.sees_nothing():
                raise error.as_label_error(BLIND)
            if self._config.confidence == "logprobs" and error.gives_no_logprobs():
                raise error.as_label_error(_NO_LOGPROBS)
            if error.wants_other_token_limit() and old_name == "max_tokens":
                self._dialect.token_limit = "max_completion_tokens"
            elif level + 1 < len(FORMATS):
                level += 1
            else:
                raise CallFailed(NoLabelReason.ENDPOINT_FAILED, error.name())

    async def _post(self, prompt: Prompt, answer_format: str) -> httpx.Response:
        config = self._config
        body: dict[str, object] = {
            "model": config.model,
            "messages": list(prompt.messages),
            "temperature": config.temperature,
            self._dialect.token_limit: config.max_tokens,
        }
        if config.confidence == "logprobs":
            body |= {"logprobs": True, "top_logprobs": _ALTERNATIVES}
        if answer_format == "json_object":
            body["response_format"] = {"type": "json_object"}
        elif answer_format != "plain":
            schema = self._schema
            if answer_format == "exact_schema":
                schema = exact_schema(schema, prompt.parts)
            named = {"name": "labels", "strict": True, "schema": schema}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        self._usage.calls += 1
        try:
            async with asyncio.timeout(config.timeout_seconds), self._lanes.free() as http:
                return await http.post("chat/completions", json=body)
        except (TimeoutError, httpx.TimeoutException):
            raise MayPass(NoLabelReason.ENDPOINT_FAILED, "timeout") from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise MayPass(NoLabelReason.ENDPOINT_FAILED, type(error).__name__) from None
