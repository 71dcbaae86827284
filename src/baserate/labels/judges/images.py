"""Images of Pins as data addresses, for a judge that sees images.

An image reference is data from logging tables: it may name a file only below one folder, and
only a file that is an image is ever read out.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path

from baserate.labels.render import SubjectKey, UnitContent

#: What is done to an image before a judge sees it; a change of it makes another judge.
PREPROCESSING = "as it is, at most 10 MiB"
_MAX_BYTES = 10 * 1024 * 1024
_DATA_ADDRESS = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}\Z")


def readable_images(unit: UnitContent, folder: Path) -> dict[SubjectKey, str]:
    """Data address of each image of a unit that can be shown, by subject.

    Args:
        unit: The unit.
        folder: Images are read from files below it; relative references start there.
    """
    addresses = {
        s.key: _data_address(s.image_ref, folder) for s in unit.subjects if s.image_ref is not None
    }
    return {key: address for key, address in addresses.items() if address is not None}


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
