"""Whatever the bytes are, they become a plain picture or a word; look-alikes find each other."""

from __future__ import annotations

import io
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from baserate.images import decode
from baserate.images.decode import render
from baserate.images.failures import NoPicture
from baserate.images.looks import look_alike, perceptual_hash
from baserate.terms.words import ImageStatus as Status
from tests.images.conftest import as_bytes, drawn, noise, section

CONFIG = section(max_pixels=1_000_000, view_pixels=64, thumbnail_pixels=16)


def status_of(data: bytes) -> Status:
    with pytest.raises(NoPicture) as caught:
        render(data, CONFIG)
    return caught.value.status


def pixels(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)), dtype=float)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF"])
def test_each_format_gives_the_same_picture(form):
    made = render(as_bytes(drawn(1), form), CONFIG)
    plain = render(as_bytes(drawn(1)), CONFIG)
    assert made.facts.media_type == f"image/{form.lower()}"
    assert (made.facts.width, made.facts.height) == (96, 64)
    assert pixels(made.view).shape == (43, 64, 3)
    assert pixels(made.thumbnail).shape == (11, 16, 3)
    assert np.abs(pixels(made.view) - pixels(plain.view)).mean() < 6
    near = look_alike({"a": made.facts.perceptual_hash, "b": plain.facts.perceptual_hash}, 6)
    assert near["a"] == near["b"]


def test_a_bomb_is_refused_before_it_is_decoded():
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + head
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
    png += struct.pack(">I", zlib.crc32(chunk))
    packed = zlib.compress(bytes(60_001 * 64), 9)
    png += struct.pack(">I", len(packed)) + b"IDAT" + packed
    assert (
        status_of(png + struct.pack(">I", zlib.crc32(b"IDAT" + packed))) is Status.TOO_MANY_PIXELS
    )
    assert status_of(as_bytes(Image.new("1", (1_001, 1_000)))) is Status.TOO_MANY_PIXELS
    assert render(as_bytes(Image.new("1", (1_000, 1_000))), CONFIG).facts.width == 1_000


@pytest.mark.parametrize(
    ("size", "mode"),
    [
        ((1_999, 1_503), "RGBA"),
        ((1_503, 1_999), "LA"),
        ((4_001, 203), "RGB"),
        ((203, 4_001), "P"),
        ((90, 60), "RGBA"),
    ],
)
def test_a_large_picture_is_shown_as_if_made_smaller_whole_yet_never_copied_whole(
    size, mode, monkeypatch
):
    picture = drawn(3, size).quantize(64) if mode == "P" else drawn(3, size, mode)
    if mode in ("RGBA", "LA"):
        picture.putalpha(drawn(4, size, "L"))
    data = as_bytes(picture, compress_level=1)
    layer = picture.convert("RGBA")
    whole = Image.alpha_composite(Image.new("RGBA", size, "white"), layer).convert("RGB")
    whole.thumbnail((64, 64), Image.Resampling.LANCZOS)
    monkeypatch.setattr(decode, "_STRIP", 100_000)
    on_white, seen = decode._on_white, []
    monkeypatch.setattr(decode, "_on_white", lambda im: seen.append(im.size) or on_white(im))
    made = render(data, section(max_pixels=4_000_000, view_pixels=64, thumbnail_pixels=16))
    assert made.view == as_bytes(whole, "JPEG", quality=90)
    assert (made.facts.width, made.facts.height) == size
    assert sum(w * h for w, h in seen) == size[0] * size[1]
    assert max(w * h for w, h in seen) <= 140_000


def test_large_pictures_are_decoded_by_one_thread_and_small_ones_where_they_were_fetched(
    monkeypatch,
):
    monkeypatch.setattr(decode, "_LARGE", 5_000)
    rendered, seen = decode._rendered, []

    def noted(image, *rest):
        seen.append((image.size, threading.current_thread().name))
        return rendered(image, *rest)

    monkeypatch.setattr(decode, "_rendered", noted)
    large, small = as_bytes(drawn(1)), as_bytes(drawn(1, (50, 50)))
    for k in range(3):
        with ThreadPoolExecutor(1, f"fetching-{k}") as pool:
            views = [pool.submit(render, data, CONFIG) for data in (large, small)]
            assert views[0].result().facts.width == 96
            assert views[1].result().facts.width == 50
    assert {name for size, name in seen if size == (96, 64)} == {"large-pictures_0"}
    assert len({name for size, name in seen if size == (50, 50)}) == 3
    with pytest.raises(NoPicture, match="broken"):
        render(large[:-200], CONFIG)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_file_that_is_cut_off_is_refused(form):
    whole = as_bytes(noise(), form)
    for share in (0.4, 0.8):
        assert status_of(whole[: int(len(whole) * share)]) in (Status.BROKEN, Status.NOT_AN_IMAGE)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%!PS-Adobe-3.0 EPSF-3.0\n"),
        *(b"\x00" * 100, as_bytes(drawn(), "BMP"), as_bytes(drawn(), "TIFF")),
        as_bytes(drawn(), "PPM"),
    ],
)
def test_other_formats_are_not_opened_at_all(data):
    assert status_of(data) is Status.NOT_AN_IMAGE


