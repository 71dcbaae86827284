"""Bytes to a picture that can be shown, and nothing else that the bytes might be.

Only four formats are opened, by name. The size is checked before a pixel is decoded; a file that
is cut off is refused. What comes out is a plain RGB picture: turned as its EXIF says, the first
frame where it moves, on white where it is transparent, without any of its metadata.

A small file can be a large picture. Beside the decoded pixels no second copy of their size is
made: the picture is put on white and made smaller strip by strip. And however many pictures are
fetched at once, large ones are decoded one at a time.
"""

from __future__ import annotations

import io
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from baserate.images.failures import NoPicture
from baserate.images.looks import perceptual_hash
from baserate.terms.errors import EngineError
from baserate.terms.programme_images import Images
from baserate.terms.words import ImageStatus

if TYPE_CHECKING:
    from types import ModuleType

    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
_QUALITY = 90
#: A picture of more pixels is decoded when no other such one is.
_LARGE = 4_000_000
#: One thread and not a lock: the allocator keeps what each thread that asked for much gave back.
_ONE_AT_A_TIME = ThreadPoolExecutor(1, "large-pictures")
#: Pixels of a strip, about.
_STRIP = 1_000_000
#: How far a picture is shrunk by means of blocks before it is resampled: to twice its size.
_GAP = 2.0


@dataclass(frozen=True)
class Facts:
    """What is known of a picture from its bytes alone."""

    media_type: str
    width: int
    height: int
    bytes: int
    animated: bool
    perceptual_hash: str | None


@dataclass(frozen=True)
class Rendered:
    """A decoded picture: facts, and two JPEG files made from it."""

    facts: Facts
    view: bytes
    thumbnail: bytes


def preprocessing(config: Images) -> str:
    """How the view is made, in words: part of a judge's version."""
    return (
        "as kept at sampling time; first frame, turned by EXIF, on white, no metadata, "
        f"longest side at most {config.view_pixels}, JPEG {_QUALITY}"
    )


def render(data: bytes, config: Images) -> Rendered:
    """Decode a file and make its renditions.

    Args:
        data: The file.
        config: Section images of the programme: limits and sizes.
    Raises: NoPicture if it is no picture, too large or broken; EngineError if Pillow is missing.
    """
    pil = _pil()
    try:
        opened = pil.open(io.BytesIO(data), formats=FORMATS)
    except pil.UnidentifiedImageError:
        raise NoPicture(ImageStatus.NOT_AN_IMAGE, "unknown_format") from None
    except (pil.DecompressionBombError, pil.DecompressionBombWarning):
        raise NoPicture(ImageStatus.TOO_MANY_PIXELS, "header") from None
    except Exception as error:  # decoders fail in many ways on what was made to break them
        raise NoPicture(ImageStatus.BROKEN, type(error).__name__) from None
    with opened as image:
        if image.width * image.height > config.max_pixels:
            raise NoPicture(ImageStatus.TOO_MANY_PIXELS, f"{image.width}x{image.height}")
        try:
            if image.width * image.height > _LARGE:
                return _ONE_AT_A_TIME.submit(_rendered, image, len(data), config).result()
            return _rendered(image, len(data), config)
        except Exception as error:  # the same; nothing was shown yet, so nothing is lost
            raise NoPicture(ImageStatus.BROKEN, type(error).__name__) from None


def _rendered(image: Image, size: int, config: Images) -> Rendered:
    from PIL import ImageOps

    pil = _pil()
    media_type = pil.MIME[image.format or ""]
    animated = bool(getattr(image, "is_animated", False))
    width, height = image.size
    image.draft("RGB", (2 * config.view_pixels, 2 * config.view_pixels))
    image.load()
    wide = image.width > image.height
    ImageOps.exif_transpose(image, in_place=True)
    if (image.width > image.height) != wide:
        width, height = height, width
    plain = _smaller_on_white(image, config.view_pixels)
    look = perceptual_hash(np.asarray(_small_grey(plain), dtype=np.float64))
    facts = Facts(media_type, width, height, size, animated, look)
    view = _jpeg(plain)
    plain.thumbnail((config.thumbnail_pixels, config.thumbnail_pixels), pil.Resampling.LANCZOS)
    return Rendered(facts, view, _jpeg(plain))


def _small_grey(image: Image) -> Image:
    grey: Image = image.convert("L").resize((32, 32), _pil().Resampling.LANCZOS)
    return grey


def _smaller_on_white(image: Image, longest: int) -> Image:
    """What thumbnail() would make of the picture on white, without that picture at full size."""
    pil = _pil()
    size = _fitted(image.width, image.height, longest)
    blocks = (
        max(int(image.width / size[0] / _GAP), 1),
        max(int(image.height / size[1] / _GAP), 1),
    )
    reduced = pil.new("RGB", (-(-image.width // blocks[0]), -(-image.height // blocks[1])))
    rows = max(_STRIP // image.width // blocks[1], 1) * blocks[1]
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        reduced.paste(_on_white(strip).reduce(blocks), (0, top // blocks[1]))
    whole = (0.0, 0.0, image.width / blocks[0], image.height / blocks[1])
    smaller: Image = reduced.resize(size, pil.Resampling.LANCZOS, box=whole)
    return smaller


def _fitted(width: int, height: int, longest: int) -> tuple[int, int]:
    """The size within a square, of nearly the same shape; nothing is made larger."""
    if max(width, height) <= longest:
        return width, height
    shape = width / height
    if width > height:
        near = (math.floor(longest / shape) or 1, math.ceil(longest / shape))
        return longest, min(near, key=lambda n: abs(shape - longest / n))
    near = (math.floor(longest * shape) or 1, math.ceil(longest * shape))
    return min(near, key=lambda n: abs(shape - n / longest)), longest


def _on_white(image: Image) -> Image:
    pil = _pil()
    if image.mode.startswith("I"):
        values = np.asarray(image, dtype=np.float64)
        grey = np.clip(values / 65_535.0 * 255.0, 0.0, 255.0).astype(np.uint8)
        flat: Image = pil.fromarray(grey).convert("RGB")
        return flat
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = pil.new("RGBA", layer.size, (255, 255, 255, 255))
        opaque: Image = pil.alpha_composite(white, layer).convert("RGB")
        return opaque
    plain = image.convert("RGB")
    return plain.copy() if plain is image else plain


def _jpeg(image: Image) -> bytes:
    bare = image.copy()
    bare.info = {}
    buffer = io.BytesIO()
    bare.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _pil() -> ModuleType:
    """Pillow's module of images."""
    try:
        import PIL.Image
    except ImportError as error:
        raise EngineError(
            "pictures cannot be decoded: Pillow is not installed",
            code="no_pillow",
            hint="install baserate[images], or take section images out of the programme",
        ) from error
    return PIL.Image
