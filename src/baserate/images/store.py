"""Kept pictures, by the sha256 of their bytes: each is stored once, however many Pins show it.

``images/sha256/ab/<digest>`` is the file as it was. Beside it stand two JPEG files made from it,
named by their longest side, what is known of it as JSON, and, once it was deleted, a tombstone
in its place.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path

from baserate.images.decode import Facts, Rendered, render
from baserate.images.failures import NoPicture
from baserate.terms.errors import EngineError
from baserate.terms.programme_images import Images
from baserate.terms.words import ImageStatus

FOLDER = "images"


class ImageStore:
    """The pictures of a workspace.

    Args:
        root: The workspace's folder.
        config: Section images of the programme.
    """

    def __init__(self, root: Path, config: Images) -> None:
        self.folder = root / FOLDER
        self.config = config

    def path(self, digest: str) -> Path:
        """The file as it was."""
        return self.folder / "sha256" / digest[:2] / digest

    def view(self, digest: str) -> Path:
        """What judges and reviewers are shown."""
        return self._beside(digest, f"{self.config.view_pixels}.jpg")

    def thumbnail(self, digest: str) -> Path:
        """The small one."""
        return self._beside(digest, f"{self.config.thumbnail_pixels}.jpg")

    def keep(self, data: bytes) -> tuple[str, Facts]:
        """Keep a file and its renditions; its digest and what is known of it.

        A file that is kept already is neither written nor decoded again.
        Raises: NoPicture if it can't be shown, or was erased on request; EngineError if it
            can't be written.
        """
        digest = hashlib.sha256(data).hexdigest()
        if self.gone(digest) is ImageStatus.ERASED:
            raise NoPicture(ImageStatus.ERASED, "on_request")
        with suppress(OSError):
            os.utime(self.path(digest))  # before the look: who sweeps now sees that it is wanted
        known = self.facts(digest)
        if known is not None:
            return digest, known
        rendered = render(data, self.config)
        self._write(digest, data, rendered)
        return digest, rendered.facts

    def facts(self, digest: str) -> Facts | None:
        """What is known of a kept picture that is whole; None where it must be kept anew.

        Renditions of another size than the programme's are made again from the kept file.
        """
        path = self.path(digest)
        try:
            facts = Facts(**json.loads(self._beside(digest, "json").read_bytes()))
            if path.stat().st_size != facts.bytes:
                return None
        except (OSError, ValueError, TypeError):
            return None
        if not all(_has_bytes(p) for p in (self.view(digest), self.thumbnail(digest))):
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != digest:
                return None
            with suppress(NoPicture):
                self._write(digest, data, render(data, self.config))
                return facts
            return None
        return facts

    def gone(self, digest: str) -> ImageStatus | None:
        """Why a picture was deleted: expired or erased; None where it was not."""
        try:
            told = json.loads(self._beside(digest, "gone.json").read_bytes())
            return ImageStatus(told["status"])
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError):
            return ImageStatus.ERASED  # a tombstone that can't be read is obeyed

    def delete(self, digest: str, status: ImageStatus, on: date) -> int:
        """Delete a picture with all that was made from it; bytes freed.

        The tombstone comes first, so that a deletion that was cut short is seen and ended by the
        next one. An erased picture never becomes merely expired.
        """
        if self.gone(digest) is not ImageStatus.ERASED:
            told = {"status": status.value, "on": str(on)}
            self._put(self._beside(digest, "gone.json"), json.dumps(told).encode())
        freed = self.size(digest)
        for path in self._files(digest):
            path.unlink(missing_ok=True)
        return freed

    def remove(self, digest: str) -> None:
        """Remove a picture that nothing refers to any more, without a trace.

        It may be kept again. One that was erased on request stays known to be.
        """
        for path in self._files(digest):
            path.unlink(missing_ok=True)
        if self.gone(digest) is not ImageStatus.ERASED:
            self._beside(digest, "gone.json").unlink(missing_ok=True)

    def last_wanted(self, digest: str) -> date | None:
        """The day (UTC) that a picture was last fetched; None where it is not there."""
        try:
            return datetime.fromtimestamp(self.path(digest).stat().st_mtime, UTC).date()
        except OSError:
            return None

    def size(self, digest: str) -> int:
        """Bytes of a picture and of what was made from it."""
        return sum(path.stat().st_size for path in self._files(digest))

    def _files(self, digest: str) -> list[Path]:
        """What deleting a picture deletes: all but its tombstone."""
        beside = self.path(digest).parent.glob(f"{digest}.*")
        own = [p for p in (self.path(digest), *beside) if p.exists()]
        return [p for p in own if not p.name.endswith(".gone.json")]

    def digests(self) -> Iterator[str]:
        """Every picture that is kept, in order."""
        for path in sorted((self.folder / "sha256").glob("??/*")):
            if len(path.name) == 64:
                yield path.name

    def known(self) -> Iterator[str]:
        """Every picture that is or was kept, in order."""
        names = {path.name[:64] for path in (self.folder / "sha256").glob("??/*")}
        yield from sorted(n for n in names if not n.startswith("."))

    def _beside(self, digest: str, ending: str) -> Path:
        return self.folder / "sha256" / digest[:2] / f"{digest}.{ending}"

    def _write(self, digest: str, data: bytes, rendered: Rendered) -> None:
        """The file first, what is known of it last: only then it counts as kept."""
        self._put(self.path(digest), data, durable=True)
        self._put(self.view(digest), rendered.view)
        self._put(self.thumbnail(digest), rendered.thumbnail)
        facts = json.dumps(asdict(rendered.facts), sort_keys=True)
        self._put(self._beside(digest, "json"), facts.encode(), durable=True)
        self._beside(digest, "gone.json").unlink(missing_ok=True)

    def _put(self, path: Path, data: bytes, *, durable: bool = False) -> None:
        """Write a file whole or not at all."""
        part = path.with_name(f".{secrets.token_hex(6)}.part")
        try:
            if not self.folder.exists():
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise EngineError(
                "a picture can't be written",
                code="image_store",
                where=FOLDER,
                got=error.strerror or type(error).__name__,
                hint="check the folder's permissions and free space; what is kept stays kept",
            ) from error


def _has_bytes(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
