"""Pictures drawn by the tests, and a web server that can be told how to fail."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from baserate.images import ImageStore
from baserate.images.fetch import Fetcher
from baserate.terms.programme_images import Images


def drawn(seed: int = 0, size: tuple[int, int] = (96, 64), mode: str = "RGB") -> Image.Image:
    """A picture of a few large blots, another for each seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).convert(mode)


def as_bytes(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def noise(size: tuple[int, int] = (64, 64)) -> Image.Image:
    """A picture that no format makes small."""
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


@dataclass
class Web:
    """A web server on this machine: what each path answers, and what it was asked."""

    port: int = 0
    answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://localhost:{self.port}"

    def serve(self, path: str, body: bytes, status: int = 200, **headers: str) -> str:
        """Let a path answer so; its whole address."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            told = {"Content_Length": str(len(body)), "Content_Type": "image/png", **headers}
            for name, value in told.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            handler.wfile.write(body)

        self.answers[path] = answer
        return self.address + path


@pytest.fixture
def web() -> Iterator[Web]:
    told = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append((self.path, self.headers["Host"]))
            answer = told.answers.get(self.path)
            if answer is None:
                self.send_error(404)
            else:
                answer(self)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Clients that hang up are what these tests are about."""

    server = Quiet(("localhost", 0), Handler)
    told.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield told
    server.shutdown()
    server.server_close()
    thread.join()


def section(web: Web | None = None, **more: Any) -> Images:
    """A section of the programme with little patience, which may read the test's web server."""
    allow = [*more.pop("allow", [])] + ([f"{web.address}/"] if web else [])
    settings = {"retries": 0, "timeout_seconds": 60.0, "private_hosts": ["localhost"], **more}
    return Images(allow=tuple(allow), **settings)


@pytest.fixture
def waits() -> list[float]:
    """Seconds that a fetcher would have waited."""
    return []


@pytest.fixture
def fetcher_of(tmp_path: Path, waits: list[float]) -> Iterator[Callable[[Images], Fetcher]]:
    made: list[Fetcher] = []

    def make(config: Images) -> Fetcher:
        made.append(Fetcher(config, tmp_path, environment={}, sleep=waits.append))
        return made[-1]

    yield make
    for fetcher in made:
        fetcher.close()


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path, Images())
