"""What a training takes of a machine: what it would need, what there is, and what it used.

Rules: an estimate errs on the side of too much and says what it is made of; a run that does not fit stops before its
first step, and names the figures; what a machine does not tell (energy, a limit) is left out and never guessed.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fleet_contract.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainer.settings import ResourcesSection

MIB: Final = 1024 * 1024
FLOAT_BYTES: Final = 4
COPIES_OF_DATA: Final = 3
"""The float inputs, TensorFlow's tensor of them, and what a transform makes on its way."""
COPIES_OF_WEIGHTS: Final = 9
"""Weights, gradients, two moments of Adam, the best epoch's, and a checkpoint of weights, moments and best."""
COPIES_OF_ACTIVATIONS: Final = 2
"""Values and their gradients."""
RUNTIME_BYTES: Final = 256 * MIB
"""What TensorFlow takes for itself once it trains."""
WATCH_EVERY_S: Final = 0.5
NO_CGROUP_LIMIT_BYTES: Final = 1 << 60


@dataclass(frozen=True, slots=True)
class Need:
    """An estimate of the memory that a training takes beyond what the process has already."""

    data_bytes: int
    model_bytes: int
    batch_bytes: int

    @property
    def total_bytes(self) -> int:
        """All of it, with TensorFlow's own share."""
        return self.data_bytes + self.model_bytes + self.batch_bytes + RUNTIME_BYTES


@dataclass(frozen=True, slots=True)
class Room:
    """The memory that this process may still take, and what says so."""

    free_bytes: int
    limit: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run took; energy is of the whole machine meanwhile, None where it does not tell."""

    wall_s: float
    cpu_s: float
    peak_memory_bytes: int
    energy_j: float | None = None

    def figures(self) -> dict[str, float]:
        """The figures by name; what is not known is left out."""
        known = {"wall_s": self.wall_s, "cpu_s": self.cpu_s, "peak_memory_bytes": float(self.peak_memory_bytes)}
        return known if self.energy_j is None else {**known, "energy_j": self.energy_j}


def estimate_need(model: Any, *, row_count: int, input_shape: tuple[int, ...], batch_size: int) -> Need:
    """What training the Keras `model` on that many rows takes."""
    activations = sum(math.prod(_output_shape(layer)) for layer in model.layers)
    return Need(
        data_bytes=row_count * math.prod(input_shape) * FLOAT_BYTES * COPIES_OF_DATA,
        model_bytes=int(model.count_params()) * FLOAT_BYTES * COPIES_OF_WEIGHTS,
        batch_bytes=batch_size * activations * FLOAT_BYTES * COPIES_OF_ACTIVATIONS,
    )


def _output_shape(layer: Any) -> tuple[int, ...]:
    """Without the batch axis; a layer that does not know its output, or an axis of any length, counts as 1."""
    try:
        shape = layer.output.shape
    except AttributeError:
        return (1,)
    return tuple(1 if size is None else int(size) for size in shape[1:])


def require_room(need: Need, room: Room, *, oversize: bool) -> str:
    """Passes when the need fits; a warning in words when it does not and `oversize` lets it start all the same.

    Raises:
        ConfigError: it does not fit.
    """
    if need.total_bytes <= room.free_bytes:
        return ""
    words = (
        f"training needs about {_mib(need.total_bytes)} (data {_mib(need.data_bytes)}, model {_mib(need.model_bytes)}, "
        f"a batch {_mib(need.batch_bytes)}, TensorFlow {_mib(RUNTIME_BYTES)}), "
        f"got {_mib(room.free_bytes)} ({room.limit})"
    )
    if oversize:
        return words
    raise ConfigError(
        words,
        hint="a smaller [data] limit, [train] batch_size or model; [resources] oversize = true starts all the same",
    )


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / MIB:.0f} MiB"


def find_room(memory_mb: int, *, proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> Room:
    """The least of what the machine has free, what the cgroup leaves, and `memory_mb` (0: no limit of ours)."""
    rooms = [Room(_meminfo_bytes(proc / "meminfo", "MemAvailable"), "free on this machine")]
    limit_bytes = _cgroup_bytes(cgroup / "memory.max")
    used_bytes = _cgroup_bytes(cgroup / "memory.current")
    if limit_bytes is not None and used_bytes is not None and limit_bytes < NO_CGROUP_LIMIT_BYTES:
        rooms.append(Room(max(0, limit_bytes - used_bytes), f"left of this container's {_mib(limit_bytes)}"))
    if memory_mb:
        own_bytes = _meminfo_bytes(proc / "self" / "status", "VmRSS")
        rooms.append(Room(max(0, memory_mb * MIB - own_bytes), f"left of [resources] memory_mb = {memory_mb}"))
    return min(rooms, key=lambda room: room.free_bytes)


def _cgroup_bytes(path: Path) -> int | None:
    """The number in the file; None where there is no such file, or it says `max`."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _meminfo_bytes(path: Path, name: str) -> int:
    """The entry `name` of a file such as /proc/meminfo.

    Raises:
        ConfigError: there is none.
    """
    try:
        for line in path.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}", hint="edgeferry trains on Linux") from error
    raise ConfigError(f"{path}: got no entry {name}, expected one", hint="edgeferry trains on Linux")


