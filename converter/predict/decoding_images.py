"""Image files to rows, as the training made them: upright, and of another size or kind only where it took such."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from converter.predict.decoding import Decoded
from converter.predict.portions import BadRow
from fleet_rows.image_file import ImageForm, decode_image, read_content

if TYPE_CHECKING:
    from converter.predict.portions import ImagesForm, Span
    from fleet_contract.tensors import TensorSpec


def decode_images(form: ImagesForm, raw: TensorSpec, span: Span, payload: bytes) -> Decoded:
    """The images (G, height, width, channels) whose names are in `payload`."""
    names = tuple(payload.decode().split("\0"))
    wanted = image_form(form, raw)
    images, places, bad = [], [], []
    for place, name in enumerate(names):
        try:
            images.append(decode_image(read_content(Path(form.folder) / name), wanted))
            places.append(place)
        except ValueError as error:
            bad.append(BadRow(row=span.start + place, column="", words=str(error)))
    raw_G = np.asarray(images, raw.dtype.value).reshape(-1, *raw.shape)
    return Decoded(raw_G, np.array(places, np.intp), tuple(bad), names)


def image_form(form: ImagesForm, raw: TensorSpec) -> ImageForm:
    """What every image becomes; an input without channels takes grey."""
    height, width, channels = raw.shape if len(raw.shape) == 3 else (*raw.shape, 1)
    return ImageForm(height, width, channels, resize=form.images.resize, convert=form.images.convert)
