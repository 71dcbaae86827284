"""Images of Pins as data addresses, for a judge that sees images.

An image that was kept when the sample was drawn is shown as it was kept. Where images are not
kept, a reference is data from logging tables: it may name a file only below one folder, and only
a file that is an image is ever read out.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from baserate.labels.render import SubjectKey, UnitContent
from baserate.terms.pictures import Picture

#: What is done to an image before a judge sees it; a change of it makes another judge.
PREPROCESSING = "as it is, at most 10 MiB"
#: What a judge is shown and told of kept images, besides how each was made.
OF_KEPT = "sent once for all parts that show it; told where one is gone"
_MAX_BYTES = 10 * 1024 * 1024
_DATA_ADDRESS = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}\Z")


class ShownImages(Mapping[SubjectKey, str]):
    """Data address of each image of a unit that a judge is shown, by subject.

    Kept images are read from disk each time they are asked for, so that ten thousand units of
    waiting questions hold none of them in memory.

    Attributes:
        gone: Subjects whose image could not be kept, or is not kept any more.
    """

    def __init__(
        self, addresses: Mapping[SubjectKey, str | Picture], gone: frozenset[SubjectKey]
    ) -> None:
        self._addresses = addresses
        self.gone = gone

    def __getitem__(self, key: SubjectKey) -> str:
        found = self._addresses[key]
        if isinstance(found, str):
            return found
        data = b"" if found.view is None else found.view.read_bytes()
        return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"

    def __iter__(self) -> Iterator[SubjectKey]:
        return iter(self._addresses)

    def __len__(self) -> int:
        return len(self._addresses)

    def identities(self) -> list[tuple[SubjectKey, str | None]]:
        """What tells each image from any other, in order of subject."""
        return sorted(
            (k, v if isinstance(v, str) else v.digest) for k, v in self._addresses.items()
        )


NO_IMAGES = ShownImages({}, frozenset())


def readable_images(unit: UnitContent, folder: Path) -> ShownImages:
    """The images of a unit that can be shown.

    Args:
        unit: The unit.
        folder: Images that were not kept are read from files below it; relative references
            start there.
    """
    found: dict[SubjectKey, str | Picture] = {}
    for subject in unit.subjects:
        if subject.picture is not None:
            if subject.picture.is_shown:
                found[subject.key] = subject.picture
        elif subject.image_ref is not None:
            address = _data_address(subject.image_ref, folder)
            if address is not None:
                found[subject.key] = address
    return ShownImages(found, frozenset(s.key for s in unit.subjects if s.lost_its_image))


def _data_address(reference: str, folder: Path) -> str | None:
    if reference.startswith("data:"):
        fits = len(reference) <= _MAX_BYTES * 4 // 3 + 64
        return reference if fits and _DATA_ADDRESS.match(reference) else None
    if "://" in reference or "\0" in reference:
        return None
    try:
        path = (folder / reference).resolve()
        below = path.is_relative_to(folder.resolve())
        if not below or not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return None
        data = path.read_bytes()
    except OSError:
        return None
    kind = _image_kind(data)
    return None if kind is None else f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _image_kind(data: bytes) -> str | None:
    """png, jpeg, gif or webp by the first bytes; None for anything else."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    return "webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None
