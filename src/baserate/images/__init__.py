"""References to pictures become kept pictures: fetched with limits, decoded safely, hashed."""

from __future__ import annotations

from baserate.images.decode import preprocessing
from baserate.images.failures import NoPicture
from baserate.images.keep import digests_of, forget
from baserate.images.snapshot import fetched_all, needs_another_try, picture_of, snapshot
from baserate.images.store import ImageStore

__all__ = [
    "ImageStore",
    "NoPicture",
    "digests_of",
    "fetched_all",
    "forget",
    "needs_another_try",
    "picture_of",
    "preprocessing",
    "snapshot",
]
