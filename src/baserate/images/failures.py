"""Why a picture could not be had: a row of the table, never an exception that stops a day."""

from __future__ import annotations

from baserate.terms.words import ImageStatus

#: What another try may mend; everything else is settled.
TRANSIENT = frozenset({ImageStatus.NO_ACCESS, ImageStatus.UNREACHABLE})


class NoPicture(Exception):
    """A reference gave no picture.

    Args:
        status: What stood in the way.
        reason: One word of what was found; never text of the other side.
    """

    def __init__(self, status: ImageStatus, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.reason = reason

    @property
    def may_pass(self) -> bool:
        """Whether another try at once may help."""
        return self.status is ImageStatus.UNREACHABLE
