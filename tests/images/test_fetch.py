"""A reference is read only where the programme allows, within limits, and fails in a word."""

from __future__ import annotations

import base64
import http.server
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import localbucket
import pytest

from baserate.images.failures import NoPicture
from baserate.images.fetch import Fetcher
from baserate.images.web import is_public
from baserate.terms.errors import ProgrammeError
from baserate.terms.words import ImageStatus as Status
from tests.images.conftest import as_bytes, drawn, section

PICTURE = as_bytes(drawn())


def failure(fetcher, reference):
    with pytest.raises(NoPicture) as caught:
        fetcher.fetch(reference)
    return caught.value.status, caught.value.reason


# --- files and data addresses -----------------------------------------------------------------


def test_files_are_read_below_the_base_and_nowhere_else(tmp_path, fetcher_of):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a b.png").write_bytes(PICTURE)
    (tmp_path / "secret.png").write_bytes(PICTURE)
    (tmp_path / "photos" / "door.png").symlink_to(tmp_path / "secret.png")
    fetcher = fetcher_of(section(base="photos", prefixes={"pin:": "", "old:": "../"}))
    inside = (tmp_path / "photos" / "a b.png").as_uri()
    for reference in ("a b.png", "/a b.png", "pin:a b.png", inside):
        assert fetcher.fetch(reference) == PICTURE
    outside = (tmp_path / "secret.png").as_uri()
    for reference in ("../secret.png", "old:secret.png", "door.png", outside, "a\0b.png"):
        assert failure(fetcher, reference)[0] is Status.REFUSED
    assert failure(fetcher, "b.png") == (Status.MISSING, "no_such_file")
    assert failure(fetcher, ".") == (Status.MISSING, "no_such_file")


def test_a_data_address_is_read_within_the_same_limit(fetcher_of):
    fetcher = fetcher_of(section(max_bytes=len(PICTURE)))
    address = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
    assert fetcher.fetch(address) == PICTURE
    assert failure(fetcher, address + "A" * 400)[0] is Status.TOO_LARGE
    assert failure(fetcher, "data:image/png;base64,*")[0] is Status.BROKEN
    assert failure(fetcher, "data:text/html,<b>")[0] is Status.NOT_AN_IMAGE


# --- the web ----------------------------------------------------------------------------------


def test_what_a_server_answers_becomes_a_word(web, fetcher_of):
    fetcher = fetcher_of(section(web, max_bytes=1_000_000))
    assert fetcher.fetch(web.serve("/a.png", PICTURE, Content_Type="text/html")) == PICTURE
    for status, word in {
        404: Status.MISSING,
        410: Status.MISSING,
        403: Status.NO_ACCESS,
        429: Status.UNREACHABLE,
        500: Status.UNREACHABLE,
        206: Status.UNREACHABLE,
    }.items():
        address = web.serve(f"/{status}", PICTURE, status)
        assert failure(fetcher, address) == (word, f"http_{status}")
    assert failure(fetcher, "http://localhost:1/a.png")[0] is Status.REFUSED


def test_an_endless_body_and_one_that_says_it_is_large_are_too_large(web, fetcher_of):
    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b"x" * 65_536)

    web.answers["/endless"] = endless
    large = web.serve("/large", b"", Content_Length="999999999")
    fetcher = fetcher_of(section(web, max_bytes=100_000))
    assert failure(fetcher, f"{web.address}/endless") == (Status.TOO_LARGE, "body")
    assert failure(fetcher, large) == (Status.TOO_LARGE, "content_length")


def test_a_body_that_drips_and_one_that_breaks_off_are_given_up(web, fetcher_of):
    def drip(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(400):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.02)

    web.answers["/drip"] = drip
    cut = web.serve("/cut", PICTURE, Content_Length=str(len(PICTURE) + 10))
    fetcher = fetcher_of(section(web, timeout_seconds=0.3))
    status, reason = failure(fetcher, f"{web.address}/drip")
    assert status is Status.UNREACHABLE
    assert reason in ("timeout", "no_connection")  # a busy machine may not even connect in time
    assert failure(fetcher_of(section(web)), cut) == (Status.UNREACHABLE, "cut_off")


