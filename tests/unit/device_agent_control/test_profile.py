"""What a device says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from device_agent.config import AgentConfig
from device_agent.profile import board_name, detect_profile, found_accelerators
from fleet_contract.device_profile import Runtime, RuntimeInfo

if TYPE_CHECKING:
    from pathlib import Path

RUNTIMES = (
    RuntimeInfo(runtime=Runtime.TFLITE, implementation="ai-edge-litert", version="2.3.0"),
    RuntimeInfo(runtime=Runtime.ONNX, implementation="onnxruntime", version="1.23.0"),
)


def test_a_pi_is_named_by_its_device_tree(tmp_path: Path) -> None:
    """The board's own words become a word that operators can select by."""
    model = tmp_path / "proc/device-tree/model"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    assert board_name(tmp_path) == "raspberry-pi-5-model-b-rev-1-0"


def test_settings_beat_what_is_detected_and_limit_runtimes(tmp_path: Path) -> None:
    """`hardware` is taken as told; a runtime that is not allowed is not offered."""
    config = AgentConfig(state_dir="s", hardware="pi5", runtimes=(Runtime.ONNX,), memory_budget_mb=256)
    profile = detect_profile("pi", config, RUNTIMES, root=tmp_path)
    assert (profile.hardware, profile.memory_budget_mb) == ("pi5", 256)
    assert profile.runtimes == RUNTIMES[1:]
    assert profile.ram_mb > 0


def test_accelerators_are_found_by_their_files(tmp_path: Path) -> None:
    """A Jetson is named once, although two files tell of it."""
    for file in ("dev/nvidia0", "etc/nv_tegra_release", "dev/apex_0"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert found_accelerators(tmp_path) == ("cuda", "edgetpu")
