"""Files that users bring: tables, image folders and archives, whole and broken."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.settings import DataSection
from trainer.sources.uri import load_source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.data.dataset import Dataset

COLOURS = ("red", "green", "blue")


def load(folder: Path, source: str, **settings: Any) -> Dataset:
    """What `[data]` with this source and these settings gives in the project `folder`."""
    return load_source(DataSection(source=source, **settings), folder)


def table_columns(count: int = 60) -> dict[str, list[Any]]:
    """Columns of numbers, of words and of labels, each telling its row."""
    return {
        "width": [row / 8 for row in range(count)],
        "colour": [COLOURS[row % 3] for row in range(count)],
        "label": ["yes" if row % 2 else "no" for row in range(count)],
    }


def write_csv(path: Path, columns: Mapping[str, Sequence[Any]], *, separator: str = ",") -> Path:
    """Writes the columns with a header."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def write_parquet(path: Path, columns: Mapping[str, Any], **options: Any) -> Path:
    """Writes the columns with the types that pyarrow gives them."""
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table(dict(columns)), path, **options)
    return path


def grey_image(value: int, *, height: int = 6, width: int = 4) -> NDArray[np.uint8]:
    """An image (H, W) that is `value` everywhere."""
    return np.full((height, width), value, np.uint8)


def write_image(path: Path, pixels: NDArray[np.uint8], **options: Any) -> Path:
    """Writes the pixels in the format of the path's suffix."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def write_image_folder(folder: Path, *, classes: Sequence[str] = ("cat", "dog"), each: int = 5) -> Path:
    """A folder of classes; image `n` of class `k` is 10 * k + n everywhere."""
    for number, name in enumerate(classes):
        for index in range(each):
            write_image(folder / name / f"{index:05}.png", grey_image(10 * number + index))
    return folder