def _drip(connection, part, over):
    """Send a part every few milliseconds until told to stop or hung up on."""
    with connection, suppress(OSError):
        while not over.wait(0.02):
            connection.sendall(part)


@pytest.mark.parametrize(
    ("scheme", "start", "part"),
    [
        ("http", b"HTTP/1.1 200 OK\r\nX-A: ", b"a"),
        ("http", b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        ("https", b"\x16\x03\x03\x3f\xff", b"\x02"),
    ],
    ids=["headers", "early hints", "handshake"],
)
def test_no_server_holds_a_try_longer_by_dripping_before_the_body(fetcher_of, scheme, start, part):
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(4) as pool:
        port = server.getsockname()[1]

        server.settimeout(0.05)

        def serve():
            while not over.is_set():
                with suppress(OSError):
                    connection, _ = server.accept()
                    connection.sendall(start)
                    pool.submit(_drip, connection, part, over)

        pool.submit(serve)
        guard = threading.Timer(30, over.set)
        guard.start()
        place = f"{scheme}://localhost:{port}/"
        fetcher = fetcher_of(section(allow=[place], timeout_seconds=0.4))
        found = failure(fetcher, f"{place}a.png")
        still_drips = not over.is_set()
        guard.cancel()
        over.set()
    assert found == (Status.UNREACHABLE, "timeout")
    assert still_drips


def test_what_may_pass_is_tried_again_and_what_is_settled_is_not(web, fetcher_of, waits):
    left = iter([503, 500])

    def recovers(handler):
        status = next(left, None)
        web.serve("/again", PICTURE, status or 200)
        again = web.answers["/again"]
        web.answers["/again"] = recovers
        again(handler)

    web.answers["/again"] = recovers
    fetcher = fetcher_of(section(web, retries=2))
    assert fetcher.fetch(f"{web.address}/again") == PICTURE
    assert waits == [0.5, 1.0]
    web.asked.clear()
    assert failure(fetcher, f"{web.address}/none")[0] is Status.MISSING
    assert len(web.asked) == 1


def test_a_redirect_is_followed_within_the_allowed_places_only(web, fetcher_of):
    target = web.serve("/pins/a.png", PICTURE)
    web.serve("/admin", b"secret")
    fetcher = fetcher_of(section(allow=[f"{web.address}/pins/"]))
    good = web.serve("/pins/good", b"", 302, Location="a.png")
    assert fetcher.fetch(target) == fetcher.fetch(good) == PICTURE
    private = f"http://127.0.0.1:{web.port}/pins/a.png"
    for k, place in enumerate(
        ["/admin", "../admin", "%2e%2e/admin", private, "file:///etc/passwd"]
    ):
        bad = web.serve(f"/pins/bad{k}", b"", 301, Location=place)
        assert failure(fetcher, bad) == (Status.REFUSED, "place_not_allowed")
    assert "/admin" not in [path for path, _ in web.asked]
    loop = web.serve("/pins/loop", b"", 307, Location="loop")
    assert failure(fetcher, loop) == (Status.REFUSED, "too_many_redirects")


def test_a_host_with_a_private_address_is_refused_unless_it_is_named(web, fetcher_of):
    address = web.serve("/a.png", PICTURE)
    anywhere = fetcher_of(section(allow=["http://"], private_hosts=[]))
    by_number = f"http://127.0.0.1:{web.port}/a.png"
    for reference in (address, by_number, f"http://[::ffff:127.0.0.1]:{web.port}/a.png"):
        assert failure(anywhere, reference) == (Status.REFUSED, "private_address")
    public = web.serve("/to", b"", 302, Location=by_number)
    one_host = fetcher_of(section(allow=["http://"]))
    assert failure(one_host, public) == (Status.REFUSED, "private_address")
    web.asked.clear()
    assert one_host.fetch(address) == PICTURE
    assert web.asked == [("/a.png", f"localhost:{web.port}")]


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1"),
        *("0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fd00::1"),
        *("::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "ff02::1"),
        *("64:ff9b:1::a00:1", "64:ff9b:1::808:808", "fec0::1", "5f00::1", "192.0.0.8"),
        *("::127.0.0.1", "::10.0.0.1", "::8.8.8.8", "::ffff:0:10.0.0.1", "192.88.99.1"),
        *("::ffff:192.0.0.8", "2002:c000:8::", "64:ff9b::c000:8", "2001:0:1::", "100::1"),
    ],
)
def test_no_address_of_an_own_network_passes_as_public(address):
    assert not is_public(address)
    assert is_public("93.184.216.34")
    assert is_public("2606:2800:220:1:248:1893:25c8:1946")
    assert is_public("64:ff9b::808:808")


