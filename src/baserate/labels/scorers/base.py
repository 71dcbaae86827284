"""What a scorer is: a batch of material in, a number in [0, 1] per policy out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from baserate.stats.arrays import Array

Reads = Literal["text", "image", "both"]


class Material(NamedTuple):
    """What is scored: of a query or response its text, of a Pin its text and its picture.

    Attributes:
        text: Its texts, one under another; None where there is none or the scorer reads none.
        image: A JPEG file; None where there is none or the scorer sees none.
    """

    text: str | None
    image: bytes | None


class Scorer(Protocol):
    """A machine that scores. Two scorers that may say different things differ in version."""

    @property
    def policies(self) -> tuple[str, ...]:
        """Policies that it scores."""
        ...

    @property
    def reads(self) -> Reads:
        """What it looks at. Material with nothing of it is not given to it."""
        ...

    @property
    def version(self) -> str:
        """Its name and a digest of all that makes its scores, at most 60 characters."""
        ...

    def score(self, batch: Sequence[Material]) -> Array:
        """Risk of each piece under each policy, shape (pieces, policies), in [0, 1].

        NaN where it cannot say. The same material gets the same score in any batch.
        """
        ...
