"""Reading what an endpoint sent back: an answer, a refusal, or an error and what it means.

Error messages of endpoints may repeat what was sent to them. They are read here, to tell one
failure from another, and never passed on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx

from baserate.labels.judges.usage import NO_TOKENS, Tokens
from baserate.terms.errors import LabelError
from baserate.terms.words import NoLabelReason

_TRANSIENT = frozenset({408, 409, 425, 429})
_SHORT_NAME = re.compile(r"[A-Za-z0-9_.:@\-]{1,80}\Z")
_FILTERED = re.compile(r"content[_ ](filter|policy|management)|moderation|flagged", re.IGNORECASE)
_NO_IMAGES = re.compile(r"(image|vision|multimodal).{0,40}not supported", re.IGNORECASE)
_TOO_LONG = re.compile(
    r"context[_ ](length|size|window)|(prompt|input) is too long|reduce the length", re.IGNORECASE
)


@dataclass(frozen=True)
class Said:
    """The model answered.

    Args:
        text: What it wrote.
        tokens: What the answer cost.
        model: The model that the endpoint says gave it; empty where it does not say.
        logprobs: Token by token what else might have been written, as sent; empty where it was
            not asked for or not given.
    """

    text: str
    tokens: Tokens = NO_TOKENS
    model: str = ""
    logprobs: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Declined:
    """The model, or a filter before it, settled that there will be no answer."""

    reason: NoLabelReason
    tokens: Tokens = NO_TOKENS
    model: str = ""


class CallFailed(Exception):
    """One question got no answer, after every try that could help.

    Args:
        reason: Why, as its labels will say.
        what: Short name of the failure, for the message if the whole endpoint is down.
    """

    def __init__(self, reason: NoLabelReason, what: str) -> None:
        super().__init__(what)
        self.reason = reason
        self.what = what


class MayPass(Exception):
    """A failure that may pass; ``wait`` is what the server asked for, in seconds."""

    def __init__(self, reason: NoLabelReason, what: str, wait: float | None = None) -> None:
        super().__init__(what)
        self.failed = CallFailed(reason, what)
        self.wait = wait


def read_reply(response: httpx.Response) -> tuple[Said | Declined, bool]:
    """The reply in a response that is no rejected request, and whether its tokens were counted.

    Raises: MayPass where another try may help; LabelError where no question can be answered.
    """
    if response.status_code == HTTPStatus.OK:
        return _read_completion(response)
    error = EndpointError.of(response)
    if error.sees_nothing():
        raise error.as_label_error(BLIND)
    if response.status_code in _TRANSIENT or response.is_server_error:
        if error.code == "insufficient_quota":
            raise error.as_label_error()
        raise MayPass(NoLabelReason.ENDPOINT_FAILED, error.name(), _told_wait(response))
    if response.status_code == HTTPStatus.FORBIDDEN and error.is_filter():
        return Declined(NoLabelReason.REFUSED), True
    raise error.as_label_error()


def _read_completion(response: httpx.Response) -> tuple[Said | Declined, bool]:
    body = _json(response)
    counted = _tokens(body.get("usage"))
    paid = counted or NO_TOKENS
    try:
        choice = body["choices"][0]
        message = choice["message"]
        finish = str(choice.get("finish_reason") or "")
        text, refusal = message.get("content"), message.get("refusal")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise MayPass(NoLabelReason.INVALID_OUTPUT, "no completion in the answer") from None
    metered = counted is not None
    model = _model(body.get("model"))
    if refusal or finish.startswith("content_filter"):
        return Declined(NoLabelReason.REFUSED, paid, model), metered
    if finish == "length":
        return Declined(NoLabelReason.TRUNCATED, paid, model), metered
    return Said(_joined(text), paid, model, _logprobs(choice.get("logprobs"))), metered


@dataclass(frozen=True)
class EndpointError:
    """An error answer: status, code, type, and a message that is read but never shown."""

    status: int
    code: str
    type: str
    message: str

    @staticmethod
    def of(response: httpx.Response) -> EndpointError:
        """The error in a response, whatever shape the server gives it."""
        try:
            body = _json(response)
        except MayPass:
            body = {}
        error = body.get("error", body)
        if not isinstance(error, dict):
            return EndpointError(response.status_code, "", "", str(error))
        code, type_, message = (str(error.get(k) or "") for k in ("code", "type", "message"))
        return EndpointError(response.status_code, code, type_, message)

    def is_filter(self) -> bool:
        """True where a content filter stopped the question."""
        return any(_FILTERED.search(t) for t in (self.code, self.type, self.message))

    def declined(self) -> Declined | None:
        """What a rejected question means for its unit; None where the request is at fault."""
        too_long = any(_TOO_LONG.search(t) for t in (self.code, self.type, self.message))
        if too_long or self.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return Declined(NoLabelReason.TRUNCATED)
        return Declined(NoLabelReason.REFUSED) if self.is_filter() else None

    def wants_other_token_limit(self) -> bool:
        """True where the server has another name for the longest answer."""
        return "max_completion_tokens" in self.message

    def sees_nothing(self) -> bool:
        """True where the model can't be shown images, whatever the status says."""
        return _NO_IMAGES.search(self.message) is not None

    def gives_no_logprobs(self) -> bool:
        """True where the request was rejected for asking for log-probabilities."""
        return "logprobs" in self.message

    def name(self) -> str:
        """Status and code, never free text."""
        short = next((t for t in (self.code, self.type) if _SHORT_NAME.match(t)), "")
        return f"HTTP {self.status} {short}".strip()

    def as_label_error(self, hint: str | None = None) -> LabelError:
        """The error where it holds for every question."""
        return LabelError(
            "the judge's endpoint answers no question",
            code="judge_endpoint",
            where="judge.base_url",
            got=self.name(),
            hint=hint or _HINTS.get(self.status, _ADDRESS),
        )