def own_memory_bytes(proc: Path = Path("/proc")) -> int:
    """What this process has in memory now."""
    return _meminfo_bytes(proc / "self" / "status", "VmRSS")


def require_within(memory_mb: int, used_bytes: int) -> None:
    """Passes while a process keeps to its `memory_mb` (0: no limit).

    Raises:
        ConfigError: it does not; its checkpoint is kept.
    """
    if memory_mb and used_bytes > memory_mb * MIB:
        raise ConfigError(
            f"training takes {_mib(used_bytes)}, expected at most [resources] memory_mb = {memory_mb}",
            hint="raise memory_mb and train again: it goes on where it stopped",
        )


@dataclass(slots=True)
class MemoryWatch:
    """Looks at the memory of this process when it is called, which costs nothing more often than twice a second."""

    memory_mb: int
    read_bytes: Callable[[], int] = own_memory_bytes
    clock_s: Callable[[], float] = time.monotonic
    _next_s: float = field(default=0.0, init=False)

    def __call__(self) -> None:
        """Passes while the process keeps to its `memory_mb` (0: no limit).

        Raises:
            ConfigError: it does not; its checkpoint is kept.
        """
        if not self.memory_mb or (now_s := self.clock_s()) < self._next_s:
            return
        self._next_s = now_s + WATCH_EVERY_S
        require_within(self.memory_mb, self.read_bytes())


def take_place(settings: ResourcesSection, *, set_priority: Callable[[int, int, int], None] = os.setpriority) -> None:
    """Gives this process the priority of the settings, and hides GPUs from what it starts; call it once, at its start.

    Raises:
        ConfigError: the system does not allow the priority.
    """
    if settings.gpu == "none":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    try:
        if os.getpriority(os.PRIO_PROCESS, 0) < settings.priority:
            set_priority(os.PRIO_PROCESS, 0, settings.priority)
    except OSError as error:
        raise ConfigError(f"[resources] priority: got {settings.priority}: {error}") from error


class Meter:
    """Measures from when it is made; `read` tells what was used until then."""

    def __init__(self, *, proc: Path = Path("/proc"), powercap: Path = Path("/sys/class/powercap")) -> None:
        self._proc = proc
        self._powercap = powercap
        self._wall_s = time.monotonic()
        self._cpu_s = _cpu_s()
        self._energy_uj = _energy_uj(powercap)
        _reset_peak(proc)

    def read(self) -> Usage:
        """What was used since the meter was made."""
        return Usage(
            wall_s=round(time.monotonic() - self._wall_s, 3),
            cpu_s=round(_cpu_s() - self._cpu_s, 3),
            peak_memory_bytes=_meminfo_bytes(self._proc / "self" / "status", "VmHWM"),
            energy_j=self._energy_j(),
        )

    def _energy_j(self) -> float | None:
        """Joules of all packages; a counter that went over its end is taken up once."""
        now_uj = _energy_uj(self._powercap)
        if not now_uj or now_uj.keys() != self._energy_uj.keys():
            return None
        total_uj = 0
        for name, (count_uj, range_uj) in now_uj.items():
            total_uj += (count_uj - self._energy_uj[name][0]) % (range_uj + 1)
        return total_uj / 1e6


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _reset_peak(proc: Path) -> None:
    """Lets the kernel count the peak anew; where it does not, the peak is the process's since its start."""
    try:
        (proc / "self" / "clear_refs").write_text("5")
    except OSError:
        return


def _energy_uj(powercap: Path) -> dict[str, tuple[int, int]]:
    """Counter and range of each package in microjoules; empty where they are absent or not ours to read."""
    counters: dict[str, tuple[int, int]] = {}
    for zone in sorted(powercap.glob("intel-rapl:[0-9]*")):
        if zone.name.count(":") != 1:
            continue
        try:
            count_uj = int((zone / "energy_uj").read_text())
            counters[zone.name] = (count_uj, int((zone / "max_energy_range_uj").read_text()))
        except (OSError, ValueError):
            return {}
    return counters
