"""One PNG or JPEG file to an array of unsigned bytes, upright, in the size and channels asked for.

Files are hostile: a damaged one makes Pillow raise nearly anything, and what it raises becomes an `ImageError` here.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np

from fleet_contract.release import ImageInput
from fleet_rows.limits import MAX_ENCODED_IMAGE_BYTES, MAX_PIXELS
from fleet_rows.listing import cannot_read

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIXES: Final = (".png", ".jpg", ".jpeg")
MODES: Final = {1: "L", 3: "RGB", 4: "RGBA"}
EXIF_ORIENTATION: Final = 0x0112
LYING: Final = (5, 6, 7, 8)
"""Orientations of pictures whose rows are columns of the file."""
_CHANNELS: Final = {"1": 1, "L": 1, "LA": 1, "P": 3, "RGB": 3, "RGBA": 4, "CMYK": 3, "YCbCr": 3}
"""Channels of Pillow's modes; those not here hold more than 8 bits a channel."""


class FaultKind(StrEnum):
    """Kinds of what is wrong with a file, as they end the words "and 7 more"."""

    UNREADABLE = "that cannot be read"
    EMPTY = "that are empty"
    FOREIGN = "that are no PNG or JPEG"
    DAMAGED = "that are damaged"
    LARGE = "that are too large"
    DEPTH = "of more than 8 bits a channel"
    CHANNELS = "of other channels"
    SIZE = "of another size"


class ImageError(ValueError):
    """A file that does not become an image; `kind` groups those of many files."""

    def __init__(self, kind: FaultKind, words: str) -> None:
        super().__init__(words)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class ImageForm:
    """What every image becomes; `resize` False refuses those of another size, `convert` False of other channels."""

    height: int
    width: int
    channels: int
    resize: bool
    convert: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        return self.height, self.width, self.channels

    @property
    def input(self) -> ImageInput:
        """What a release tells of it, beside the input's shape."""
        return ImageInput(resize=self.resize, convert=self.convert)


def choose_form(encoded: bytes, size_HW: tuple[int, int] | None, channels: int) -> ImageForm:
    """The form of all images: the one asked for, and where nothing is asked for, that of this image.

    Raises:
        ImageError: this is no image that can be read.
    """
    with _opened(encoded) as image:
        height, width = size_HW or _upright_size(image)
        found = _CHANNELS[image.mode]
    return ImageForm(height, width, channels or found, resize=size_HW is not None, convert=channels != 0)


def _upright_size(image: Any) -> tuple[int, int]:
    """Height and width of the image as `decode_image` gives it."""
    try:
        lies = image.getexif().get(EXIF_ORIENTATION, 1) in LYING
    except Exception as error:
        raise _damaged(error) from error
    return (image.width, image.height) if lies else (image.height, image.width)


def read_content(path: Path) -> bytes:
    """The bytes of an encoded image.

    Raises:
        ImageError: the file cannot be read, or is larger than any image may be.
    """
    try:
        size_bytes = path.stat().st_size
        return path.read_bytes() if size_bytes <= MAX_ENCODED_IMAGE_BYTES else _refuse_size(size_bytes)
    except OSError as error:
        raise ImageError(FaultKind.UNREADABLE, cannot_read(path, error).message) from error


def decode_image(encoded: bytes, form: ImageForm) -> NDArray[np.uint8]:
    """The image (H, W, C) as `form` wants it: turned upright by its EXIF orientation, resized bilinearly.

    Raises:
        ImageError: no PNG or JPEG, truncated, too large, more than 8 bits a channel, or of another size or other
            channels than `form` allows.
    """
    from PIL import Image, ImageOps

    with _opened(encoded) as opened:
        if not form.convert and _CHANNELS[opened.mode] != form.channels:
            raise ImageError(FaultKind.CHANNELS, f"got {_CHANNELS[opened.mode]} channels, expected {form.channels}")
        try:
            image = ImageOps.exif_transpose(opened).convert(MODES[form.channels])
        except Exception as error:
            raise _damaged(error) from error
    if not form.resize and (image.height, image.width) != (form.height, form.width):
        got = f"got {image.height} x {image.width} (height x width)"
        raise ImageError(FaultKind.SIZE, f"{got}, expected {form.height} x {form.width}")
    if (image.height, image.width) != (form.height, form.width):
        image = image.resize((form.width, form.height), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8).reshape(form.shape)


def _opened(encoded: bytes) -> Any:
    from PIL import Image

    if len(encoded) > MAX_ENCODED_IMAGE_BYTES:
        _refuse_size(len(encoded))
    try:
        image = Image.open(io.BytesIO(encoded), formats=("PNG", "JPEG"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(FaultKind.LARGE, f"got {error}, expected at most {MAX_PIXELS:,} pixels") from error
    except Exception as error:
        kind, what = (FaultKind.FOREIGN, "no image that can be read") if encoded else (FaultKind.EMPTY, "an empty file")
        raise ImageError(kind, f"got {what}, expected PNG or JPEG") from error
    if image.width * image.height > MAX_PIXELS:
        got = f"got {image.width:,} x {image.height:,} pixels"
        raise ImageError(FaultKind.LARGE, f"{got}, expected at most {MAX_PIXELS:,}")
    if image.mode not in _CHANNELS:
        got = f"got mode {image.mode} (more than 8 bits a channel)"
        raise ImageError(FaultKind.DEPTH, f"{got}, expected 8 bits; use NPZ for others")
    return image


def _refuse_size(size_bytes: int) -> NoReturn:
    raise ImageError(FaultKind.LARGE, f"got {size_bytes:,} bytes, expected at most {MAX_ENCODED_IMAGE_BYTES:,}")


def _damaged(error: Exception) -> ImageError:
    return ImageError(FaultKind.DAMAGED, f"got {type(error).__name__}: {error}, expected a whole image")