@settings(max_examples=60, deadline=None)
@given(data=st.data(), form=st.sampled_from(["JPEG", "PNG", "WEBP", "GIF"]))
def test_damaged_bytes_are_a_picture_or_a_word_and_never_an_error(data, form):
    damaged = bytearray(as_bytes(drawn(2, (24, 16)), form))
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with suppress(NoPicture):
        assert pixels(render(bytes(damaged), CONFIG).view).ndim == 3


def test_a_picture_is_turned_as_its_exif_says_and_loses_its_metadata():
    upright = drawn(3, (40, 60))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif[0x010E] = "a private place"
    lying = as_bytes(upright.rotate(90, expand=True), "JPEG", exif=exif, quality=95)
    assert b"a private place" in lying
    made = render(lying, CONFIG)
    assert (made.facts.width, made.facts.height) == (40, 60)
    plain = render(as_bytes(upright), CONFIG)
    assert np.abs(pixels(made.view) - pixels(plain.view)).mean() < 6
    for jpeg in (made.view, made.thumbnail):
        assert b"private" not in jpeg
        assert not dict(Image.open(io.BytesIO(jpeg)).getexif())


def test_what_is_transparent_stands_on_white_and_what_moves_shows_its_first_frame():
    clear = Image.new("RGBA", (30, 30), (0, 0, 0, 0))
    assert pixels(render(as_bytes(clear), CONFIG).view).min() >= 254
    frames = [Image.new("RGB", (30, 30), c) for c in ("red", "blue")]
    for form in ("GIF", "WEBP", "PNG"):
        data = as_bytes(frames[0], form, save_all=True, append_images=frames[1:])
        moving = render(data, CONFIG)
        assert moving.facts.animated
        red, _, blue = pixels(moving.view).mean(axis=(0, 1))
        assert red > 200 > 50 > blue


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_mode_of_pixels_is_shown_with_its_lightness(mode):
    ramp = np.tile(np.linspace(0, 255, 64), (64, 1))
    grey = Image.fromarray(ramp.astype(np.uint8))
    image = (
        Image.fromarray((ramp * 257).astype(np.uint16)) if mode == "I;16" else grey.convert(mode)
    )
    shown = pixels(render(as_bytes(image, "JPEG" if mode == "CMYK" else "PNG"), CONFIG).view)
    halves = shown[:, :32].mean(), shown[:, 32:].mean()
    assert halves == pytest.approx((63.0, 191.5), abs=14)


# --- looks ------------------------------------------------------------------------------------


def looks(image: Image.Image, form: str = "PNG", **options) -> str | None:
    return render(as_bytes(image, form, **options), CONFIG).facts.perceptual_hash


def bits(one: str | None, other: str | None) -> int:
    assert one is not None
    assert other is not None
    return (int(one, 16) ^ int(other, 16)).bit_count()


def test_copies_of_a_picture_are_near_and_other_pictures_are_far():
    pictures = [drawn(seed, (240, 180)) for seed in range(12)]
    first = [looks(p) for p in pictures]
    for picture, look in zip(pictures, first, strict=True):
        smaller = picture.resize((120, 90), Image.Resampling.LANCZOS)
        brighter = picture.point(lambda v: min(255, int(v * 0.9 + 12)))
        for copy in (looks(picture, "JPEG", quality=60), looks(smaller), looks(brighter)):
            assert bits(look, copy) <= 6
    distances = [bits(a, b) for i, a in enumerate(first) for b in first[:i]]
    assert min(distances) > 12


def test_a_picture_without_structure_is_like_nothing_but_itself():
    blank = [looks(Image.new("RGB", (50, 50), c)) for c in ("white", "black")]
    assert blank == [None, None]
    assert look_alike({"a" * 64: None, "b" * 64: None}, 16) == {
        "a" * 64: "a" * 16,
        "b" * 64: "b" * 16,
    }
    assert perceptual_hash(np.full((32, 32), 7.0)) is None


@settings(max_examples=60, deadline=None)
@given(
    hashes=st.lists(st.integers(0, 63), min_size=1, max_size=12),
    near_bits=st.integers(0, 3),
    order=st.randoms(use_true_random=False),
)
def test_groups_are_the_chains_of_look_alikes_in_any_order(hashes, near_bits, order):
    pictures = {f"{k:016d}{0:048d}": f"{h:016x}" for k, h in enumerate(hashes)}
    groups = look_alike(pictures, near_bits)
    shuffled = list(pictures.items())
    order.shuffle(shuffled)
    assert look_alike(dict(shuffled), near_bits) == groups
    for one, mine in pictures.items():
        reached, edge = {one}, {one}
        while edge:
            edge = {
                d for d in pictures for e in edge if bits(pictures[e], pictures[d]) <= near_bits
            }
            edge -= reached
            reached |= edge
        assert {d for d, g in groups.items() if g == groups[one]} == reached
        assert groups[one] == min(reached)[:16], mine
