"""Fashion-MNIST from the gzipped IDX files of the Debian package: 70,000 images of 28x28x1 uint8, 10 classes.

IDX: magic 0x00 0x00 0x08 RANK, then RANK sizes as big-endian uint32, then the bytes.
Source: http://yann.lecun.com/exdb/mnist/, "the IDX file format".
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from typing import TYPE_CHECKING, Final

import numpy as np

from fleet_contract.errors import DataError
from trainer.data.dataset import Dataset, no_slices

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LABEL_NAMES: Final = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
PARTS: Final = ("train", "t10k")
UNSIGNED_BYTE: Final = 0x08


def load_fashion_mnist(folder: Path) -> Dataset:
    """Both published parts as one set; the project's own split decides what is tested.

    Raises:
        DataError: a file is missing, truncated, corrupt or does not fit its partner.
    """
    images, labels = [], []
    for part in PARTS:
        images_BHW = read_idx(folder / f"{part}-images-idx3-ubyte.gz", rank=3)
        labels_B = read_idx(folder / f"{part}-labels-idx1-ubyte.gz", rank=1)
        _check_pair(folder, part, images_BHW, labels_B)
        images.append(images_BHW)
        labels.append(labels_B)
    all_labels_B = np.concatenate(labels).astype(np.int64)
    return Dataset(
        inputs_B=np.concatenate(images)[..., np.newaxis],
        labels_B=all_labels_B,
        label_names=LABEL_NAMES,
        slices_B=no_slices(len(all_labels_B)),
        source="fashion-mnist (Debian dataset-fashion-mnist)",
    )


def read_idx(path: Path, *, rank: int) -> NDArray[np.uint8]:
    """The unsigned bytes of a gzipped IDX file with `rank` axes.

    Raises:
        DataError: missing, not gzip, another magic number, or another length than its header says.
    """
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: got {type(error).__name__}: {error}, expected a gzipped IDX file",
            hint="apt install dataset-fashion-mnist, or use source = 'builtin:digits'",
        ) from error
    return _parse_idx(content, path, rank)


def _parse_idx(content: bytes, path: Path, rank: int) -> NDArray[np.uint8]:
    magic = bytes((0, 0, UNSIGNED_BYTE, rank))
    header_bytes = 4 + 4 * rank
    if content[:4] != magic or len(content) < header_bytes:
        raise DataError(f"{path}: got IDX magic {content[:4].hex()}, expected {magic.hex()}")
    sizes = struct.unpack_from(f">{rank}I", content, 4)
    expected_bytes = header_bytes + math.prod(sizes)
    if len(content) != expected_bytes:
        raise DataError(f"{path}: got {len(content)} bytes, expected {expected_bytes} for shape {list(sizes)}")
    return np.frombuffer(content, np.uint8, offset=header_bytes).reshape(sizes)


def _check_pair(folder: Path, part: str, images_BHW: NDArray[np.uint8], labels_B: NDArray[np.uint8]) -> None:
    if len(images_BHW) != len(labels_B) or images_BHW.shape[1:] != (28, 28):
        raise DataError(
            f"{folder}: {part}: got images {list(images_BHW.shape)} and {len(labels_B)} labels, "
            "expected as many labels as images of [28, 28]"
        )
    if len(labels_B) and int(labels_B.max()) >= len(LABEL_NAMES):
        raise DataError(f"{folder}: {part}: got label {int(labels_B.max())}, expected 0 to {len(LABEL_NAMES) - 1}")
