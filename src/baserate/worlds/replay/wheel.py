"""The wheel that the real texts are in: found in a cache or fetched, checked, never unpacked."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from baserate.terms.errors import EngineError

REQUIREMENT = "pyrit==1.1.0"
WHEEL_NAME = "pyrit-1.1.0-py3-none-any.whl"
WHEEL_SHA256 = "84581036bace7ff2aa92712e1e3f472a3a3bccc77567d5fbe642540c0ba20b0a"
_FETCH_SECONDS = 120


def default_cache() -> Path:
    """Where wheels are kept: ``.cache/wheels`` of a checkout, else the user's cache folder."""
    root = Path(__file__).resolve().parents[4]
    if (root / "pyproject.toml").is_file() and (root / "src" / "baserate").is_dir():
        return root / ".cache" / "wheels"
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "baserate" / "wheels"


def cached_wheel(cache: Path) -> Path | None:
    """The wheel if the cache holds it whole.

    Raises:
        EngineError: If a file of that name is there but its digest is another one.
    """
    wheel = cache / WHEEL_NAME
    if not wheel.is_file():
        return None
    _check_digest(wheel)
    return wheel


def fetch_wheel(cache: Path) -> Path:
    """The wheel, from the cache or else through pip, without its dependencies.

    Raises:
        EngineError: If it is neither cached nor to be had, or its digest is wrong.
    """
    found = cached_wheel(cache)
    if found is not None:
        return found
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as folder:
        _pip_download(Path(folder))
        fetched = Path(folder) / WHEEL_NAME
        if not fetched.is_file():
            raise _cannot_fetch("pip ran but brought another file")
        _check_digest(fetched)
        fetched.replace(cache / WHEEL_NAME)
    return cache / WHEEL_NAME


def _pip_download(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--retries=1"]
    command += ["--timeout=20", "--dest", str(folder), REQUIREMENT]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_FETCH_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _cannot_fetch(type(error).__name__) from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise _cannot_fetch(lines[-1].strip() if lines else f"pip ended with {done.returncode}")


def _cannot_fetch(why: str) -> EngineError:
    return EngineError(
        f"{REQUIREMENT} cannot be fetched",
        code="wheel_unavailable",
        got=why,
        hint=f"put {WHEEL_NAME} into the cache folder by hand, or allow pip to reach its index",
    )


def _check_digest(wheel: Path) -> None:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        raise EngineError(
            "this is not the wheel that the replay was written for",
            code="wheel_digest",
            where=wheel.name,
            expected=f"sha256 {WHEEL_SHA256}",
            got=f"sha256 {digest}",
            hint="delete the file; it will be fetched again",
        )
