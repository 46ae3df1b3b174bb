"""What a file may be at most: a hostile or mistaken one is refused at once, without the memory that it asks for."""

from __future__ import annotations

from typing import Final

MAX_COLUMNS: Final = 16_384
MAX_HEADER_BYTES: Final = 4 * 1024**2
MAX_ROW_BYTES: Final = 8 * 1024**2
MAX_PIXELS: Final = 64 * 1024**2
MAX_ENCODED_IMAGE_BYTES: Final = 256 * 1024**2
MAX_NAMED: Final = 5
"""Faults of a source that are named; all are counted."""
