"""Pictures from the web, without becoming a door into the own network.

A name is resolved here, every address it has must be public (or its host be named as private),
and the connection goes to the address that was checked: a name that resolves to something else a
moment later gains nothing. Redirects are followed one by one, each checked like a reference.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

import httpcore
import httpx

from baserate.images.deadline import DeadlineBackend, by
from baserate.images.failures import NoPicture
from baserate.images.places import Location
from baserate.terms.programme_images import Images
from baserate.terms.words import ImageStatus

_IDLE_SECONDS = 5.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 4
_NOT_THERE = frozenset({400, 404, 405, 406, 410, 451})
_NO_ACCESS = frozenset({401, 402, 403, 407})
_BROKEN_OFF = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    httpx.InvalidURL,
    ssl.SSLError,
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GIVEN_OUT = ipaddress.ip_network("2000::/3")
#: Of protocols and relays; no server of pictures is there.
_NOT_HOSTS = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24")))


class WebPictures:
    """Reads files from web servers.

    Args:
        config: Section images of the programme: limits, hosts that may be private.
        allowed: Says where an address leads; raises NoPicture where it may not be read.
    """

    def __init__(self, config: Images, allowed: Callable[[str], Location]) -> None:
        self._config = config
        self._allowed = allowed
        self._private = {host.lower() for host in config.private_hosts}
        self._certificates: ssl.SSLContext | None = None
        self._clients: dict[str, httpcore.ConnectionPool] = {}
        self._lock = threading.Lock()

    def get(self, address: str) -> bytes:
        """The bytes at an address, at most one more than ``max_bytes``. Raises: NoPicture."""
        until = time.monotonic() + self._config.timeout_seconds
        for _ in range(_MOST_REDIRECTS + 1):
            self._allowed(address)
            answer = self._one_hop(address, until)
            if isinstance(answer, bytes):
                return answer
            address = answer
        raise NoPicture(ImageStatus.REFUSED, "too_many_redirects")

    def close(self) -> None:
        """Close connections."""
        for client in self._clients.values():
            client.close()

    def _one_hop(self, address: str, until: float) -> bytes | str:
        """The bytes, or the address that a redirect names."""
        split = urlsplit(address)
        host = split.hostname or ""
        port = split.port or (443 if split.scheme == "https" else 80)
        failure = NoPicture(ImageStatus.UNREACHABLE, "no_connection")
        for ip in self._checked(host, port):
            try:
                return self._ask(address, ip, split.netloc, until)
            except httpcore.ConnectTimeout:
                failure = NoPicture(ImageStatus.UNREACHABLE, "timeout")
            except httpcore.ConnectError:
                continue
            except httpcore.TimeoutException:
                raise NoPicture(ImageStatus.UNREACHABLE, "timeout") from None
            except _BROKEN_OFF as error:
                word = "cut_off" if isinstance(error, httpcore.RemoteProtocolError) else "protocol"
                raise NoPicture(ImageStatus.UNREACHABLE, word) from None
        raise failure

    def _ask(self, address: str, ip: str, netloc: str, until: float) -> bytes | str:
        named = httpx.URL(address)
        url = named.copy_with(host=ip)
        request = httpcore.Request(
            "GET",
            httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=[
                (b"Host", named.netloc),
                (b"Accept", b"image/*"),
                (b"Accept-Encoding", b"identity"),
            ],
            extensions={"sni_hostname": named.raw_host.decode("ascii"), **by(until)},
        )
        response = self._client(netloc).handle_request(request)
        try:
            headers = httpx.Headers(response.headers)
            if response.status in _REDIRECTS and "location" in headers:
                return urljoin(address, headers["location"])
            _check_status(response.status)
            return self._body(response, headers.get("content-length", ""))
        finally:
            response.close()

    def _body(self, response: httpcore.Response, told: str) -> bytes:
        if told.isdigit() and int(told) > self._config.max_bytes:
            raise NoPicture(ImageStatus.TOO_LARGE, "content_length")
        parts = bytearray()
        for chunk in response.iter_stream():
            parts += chunk
            if len(parts) > self._config.max_bytes:
                raise NoPicture(ImageStatus.TOO_LARGE, "body")
        return bytes(parts)

    def _client(self, netloc: str) -> httpcore.ConnectionPool:
        """Connections by host: one that was checked for one host never serves another."""
        with self._lock:
            if self._certificates is None:
                self._certificates = ssl.create_default_context()
            if netloc not in self._clients:
                self._clients[netloc] = httpcore.ConnectionPool(
                    ssl_context=self._certificates,
                    max_connections=None,
                    keepalive_expiry=_IDLE_SECONDS,
                    network_backend=DeadlineBackend(),
                )
            return self._clients[netloc]

    def _checked(self, host: str, port: int) -> list[str]:
        """Addresses of a host, all of which may be connected to."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise NoPicture(ImageStatus.UNREACHABLE, "no_such_host") from None
        ips = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if host.lower() not in self._private and not all(map(is_public, ips)):
            raise NoPicture(ImageStatus.REFUSED, "private_address")
        return ips


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, also where another one wraps it.

    Of IPv6 only what is given out for the public internet (2000::/3) passes, and of it no tunnel
    whose end cannot be seen (Teredo); of the ways to wrap IPv4, those by which it is reached from
    everywhere: mapped, 6to4, and NAT64's well-known prefix. References: RFC 4291, RFC 6052,
    RFC 6890, RFC 8215.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast and not any(ip in n for n in _NOT_HOSTS)
    inner = ip.ipv4_mapped or ip.sixtofour
    if ip in _NAT64:
        inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if inner is not None:
        return is_public(str(inner))
    return ip in _GIVEN_OUT and ip.is_global and ip.teredo is None


def _check_status(status: int) -> None:
    if status == 200:
        return
    word = f"http_{status}"
    if status in _NOT_THERE:
        raise NoPicture(ImageStatus.MISSING, word)
    if status in _NO_ACCESS:
        raise NoPicture(ImageStatus.NO_ACCESS, word)
    raise NoPicture(ImageStatus.UNREACHABLE, word)
