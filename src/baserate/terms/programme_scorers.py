"""The section ``scorers``: machines that make risk scores where a site has none."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from baserate.terms.programme_section import Section


class TextScorer(Section):
    """A text classifier fitted on labelled texts: scores queries, responses and Pins."""

    kind: Literal["text"]
    training: str
    """Parquet, CSV or JSONL with columns text, policy, violating (true/false)."""
    policies: tuple[str, ...] = ()
    """Policies it scores; none named: all of the programme."""


class ImageScorer(Section):
    """The open_nsfw network: how likely a Pin's picture shows nudity or sex."""

    kind: Literal["image"]
    policy: str
    """The policy that its score speaks of."""


class PackageScorer(Section):
    """A scorer that an installed package brings (entry-point group `baserate.scorers`)."""

    kind: Literal["package"]
    name: str
    """Name of the entry point."""
    options: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """What the package is told."""


AnyScorer = Annotated[TextScorer | ImageScorer | PackageScorer, Field(discriminator="kind")]
