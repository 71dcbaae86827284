"""Where a reference leads, and whether the programme allows to read there.

A reference is data of the logs: anybody who can write a Pin may have written it. It is read only
below the places that the programme names, whatever it says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from baserate.images.failures import NoPicture
from baserate.terms.programme_images import Images
from baserate.terms.words import ImageStatus

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_STRANGE = re.compile(r"[\x00-\x20\x7f\\]")
_PORTS = {"http": 80, "https": 443}


class Location(NamedTuple):
    """Where to read.

    Attributes:
        scheme: ``file``, ``data``, ``http``, ``https`` or a storage's.
        address: A path for ``file``, else the whole address.
    """

    scheme: str
    address: str


class Places:
    """The places that a programme allows to read.

    Args:
        config: Section images of the programme.
        root: Folder of the programme file.
    """

    def __init__(self, config: Images, root: Path) -> None:
        self._prefixes = dict(sorted(config.prefixes.items(), key=lambda p: -len(p[0])))
        self._base = config.base
        self._base_folder = None if _SCHEME.match(config.base) else root / config.base
        self._folders = [f.resolve() for f in _folders((config.base, *config.allow), root)]
        self._addresses = [
            split
            for place in (config.base, *config.allow)
            if (split := _split(place)) is not None and split.scheme != "file"
        ]

    def locate(self, reference: str) -> Location:
        """Where a reference leads. Raises: NoPicture if it may not be read."""
        if reference.startswith("data:"):
            return Location("data", reference)
        reference = _with_prefix(reference, self._prefixes)
        scheme = _SCHEME.match(reference)
        if scheme is None and self._base_folder is not None:
            return self._file(self._base_folder / reference.lstrip("/"), reference)
        if scheme is None:
            reference = f"{self._base.rstrip('/')}/{reference.lstrip('/')}"
        elif scheme[1].lower() == "file":
            return self._file(Path(unquote(urlsplit(reference).path)), reference)
        return self.allowed(reference)

    def allowed(self, address: str) -> Location:
        """An address that may be read. Raises: NoPicture if it may not."""
        split = _split(address)
        if split is None or _STRANGE.search(address):
            raise NoPicture(ImageStatus.REFUSED, "no_address")
        if split.username is not None or split.password is not None:
            raise NoPicture(ImageStatus.REFUSED, "password_in_address")
        if not any(_is_below(split, place) for place in self._addresses):
            raise NoPicture(ImageStatus.REFUSED, "place_not_allowed")
        return Location(split.scheme, address)

    def _file(self, path: Path, reference: str) -> Location:
        if "\0" in reference:
            raise NoPicture(ImageStatus.REFUSED, "no_address")
        try:
            real = path.resolve()
        except (OSError, RuntimeError, ValueError):
            raise NoPicture(ImageStatus.REFUSED, "no_address") from None
        if not any(real.is_relative_to(folder) for folder in self._folders):
            raise NoPicture(ImageStatus.REFUSED, "place_not_allowed")
        return Location("file", str(real))


def _folders(places: Sequence[str], root: Path) -> list[Path]:
    local = [p for p in places if not _SCHEME.match(p)]
    named = [unquote(urlsplit(p).path) for p in places if p.lower().startswith("file://")]
    return [root / p for p in (*local, *named)]


def _with_prefix(reference: str, prefixes: Mapping[str, str]) -> str:
    for prefix, instead in prefixes.items():
        if reference.startswith(prefix):
            return instead + reference.removeprefix(prefix)
    return reference


def _split(address: str) -> SplitResult | None:
    """An address in its parts; None where it is none."""
    if not _SCHEME.match(address):
        return None
    try:
        split = urlsplit(address)
        split.port  # noqa: B018  (raises where it is no number)
    except ValueError:
        return None
    return split


def _is_below(address: SplitResult, place: SplitResult) -> bool:
    if address.scheme != place.scheme or not address.hostname:
        return False
    if place.netloc and _host(address) != _host(place):
        return False
    steps = _steps(address.path)
    if any(step in (".", "..") for step in steps):
        return False
    start = _steps(place.path.rstrip("/"))
    return steps[: len(start)] == start


def _host(split: SplitResult) -> tuple[str, int | None]:
    name = split.netloc if split.scheme not in _PORTS else (split.hostname or "")
    return name, split.port or _PORTS.get(split.scheme)


def _steps(path: str) -> list[str]:
    """Steps of a path, as a server may read them: decoded, once more if need be."""
    return [unquote(unquote(step)) for step in re.split(r"/|%2f|%5c", path, flags=re.I)]
