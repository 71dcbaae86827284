"""Connections to one endpoint: one client for each call at a time.

A client's own pool looks through all its connections at each call, which at 32 calls at once takes
more time than the calls; a client with one connection has nothing to look through.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from types import TracebackType
from typing import Self

import httpx


class Lanes:
    """As many clients as calls are under way, each with one connection that is kept open.

    Args:
        base_url: The endpoint's address.
        headers: Sent with every call.
        timeout_seconds: Longest wait for any part of a call.
    """

    def __init__(self, base_url: str, headers: Mapping[str, str], timeout_seconds: float) -> None:
        self._base_url = base_url.rstrip("/") + "/"
        self._headers = dict(headers)
        self._timeout = timeout_seconds
        self._free: list[httpx.AsyncClient] = []
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Open no connection yet."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Close every connection."""
        await self._open.aclose()

    @asynccontextmanager
    async def free(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client that nobody else uses meanwhile; the one used last, since it is still warm."""
        client = self._free.pop() if self._free else await self._new()
        try:
            yield client
        finally:
            self._free.append(client)

    async def _new(self) -> httpx.AsyncClient:
        client = httpx.AsyncClient(
            base_url=self._base_url,
            headers=self._headers,
            timeout=self._timeout,
            limits=httpx.Limits(max_connections=1),
            verify=_trusted(),
        )
        return await self._open.enter_async_context(client)


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates that are trusted, read once: that takes longer than some calls."""
    return httpx.create_ssl_context()
