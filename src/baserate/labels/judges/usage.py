"""What a judge's run cost: calls, tokens, money, and what went wrong on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol


class Tokens(NamedTuple):
    """Tokens of questions and of answers, as the endpoint counted them.

    ``cached`` are those of ``prompt`` that the endpoint had read before and took from its memory.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0

    def __add__(self, other: object) -> Tokens:
        """Both together."""
        if not isinstance(other, Tokens):
            return NotImplemented
        return Tokens(*(a + b for a, b in zip(self, other, strict=True)))

    def shared_out(self, n: int) -> list[Tokens]:
        """Equal parts that add up to exactly these tokens: the first parts take what is odd."""
        prompt, completion = (
            [whole // n + (k < whole % n) for k in range(n)]
            for whole in (self.prompt, self.completion)
        )
        return [Tokens(*both) for both in zip(prompt, completion, strict=True)]


NO_TOKENS = Tokens()


@dataclass
class Usage:
    """Running account of one judge.

    Attributes:
        price_per_1k_input: Price of 1,000 tokens of questions.
        price_per_1k_output: Price of 1,000 tokens of answers.
        calls: Requests sent, tries included.
        retries: Requests sent again after a failure.
        asked_again: Requests sent again because the answer could not be read.
        from_cache: Unit-policy pairs answered by an earlier run: they cost nothing now.
        shared: Unit-policy pairs answered by another unit's answer: their content is the same.
        together: Unit-policy pairs answered by this run's call for another policy of the unit.
        unknown_ids: Parts answered that were not asked about.
        missing_parts: Parts asked about that were not answered.
        uncited: Violating labels that rest on no clause of the written policy.
        contradictions: Probabilities dropped because they contradicted their verdict.
        unmetered_calls: Answers without a token count: their cost is not in ``cost``.
        tokens: Tokens paid for by this run.
        tokens_before: Tokens paid for by earlier runs for the answers taken from the cache.
        outcomes: Unit-policy pairs by outcome: ``answered`` or a NoLabelReason.
        models: Answers by the model that the endpoint says gave them.
        ungraded: Labels whose log-probabilities told no probability.
    """

    price_per_1k_input: float = 0.0
    price_per_1k_output: float = 0.0
    calls: int = 0
    retries: int = 0
    asked_again: int = 0
    from_cache: int = 0
    shared: int = 0
    together: int = 0
    unknown_ids: int = 0
    missing_parts: int = 0
    uncited: int = 0
    contradictions: int = 0
    unmetered_calls: int = 0
    tokens: Tokens = NO_TOKENS
    tokens_before: Tokens = NO_TOKENS
    outcomes: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    ungraded: int = 0

    @property
    def cost(self) -> float:
        """Price of this run, in the unit of the configured prices."""
        return self._price(self.tokens)

    @property
    def cost_before(self) -> float:
        """What earlier runs paid for the answers taken from the cache."""
        return self._price(self.tokens_before)

    def add_tokens(self, tokens: Tokens | None) -> None:
        """Count one answer's tokens; None where the endpoint does not say."""
        if tokens is None:
            self.unmetered_calls += 1
        else:
            self.tokens += tokens

    def add_kept(self, tokens: Tokens, pairs: int) -> None:
        """Count an answer that an earlier run paid for."""
        self.from_cache += pairs
        self.tokens_before += tokens

    def as_dict(self) -> dict[str, Any]:
        """The account as plain values."""
        counts = (
            "calls", "retries", "asked_again", "from_cache", "shared", "together", "ungraded",
            "unknown_ids", "missing_parts", "uncited", "contradictions", "unmetered_calls",
        )  # fmt: skip
        return {
            **{name: getattr(self, name) for name in counts},
            "prompt_tokens": self.tokens.prompt,
            "cached_prompt_tokens": self.tokens.cached,
            "completion_tokens": self.tokens.completion,
            "cost": self.cost,
            "cost_before": self.cost_before,
            "outcomes": dict(self.outcomes),
            "models": dict(self.models),
        }

    def _price(self, tokens: Tokens) -> float:
        asked = tokens.prompt * self.price_per_1k_input
        return (asked + tokens.completion * self.price_per_1k_output) / 1000.0


class Account(Protocol):
    """What was asked and paid, of one judge or several."""

    def as_dict(self) -> dict[str, Any]:
        """The account as plain values."""
        ...


@dataclass(frozen=True)
class SharedAccount:
    """The accounts of several judges added up.

    Args:
        parts: Account by the judge's name.
    """

    parts: Mapping[str, Account]

    def as_dict(self) -> dict[str, Any]:
        """The sums as plain values, with each judge's own under ``members``."""
        members = {name: part.as_dict() for name, part in self.parts.items()}
        total = Usage().as_dict()
        for told in members.values():
            for name, value in told.items():
                if isinstance(value, dict):
                    total[name] = dict(Counter(total[name]) + Counter(value))
                else:
                    total[name] += value
        return total | {"members": members}


class Spent(NamedTuple):
    """What labelling one unit under all policies takes, on average over answers paid for.

    Attributes:
        calls: Calls.
        prompt_tokens: Tokens of the questions.
        completion_tokens: Tokens of the answers.
        cost: Their price.
    """

    calls: float = 0.0
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0
    cost: float = 0.0

    def __add__(self, other: object) -> Spent:
        """Both together."""
        if not isinstance(other, Spent):
            return NotImplemented
        return Spent(*(a + b for a, b in zip(self, other, strict=True)))


@dataclass(frozen=True)
class Bill:
    """What a run would cost, before it is run.

    Args:
        pairs: Unit-policy pairs to label.
        calls: Questions to ask: pairs less those kept from earlier runs or equal in content.
        prompt_tokens: Tokens of the questions, at one token per four bytes; images not counted.
        completion_tokens: Tokens of the answers, at 40 per part and 40 for the whole.
        cost: Their price.
    """

    pairs: int
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float
