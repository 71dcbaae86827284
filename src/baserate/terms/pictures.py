"""A picture as judges and reviewers meet it: kept at sampling time, or gone and why."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from baserate.terms.words import ImageStatus

#: References longer than this (pictures written into the reference itself) are named by digest.
_LONGEST_REFERENCE = 2_048


@dataclass(frozen=True)
class Picture:
    """What became of one reference.

    Args:
        status: ``kept``, or what stood in the way.
        digest: sha256 of the file where it was kept.
        group: Pictures of one group look alike.
        view: JPEG file that judges and reviewers are shown; None where nothing is left.
        thumbnail: Small JPEG file; None where nothing is left.
    """

    status: ImageStatus
    digest: str | None = None
    group: str | None = None
    view: Path | None = None
    thumbnail: Path | None = None

    @property
    def is_shown(self) -> bool:
        """Whether there is something to see."""
        return self.view is not None


def reference_key(reference: str) -> str:
    """How tables name a reference: itself, or its digest where it is very long."""
    if len(reference) <= _LONGEST_REFERENCE:
        return reference
    return f"sha256:{hashlib.sha256(reference.encode(errors='surrogatepass')).hexdigest()}"