_ADDRESS = "check that judge.base_url is the address up to /v1 of a chat endpoint"
#: What to do where the model can't be shown images.
BLIND = "the model can't see: set judge.images to false, or name a model that can be shown images"
_HINTS = {
    401: "the key was not accepted: check the environment variable named in judge.api_key_env",
    402: "the account has no credit left; answers so far are kept, run the command again later",
    403: "the key may not use this model: check judge.model and the key's rights",
    404: "no such address or model: check judge.base_url (up to /v1) and judge.model",
    429: "the account's quota is used up; answers so far are kept, run the command again later",
}


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise MayPass(NoLabelReason.INVALID_OUTPUT, "an answer that is not JSON")
    return body


def _tokens(usage: object) -> Tokens | None:
    """Token counts of an answer; None where the endpoint does not count."""
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(prompt, int) or not isinstance(completion, int):
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return Tokens(prompt, completion, cached if isinstance(cached, int) else 0)


def _model(name: object) -> str:
    """The model's name without the folders of a file's path; empty where it is no name."""
    short = name.replace("\\", "/").rpartition("/")[2] if isinstance(name, str) else ""
    return short if _SHORT_NAME.match(short) else ""


def _logprobs(value: object) -> tuple[Mapping[str, Any], ...]:
    content = value.get("content") if isinstance(value, dict) else None
    tokens = content if isinstance(content, list) else []
    return tuple(t for t in tokens if isinstance(t, dict))


def _joined(content: object) -> str:
    """The text of a message: a string, or parts of which some are text."""
    if isinstance(content, list):
        texts = [c.get("text") for c in content if isinstance(c, dict)]
        return "".join(t for t in texts if isinstance(t, str))
    return content if isinstance(content, str) else ""


def _told_wait(response: httpx.Response) -> float | None:
    """Seconds that Retry-After asks for: a number or a date; None where it asks for nothing."""
    told = response.headers.get("retry-after")
    if told is None:
        return None
    try:
        return max(0.0, float(told))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(told).timestamp() - time.time())
    except ValueError:
        return None
