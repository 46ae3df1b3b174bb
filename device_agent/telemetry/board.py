"""What the board tells of itself: resident memory, temperature, throttling."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TEMPERATURE: Final = Path("/sys/class/thermal/thermal_zone0/temp")
_THROTTLED: Final = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
_THROTTLED_NOW: Final = 0b1111
"""Under-voltage, frequency capped, throttled, soft temperature limit: the Raspberry Pi's bits for right now."""
_BYTES_PER_MB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Board:
    """One reading; `temperature_c` is NaN where the board does not tell."""

    rss_mb: float
    temperature_c: float
    throttled: bool


def read_board(temperature: Path = _TEMPERATURE, throttled: Path = _THROTTLED) -> Board:
    """The state of this process and its board now."""
    return Board(
        rss_mb=process_rss_mb(os.getpid()),
        temperature_c=_number(temperature, 10) / 1000.0,
        throttled=_is_throttled(_number(throttled, 16)),
    )


def process_rss_mb(pid: int) -> float:
    """Resident memory of a process in MiB; 0 when there is no such process."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / _BYTES_PER_MB


def _number(path: Path, radix: int) -> float:
    try:
        return float(int(path.read_text(encoding="ascii").strip(), radix))
    except (OSError, ValueError):
        return float("nan")


def _is_throttled(bits: float) -> bool:
    return not math.isnan(bits) and bool(int(bits) & _THROTTLED_NOW)
