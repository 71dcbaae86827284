"""Bytes of a reference: from files, the web, data addresses, and any storage that fsspec knows."""

from __future__ import annotations

import base64
import binascii
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from baserate.images.failures import NoPicture
from baserate.images.places import Location, Places
from baserate.images.web import WebPictures
from baserate.terms.errors import ProgrammeError
from baserate.terms.programme_images import Images
from baserate.terms.words import ImageStatus

_DATA = re.compile(r"data:image/[a-z0-9.+-]+;base64,", re.IGNORECASE)
_FIRST_WAIT_SECONDS = 0.5
#: Schemes that the package obstore reads, where it is installed.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "az", "abfs", "abfss", "adl"})


class Fetcher:
    """Reads the bytes that references lead to.

    Args:
        config: Section images of the programme.
        root: Folder of the programme file.
        environment: Where values ``$NAME`` of storage options are taken from.
        sleep: Waits before another try.
    Raises: ProgrammeError if a variable of the environment is not set.
    """

    def __init__(
        self,
        config: Images,
        root: Path,
        *,
        environment: Mapping[str, str] = os.environ,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._config = config
        self._places = Places(config, root)
        self._web = WebPictures(config, self._places.allowed)
        self._options = {s: _filled(s, o, environment) for s, o in config.storage.items()}
        self._storages: dict[str, Any] = {}
        self._sleep = sleep

    def fetch(self, reference: str) -> bytes:
        """The bytes, at most ``max_bytes``. Raises: NoPicture."""
        location = self._places.locate(reference)
        for attempt in range(self._config.retries + 1):
            try:
                data = self._read(location)
            except NoPicture as failure:
                if not failure.may_pass or attempt == self._config.retries:
                    raise
                self._sleep(_FIRST_WAIT_SECONDS * 2.0**attempt)
            else:
                if len(data) > self._config.max_bytes:
                    raise NoPicture(ImageStatus.TOO_LARGE, "file")
                return data
        raise AssertionError("unreachable: the last attempt returns or raises")

    def close(self) -> None:
        """Close connections."""
        self._web.close()

    def _read(self, location: Location) -> bytes:
        if location.scheme == "file":
            return _file(Path(location.address), self._config.max_bytes)
        if location.scheme == "data":
            return _data(location.address, self._config.max_bytes)
        if location.scheme in ("http", "https"):
            return self._web.get(location.address)
        return self._stored(location)

    def _stored(self, location: Location) -> bytes:
        storage = self._storage(location.scheme)
        try:
            size = int(storage.info(location.address)["size"] or 0)
            if size > self._config.max_bytes:
                raise NoPicture(ImageStatus.TOO_LARGE, "file")
            return bytes(storage.cat_file(location.address, start=0, end=size)) if size else b""
        except NoPicture:
            raise
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise NoPicture(ImageStatus.MISSING, "no_such_object") from None
        except PermissionError:
            raise NoPicture(ImageStatus.NO_ACCESS, "access_denied") from None
        except Exception as error:  # every storage has errors of its own
            raise NoPicture(ImageStatus.UNREACHABLE, type(error).__name__) from None

    def _storage(self, scheme: str) -> Any:
        if scheme not in self._storages:
            options = self._options.get(scheme, {})
            self._storages[scheme] = _open(scheme, options, self._config.timeout_seconds)
        return self._storages[scheme]


def _open(scheme: str, options: Mapping[str, Any], timeout_seconds: float) -> Any:
    """The file system of a scheme. Raises: ProgrammeError if no package reads it."""
    if scheme in _OBJECT_STORES:
        try:
            from obstore.fsspec import FsspecStore
        except ImportError:
            pass
        else:
            allow_http = str(options.get("endpoint", "")).startswith("http://")
            store: Any = FsspecStore
            return store(
                scheme,
                config={k: str(v) for k, v in options.items()},
                client_options={"timeout": f"{timeout_seconds}s", "allow_http": allow_http},
                retry_config={"max_retries": 0},
            )
    import fsspec

    try:
        return fsspec.filesystem(scheme, **options)
    except (ImportError, ValueError) as error:
        raise ProgrammeError(
            f"no installed package reads {scheme}:// references",
            code="no_storage",
            where="images",
            got=type(error).__name__,
            hint="install baserate[s3] for S3-compatible storage, Google and Azure, or the "
            "package that fsspec names for this scheme",
        ) from error


def _filled(
    scheme: str, options: Mapping[str, Any], environment: Mapping[str, str]
) -> dict[str, Any]:
    filled = {}
    for option, value in options.items():
        if isinstance(value, str) and value.startswith("$"):
            name = value[1:]
            if name not in environment:
                raise ProgrammeError(
                    "an option of a storage is not set",
                    code="storage_option",
                    where=f"images.storage.{scheme}.{option}",
                    expected=f"environment variable {name}",
                    hint=f"export {name}=... and run the command again",
                )
            value = environment[name]
        filled[option] = value
    return filled


def _file(path: Path, max_bytes: int) -> bytes:
    try:
        if not path.is_file():
            raise NoPicture(ImageStatus.MISSING, "no_such_file")
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except PermissionError:
        raise NoPicture(ImageStatus.NO_ACCESS, "access_denied") from None
    except OSError as error:
        raise NoPicture(ImageStatus.UNREACHABLE, type(error).__name__) from None


def _data(reference: str, max_bytes: int) -> bytes:
    mark = _DATA.match(reference)
    if mark is None:
        raise NoPicture(ImageStatus.NOT_AN_IMAGE, "data_address")
    if len(reference) - mark.end() > max_bytes * 4 // 3 + 4:
        raise NoPicture(ImageStatus.TOO_LARGE, "data_address")
    try:
        return base64.b64decode(reference[mark.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise NoPicture(ImageStatus.BROKEN, "data_address") from None
