"""NPZ archives whose bytes depend on the arrays alone: members stored in order, all dated 1980-01-01."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_DATE: Final = (1980, 1, 1, 0, 0, 0)


def encode_npz(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """The arrays as an uncompressed NPZ, which `numpy.load` reads; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _DATE), member.getvalue())
    return buffer.getvalue()
