"""The sections ``judge``, ``candidates`` and ``reviews``: who labels, machines and people."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from baserate.terms.programme_faults import Fault, refuse
from baserate.terms.programme_section import Identifier, Section


class LocalJudge(Section):
    """A judge that needs no network: a text classifier fitted on labelled texts."""

    kind: Literal["local"]
    training: str
    """Parquet, CSV or JSONL with columns text, policy, violating (true/false)."""
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Probability from which a text is called violating."""


class OpenAIJudge(Section):
    """An LLM behind an OpenAI-compatible chat-completions endpoint."""

    kind: Literal["openai"]
    base_url: str
    """Address of the endpoint up to /v1."""
    model: str
    """Name of the model."""
    api_key_env: str | None = None
    """Environment variable that holds the key."""
    calls: Literal["one_policy", "unified"] = "one_policy"
    """What one call asks about. `one_policy`: a unit under one policy. `unified`: a unit under all
    policies at once, which costs less; measured by only once `baserate judge equivalence` has
    shown on gold that the verdicts are as good. Another wording of one policy is then another
    version of the judge under every policy, to be shown again."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Sampling temperature."""
    max_tokens: Annotated[int, Field(ge=16)] = 2_000
    """Longest answer, in tokens, for each policy that a call asks about. An answer takes about 40
    per query, response and Pin; a unit whose answer does not fit has no label."""
    max_chars: Annotated[int, Field(ge=200)] = 12_000
    """Longest text of one part shown to the judge; the middle of a longer one is left out and
    marked."""
    confidence: Literal["stated", "logprobs"] = "stated"
    """Where the probability of a label comes from: `stated` is the number that the model writes
    down; `logprobs` is taken from the log-probabilities of the verdict's own token, which the
    endpoint must give."""
    images: bool = False
    """Show images too: those kept by section images; without it data addresses, and files below
    the folder of the programme file. The model must be able to see."""
    concurrency: Annotated[int, Field(ge=1, le=256)] = 8
    """Calls at once."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Longest wait for one call."""
    max_retries: Annotated[int, Field(ge=0, le=20)] = 5
    """Tries after the first where the endpoint fails or is busy."""
    price_per_1k_input: Annotated[float, Field(ge=0)] = 0.0
    """Price of 1,000 input tokens, for the bill."""
    price_per_1k_output: Annotated[float, Field(ge=0)] = 0.0
    """Price of 1,000 output tokens, for the bill."""
    max_cost: Annotated[float, Field(gt=0)] | None = None
    """Most that one run may spend, in the unit of the prices: once it is reached nothing more is
    asked, and all answers so far are kept. The calls under way are finished. Needs prices."""
    max_flip_rate: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Share of verdicts that instructions planted in the content may move, as `baserate judge
    probe` measures it; above it, or unmeasured, a release is held. Not given: not asked."""

    @model_validator(mode="after")
    def _a_budget_has_prices(self) -> OpenAIJudge:
        if self.max_cost is not None and self.price_per_1k_input + self.price_per_1k_output == 0.0:
            refuse(
                [
                    Fault(
                        ("max_cost",),
                        "a budget without prices is never spent",
                        expected="price_per_1k_input and price_per_1k_output",
                        hint="give the prices of the model",
                    )
                ]
            )
        return self


class PanelJudge(Section):
    """Several judges whose verdicts become one."""

    kind: Literal["panel"]
    members: Annotated[tuple[Identifier, ...], Field(min_length=2)]
    """Names of judges under `candidates`. An odd number has fewer ties."""
    vote: Literal["majority", "mean"] = "majority"
    """`majority`: the verdict that most members gave, `unsure` where two are level. `mean`:
    violating where the mean of their probabilities is one half or more. The confidence is that
    mean in both cases; a member that gives none counts as its bare verdict."""
    quorum: Annotated[int, Field(ge=1)] | None = None
    """Fewest members with a verdict on a subject; with fewer it has no label. Not given: more than
    half of the members. A member that is down altogether stops the run."""
    max_flip_rate: Annotated[float, Field(ge=0, lt=1)] | None = None
    """As for a judge alone: share of the panel's verdicts that planted instructions may move."""

    @property
    def least_votes(self) -> int:
        """The quorum, or more than half of the members."""
        return self.quorum or len(self.members) // 2 + 1


class AnchorQuestions(Section):
    """Anchors that are mixed into work lists, so that a reviewer's drift can be seen."""

    set: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
    """Name of a frozen set: `baserate gold anchor` makes one."""
    per_day: Annotated[int, Field(ge=1, le=1000)] = 6
    """Anchors mixed into each day's work list, about."""


class FileReviews(Section):
    """People's labels arrive as files."""

    kind: Literal["files"]
    path: str
    """CSV, JSONL or Parquet; `{ds}` stands for the day. May not exist yet."""
    anchors: AnchorQuestions | None = None
    """Anchors mixed into the work lists of days to come. Default: none."""


class LookupReviews(Section):
    """People's verdicts already exist in a table: for backtests and replays."""

    kind: Literal["lookup"]
    path: str
    """Parquet with the columns of an import file; `{ds}` stands for the day."""
    absent_means: Literal["not_violating", "no_label"] = "no_label"
    """What a subject that is not in the table was found to be."""


Judge = Annotated[LocalJudge | OpenAIJudge | PanelJudge, Field(discriminator="kind")]
Reviews = Annotated[FileReviews | LookupReviews, Field(discriminator="kind")]
