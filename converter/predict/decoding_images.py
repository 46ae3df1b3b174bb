"""Image files to rows. A file of another size is refused, never resized: training saw no resized images."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from converter.predict.decoding import Decoded
from converter.predict.portions import BadRow
from fleet_contract.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converter.predict.portions import ImagesForm, Span
    from fleet_contract.tensors import TensorSpec

MODES: Final = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's mode by the number of channels."""
EIGHT_BIT_MODES: Final = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"})


def decode_images(form: ImagesForm, raw: TensorSpec, span: Span, payload: bytes) -> Decoded:
    """The images (G, height, width, channels) whose names are in `payload`."""
    names = tuple(payload.decode().split("\0"))
    images, places, bad = [], [], []
    for place, name in enumerate(names):
        try:
            images.append(read_image(Path(form.folder) / name, raw))
            places.append(place)
        except DataError as error:
            bad.append(BadRow(row=span.start + place, column="", words=error.message))
    raw_G = np.stack(images) if images else np.zeros((0, *raw.shape), raw.dtype.value)
    return Decoded(raw_G, np.array(places, np.intp), tuple(bad), names)


def read_image(path: Path, raw: TensorSpec) -> NDArray[np.generic]:
    """The image (height, width, channels) as the raw input takes it; grey, colour or colour with alpha.

    Raises:
        DataError: it cannot be read, has another size, or more than 8 bits a channel.
        MissingExtraError: pillow is not installed.
    """
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingExtraError.for_extra("converter", "pillow") from error
    height, width, channels = raw.shape if len(raw.shape) == 3 else (*raw.shape, 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                _check(image, (width, height))
                pixels_HWC = np.asarray(image.convert(MODES[channels]))
    except DataError:
        raise
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        raise DataError(f"got {type(error).__name__}: {error}, expected an image file") from error
    return pixels_HWC.reshape(raw.shape).astype(raw.dtype.value)


def _check(image: Any, size: tuple[int, int]) -> None:
    if image.mode not in EIGHT_BIT_MODES:
        raise DataError(f"got pixels of mode {image.mode}, expected 8 bits a channel")
    if image.size != size:
        got, expected = ("x".join(map(str, each)) for each in (image.size, size))
        raise DataError(f"got an image of {got} pixels, expected {expected}")
