"""The demo's world: a server, five devices with different profiles, and the cameras that look through them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from edgeferry.demo.camera import Camera
from edgeferry.demo.iterations import MODEL
from edgeferry.demo.processes import Processes, free_port, wait_for
from edgeferry.rollout_plan import read_plan
from fleet_client import FleetClient
from fleet_contract.api import ClaimCreate, DeviceView, RolloutView
from fleet_contract.device_profile import Runtime
from fleet_contract.errors import EdgeferryError, UnreachableError
from fleet_contract.rollout import ROLLOUT_ENDED

if TYPE_CHECKING:
    from pathlib import Path

    from edgeferry.demo.field import Field


@dataclass(frozen=True, slots=True)
class DeviceKind:
    """A device of the demo: its id, what it pretends to be, and what it may use."""

    device_id: str
    hardware: str
    runtimes: tuple[Runtime, ...]
    memory_budget_mb: int = 0


DEVICES: Final = (
    DeviceKind("pi4-door", "pi4", (Runtime.TFLITE,)),
    DeviceKind("pi5-gate", "pi5", (Runtime.TFLITE, Runtime.ONNX)),
    DeviceKind("zero-shed", "pi-zero-2w", (Runtime.TFLITE,), memory_budget_mb=72),
    DeviceKind("jetson-dock", "jetson", (Runtime.ONNX,)),
    DeviceKind("jetson-yard", "jetson", (Runtime.ONNX,)),
)

PLAN: Final = """\
[[stages]]
name = "canary"
count = 2
stratify = false
soak_s = 1.0
step_timeout_s = 60.0
gate = { max_failures = 0 }

[[stages]]
name = "all"
fraction = 1.0
soak_s = 1.0
step_timeout_s = 60.0
gate = { max_failures = 0 }

[probation]
min_duration_s = 2.0
max_duration_s = 60.0
min_inferences = 40
"""
SERVER_CONFIG: Final = """\
state_dir = "{state}"
keys_dir = "{keys}"
http_port = {port}
broker = "{broker}"
broker_port = {broker_port}

[telemetry]
window_s = 1.0
publish_every_s = 1.0
min_frames = 20

[monitoring]
baseline_windows = 16
min_frames = 20
evaluate_every_s = 1.0

[retrain]
cool_down_s = 600.0
min_labelled = 150
collect_max_samples = 80
collect_max_bytes = 200000
collect_duration_s = 6.0
"""


@dataclass(slots=True)
class World:
    """Everything that runs. `images` is what the devices look at."""

    folder: Path
    processes: Processes
    images: Field
    broker: str
    port: int = field(default_factory=free_port)
    broker_port: int = field(default_factory=free_port)
    cameras: dict[str, Camera] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def keys(self) -> Path:
        """The fleet's keys."""
        return self.folder / "keys"

    @property
    def token_file(self) -> Path:
        """The first administrator's token."""
        return self.folder / "server" / "admin.token"

    @property
    def plan_file(self) -> Path:
        """How the demo rolls out: quick stages and a short probation."""
        return self.folder / "plan.toml"

    def client(self) -> FleetClient:
        """A client with the administrator's token."""
        return FleetClient(self.url, self.token_file.read_text().strip())

    def start_server(self) -> None:
        """Starts the fleet server and waits until it is ready."""
        self.plan_file.write_text(PLAN)
        config = self.folder / "server.toml"
        config.write_text(
            SERVER_CONFIG.format(
                state=self.folder / "server",
                keys=self.keys,
                broker=self.broker,
                port=self.port,
                broker_port=self.broker_port,
            )
        )
        self.processes.start("server", ["-m", "edgeferry", "server", "--config", str(config)])
        probe = FleetClient(self.url, tries=1, timeout_s=2.0)
        wait_for("the server", lambda: self._answers(probe), timeout_s=40.0)

    def _answers(self, probe: FleetClient) -> bool:
        if not self.processes.alive("server"):
            raise UnreachableError("the fleet server ended at once", hint=self.processes.tail("server"))
        try:
            return probe.healthy() and self.token_file.exists()
        except EdgeferryError:
            return False

    def enrol(self, kind: DeviceKind) -> None:
        """Claims a device and starts its agent as a process of its own."""
        claim = self.client().claim(
            ClaimCreate(device_id=kind.device_id, labels={"sampling": "allowed", "site": kind.device_id})
        )
        config = self.folder / f"{kind.device_id}.toml"
        runtimes = ", ".join(f'"{runtime}"' for runtime in kind.runtimes)
        config.write_text(
            f'server_url = "{self.url}"\nhardware = "{kind.hardware}"\n'
            f"memory_budget_mb = {kind.memory_budget_mb}\nruntimes = [{runtimes}]\nmin_free_mb = 1\n"
        )
        state = self.folder / kind.device_id
        self.processes.start(
            kind.device_id,
            ["-m", "device_agent", "--state-dir", str(state), "--config", str(config), "--claim", claim.token],
        )

    def online(self) -> int:
        """How many devices are online.

        Raises:
            UnreachableError: an agent process has ended.
        """
        for kind in DEVICES:
            if not self.processes.alive(kind.device_id):
                raise UnreachableError(f"agent {kind.device_id} ended", hint=self.processes.tail(kind.device_id))
        return sum(device.online for device in self.devices().values())

    def devices(self) -> dict[str, DeviceView]:
        """All devices as the server knows them."""
        return {device.device_id: device for device in self.client().devices()}

    def ports(self) -> dict[str, int]:
        """The loopback port of each device's model host."""
        return {name: view.slots[0].host_port for name, view in self.devices().items() if view.slots}

    def running(self) -> dict[str, int]:
        """The version that each device serves; 0 for none."""
        found = {}
        for name, view in self.devices().items():
            active = view.slots[0].active if view.slots else None
            found[name] = active.version if active else 0
        return found

    def variants(self) -> dict[str, str]:
        """The variant that each device chose."""
        views = self.devices().items()
        return {name: view.slots[0].active.variant for name, view in views if view.slots and view.slots[0].active}

    def start_cameras(self) -> None:
        """One camera a device, which sends frames from now on."""
        for number, (name, port) in enumerate(sorted(self.ports().items())):
            if port and name not in self.cameras:
                camera = Camera(port, MODEL, self.images.stream_BHWC, seed=number, pause_s=0.11)
                self.cameras[name] = camera
                camera.start()

    def stop_cameras(self) -> None:
        """All cameras end."""
        for camera in self.cameras.values():
            camera.stop()

    def roll_out(self, version: int, *, select: dict[str, str] | None = None) -> RolloutView:
        """Starts a rollout and follows it to its end, with a camera on every device that serves."""
        client = self.client()
        plan = replace(read_plan(self.plan_file), selector=select or {})
        rollout = client.start_rollout(plan.request(MODEL, version)).id
        wait_for(f"rollout of v{version}", lambda: self._has_ended(client, rollout), timeout_s=90.0)
        return client.rollout(rollout)

    def _has_ended(self, client: FleetClient, rollout: str) -> bool:
        self.start_cameras()
        return client.rollout(rollout).state in ROLLOUT_ENDED
