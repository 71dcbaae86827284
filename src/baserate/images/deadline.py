"""Connections that keep to one moment by which all must be through, however slowly bytes drip.

The limits of an HTTP client hold for one read each: a server that sends a byte now and then never
meets them. Here the number that the client hands down is no length of time but that moment, by
``time.monotonic``; each connect, handshake, read and write gets what is left until then.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore


def by(moment: float) -> dict[str, dict[str, float]]:
    """The extension of a request that must be through at a moment, by ``time.monotonic``."""
    return {"timeout": dict.fromkeys(("connect", "read", "write"), moment)}


class DeadlineBackend(httpcore.NetworkBackend):
    """Opens connections whose every timeout is the moment by which it must be through."""

    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect. Raises: httpcore.ConnectTimeout, httpcore.ConnectError."""
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(
            self._inner.connect_tcp(host, port, left, local_address, socket_options or ())
        )


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Not by the inner stream: it takes the whole time anew for each part that gets through."""
        connection = self._inner.get_extra_info("socket")
        rest = memoryview(buffer)
        while rest:
            connection.settimeout(_left(timeout, httpcore.WriteTimeout))
            try:
                rest = rest[connection.send(rest) :]
            except TimeoutError as error:
                raise httpcore.WriteTimeout(str(error)) from error
            except OSError as error:
                raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """A handshake has one limit for all its reads."""
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(moment: float | None, late: type[httpcore.TimeoutException]) -> float | None:
    """Seconds until a moment. Raises: the given error if it has passed."""
    if moment is None:
        return None
    left = moment - time.monotonic()
    if left <= 0:
        raise late("the time for this try is over")
    return left