def test_places_are_compared_by_their_parts(fetcher_of):
    fetcher = fetcher_of(section(allow=["https://i.example.com/pins"], private_hosts=[]))
    for reference in (
        "https://i.example.com.evil.example/pins/a.png",
        "https://i.example.com@evil.example/pins/a.png",
        "https://evil.example/?https://i.example.com/pins/a.png",
        "http://i.example.com/pins/a.png",
        "https://i.example.com:8443/pins/a.png",
        "https://i.example.com/pinsecret/a.png",
        "https://i.example.com/pins/../a.png",
        "https://i.example.com/pins/%252e%252e/a.png",
        "https://i.example.com/pins\\..\\a.png",
        "https://[bad/pins/a.png",
        "ftp://i.example.com/pins/a.png",
        "s3://pins/a.png",
    ):
        assert failure(fetcher, reference)[0] is Status.REFUSED, reference


# --- storage ----------------------------------------------------------------------------------


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """A real S3-speaking server on this machine; its folder and its address."""
    folder = tmp_path / "data"
    (folder / "pins").mkdir(parents=True)
    handler = type("Handler", (localbucket.S3Handler,), {"data_root": folder})
    monkeypatch.setattr(handler, "log_message", lambda *_: None)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield folder / "pins", f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_pictures_come_from_s3_with_credentials_of_the_environment(bucket, tmp_path: Path):
    folder, endpoint = bucket
    (folder / "original").mkdir()
    (folder / "original" / "a.png").write_bytes(PICTURE)
    (folder / "original" / "large.png").write_bytes(b"x" * 200_000)
    (folder / "original" / "empty.png").write_bytes(b"")
    (folder / "secret.png").write_bytes(PICTURE)
    storage = {"s3": {"endpoint": "$PINS", "access_key_id": "$KEY", "secret_access_key": "$KEY"}}
    config = section(base="s3://pins/original/", storage=storage, max_bytes=100_000)
    with pytest.raises(ProgrammeError, match=r"images\.storage\.s3\.endpoint"):
        Fetcher(config, tmp_path, environment={})
    fetcher = Fetcher(config, tmp_path, environment={"PINS": endpoint, "KEY": "k"})
    assert fetcher.fetch("a.png") == fetcher.fetch("s3://pins/original/a.png") == PICTURE
    assert fetcher.fetch("empty.png") == b""
    assert failure(fetcher, "b.png") == (Status.MISSING, "no_such_object")
    assert failure(fetcher, "large.png") == (Status.TOO_LARGE, "file")
    for reference in ("../secret.png", "s3://pins/secret.png", "s3://other/original/a.png"):
        assert failure(fetcher, reference) == (Status.REFUSED, "place_not_allowed")


def test_any_storage_that_fsspec_knows_is_read(fetcher_of):
    import fsspec

    fsspec.filesystem("memory").pipe("/pins/a.png", PICTURE)
    fetcher = fetcher_of(section(allow=["memory://pins/"]))
    assert fetcher.fetch("memory://pins/a.png") == PICTURE
    assert failure(fetcher, "memory://pins/b.png") == (Status.MISSING, "no_such_object")
    with pytest.raises(ProgrammeError, match="no installed package reads gopher://"):
        fetcher_of(section(allow=["gopher://"])).fetch("gopher://pins/a.png")
