"""What a training would need, what there is, and what it used."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from fleet_contract.errors import ConfigError
from trainer.settings import ResourcesSection
from trainer.training.resources import (
    MIB,
    RUNTIME_BYTES,
    MemoryWatch,
    Meter,
    Need,
    Room,
    estimate_need,
    find_room,
    require_room,
    require_within,
    take_place,
)

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Output:
    """A layer's output, as Keras describes it."""

    shape: tuple[int | None, ...]


@dataclass
class Layer:
    """A layer with an output."""

    output: Output


@dataclass
class Network:
    """As much of a Keras model as an estimate looks at."""

    layers: list[Any] = field(
        default_factory=lambda: [Layer(Output((None, 8, None))), Layer(Output((None, 2))), object()]
    )

    def count_params(self) -> int:
        """So many weights."""
        return 1000


def write_proc(folder: Path, *, free_kb: int = 1000 * 1024, rss_kb: int = 100 * 1024) -> Path:
    """A /proc with what is read of it."""
    (folder / "self").mkdir(parents=True)
    (folder / "meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable:   {free_kb} kB\n")
    (folder / "self" / "status").write_text(f"Name:\tx\nVmHWM:\t {rss_kb + 24} kB\nVmRSS:\t {rss_kb} kB\n")
    return folder


def test_an_estimate_grows_with_rows_weights_and_batch() -> None:
    """Copies of the float inputs, of the weights, and of each layer's output for every row of a batch."""
    need = estimate_need(Network(), row_count=100, input_shape=(4, 4), batch_size=10)
    assert need == Need(data_bytes=100 * 16 * 4 * 3, model_bytes=1000 * 4 * 9, batch_bytes=10 * (8 + 2 + 1) * 4 * 2)
    assert need.total_bytes == need.data_bytes + need.model_bytes + need.batch_bytes + RUNTIME_BYTES


def test_a_run_that_does_not_fit_says_so_with_the_figures() -> None:
    """The error has need and room; with `oversize` the same words are a warning."""
    need, room = Need(700 * MIB, 50 * MIB, 0), Room(900 * MIB, "free on this machine")
    with pytest.raises(
        ConfigError, match=r"about 1006 MiB \(data 700 .* got 900 MiB \(free on this machine\)"
    ) as raised:
        require_room(need, room, oversize=False)
    assert "oversize" in raised.value.hint
    assert require_room(need, room, oversize=True) == raised.value.message
    assert require_room(need, Room(need.total_bytes, "x"), oversize=False) == ""


@pytest.mark.parametrize(
    ("limit", "current", "memory_mb", "expected"),
    [
        ("max", "5", 0, (1000, "free on this machine")),
        (str(500 * MIB), str(200 * MIB), 0, (300, "container's 500 MiB")),
        (str(500 * MIB), str(600 * MIB), 0, (0, "container's 500 MiB")),
        ("max", "5", 350, (250, "memory_mb = 350")),
        ("max", "5", 50, (0, "memory_mb = 50")),
    ],
)
def test_the_room_is_the_least_of_what_machine_container_and_setting_leave(
    tmp_path: Path, limit: str, current: str, memory_mb: int, expected: tuple[int, str]
) -> None:
    """1000 MiB are free, 100 MiB are in use by the process itself."""
    cgroup = tmp_path / "cgroup"
    cgroup.mkdir()
    (cgroup / "memory.max").write_text(limit + "\n")
    (cgroup / "memory.current").write_text(current + "\n")
    room = find_room(memory_mb, proc=write_proc(tmp_path / "proc"), cgroup=cgroup)
    assert room.free_bytes == expected[0] * MIB
    assert expected[1] in room.limit


def test_a_machine_that_does_not_tell_its_memory_trains_nothing(tmp_path: Path) -> None:
    """Neither a missing file nor a missing entry counts as room."""
    with pytest.raises(ConfigError, match="meminfo"):
        find_room(0, proc=tmp_path, cgroup=tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal: 5 kB\n")
    with pytest.raises(ConfigError, match="no entry MemAvailable"):
        find_room(0, proc=tmp_path, cgroup=tmp_path)


def test_going_beyond_the_limit_ends_a_run() -> None:
    """0 is no limit."""
    require_within(0, 10**12)
    require_within(100, 100 * MIB)
    with pytest.raises(ConfigError, match=r"takes 101 MiB, expected at most .* memory_mb = 100"):
        require_within(100, 101 * MIB)


def test_the_memory_is_looked_at_within_an_epoch_and_not_at_every_batch() -> None:
    """After half a second it is read again; 0 never reads it."""
    read_at: list[float] = []
    now = [10.0]

    def read_bytes() -> int:
        read_at.append(now[0])
        return 100 * MIB if now[0] < 11 else 101 * MIB

    watch = MemoryWatch(100, read_bytes, lambda: now[0])
    for now[0] in (10.0, 10.2, 10.4, 10.6):
        watch()
    assert read_at == [10.0, 10.6]
    MemoryWatch(0, read_bytes, lambda: now[0])()
    assert len(read_at) == 2
    now[0] = 11.1
    with pytest.raises(ConfigError, match="memory_mb = 100"):
        watch()


def test_the_priority_is_only_ever_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is nicer already stays so; GPUs are hidden from what it starts."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    calls: list[tuple[int, int, int]] = []
    now = os.getpriority(os.PRIO_PROCESS, 0)
    take_place(ResourcesSection(priority=max(0, now)), set_priority=lambda *call: calls.append(call))
    assert calls == []
    take_place(ResourcesSection(priority=19, gpu="none"), set_priority=lambda *call: calls.append(call))
    assert calls == ([(os.PRIO_PROCESS, 0, 19)] if now < 19 else [])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"


def test_usage_tells_time_memory_and_the_energy_of_every_package(tmp_path: Path) -> None:
    """A counter that went over its end counts on; sub-zones are part of their package and not added."""
    zones = {"intel-rapl:0": 900, "intel-rapl:1": 100, "intel-rapl:0:0": 5}
    for name, count in zones.items():
        zone = tmp_path / "powercap" / name
        zone.mkdir(parents=True)
        (zone / "energy_uj").write_text(str(count))
        (zone / "max_energy_range_uj").write_text("999")
    meter = Meter(proc=write_proc(tmp_path / "proc"), powercap=tmp_path / "powercap")
    sum(number * number for number in range(200_000))
    (tmp_path / "powercap" / "intel-rapl:0" / "energy_uj").write_text("100")
    (tmp_path / "powercap" / "intel-rapl:1" / "energy_uj").write_text("150")
    usage = meter.read()
    assert usage.energy_j == pytest.approx(250e-6)
    assert usage.peak_memory_bytes == (100 * 1024 + 24) * 1024
    assert usage.wall_s > 0
    assert usage.cpu_s > 0
    assert usage.figures().keys() == {"wall_s", "cpu_s", "peak_memory_bytes", "energy_j"}


def test_a_machine_without_counters_gives_no_energy(tmp_path: Path) -> None:
    """Left out, not zero."""
    usage = Meter(proc=write_proc(tmp_path / "proc"), powercap=tmp_path / "none").read()
    assert usage.energy_j is None
    assert "energy_j" not in usage.figures()
