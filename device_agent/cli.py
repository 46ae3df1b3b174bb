"""`edgeferry agent`: run, enrol, status. The running agent is another, lighter process: `python -m device_agent`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Run a device.")

StateDir = Annotated[Path, typer.Option(help="Folder of this device's identity, state, releases and blobs.")]
Server = Annotated[str | None, typer.Option(help="URL of the fleet server; remembered at enrolment.")]
Claim = Annotated[str | None, typer.Option(help="One-time claim of `edgeferry device claim`.")]
Config = Annotated[Path | None, typer.Option(help="TOML file with settings.")]
Hardware = Annotated[str | None, typer.Option(help="Word that rollouts stratify by, for instance pi5.")]
MemoryBudget = Annotated[int | None, typer.Option(help="RAM for the model host; 0: no limit.")]
Runtimes = Annotated[list[str] | None, typer.Option("--runtime", help="Use only these: tflite, onnx. Repeatable.")]
Port = Annotated[int | None, typer.Option(help="Port of the model host; 0: a free one.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable.")]


@app.command()
def run(
    *,
    state_dir: StateDir,
    server: Server = None,
    claim: Claim = None,
    config: Config = None,
    hardware: Hardware = None,
    memory_budget_mb: MemoryBudget = None,
    runtime: Runtimes = None,
    port: Port = None,
) -> None:
    """Run the agent; with --server and --claim the device enrols first."""
    from device_agent.launch import agent_arguments, become_agent, enrol_device, needs_enrolment, settings

    flags: dict[str, object] = {
        "state_dir": str(state_dir),
        "server_url": server,
        "hardware": hardware,
        "memory_budget_mb": memory_budget_mb,
        "runtimes": runtime or None,
        "host_port": port,
    }
    config_file = str(config) if config else None
    chosen = settings(config_file, flags)
    if needs_enrolment(chosen, claim):
        typer.echo(f"enrolled as {enrol_device(chosen, claim or '').membership.device_id}", err=True)
    become_agent(
        agent_arguments(
            state_dir=str(state_dir),
            config_file=config_file,
            server_url=server,
            hardware=hardware,
            memory_budget_mb=memory_budget_mb,
            runtimes=runtime or [],
            host_port=port,
        )
    )


@app.command()
def enrol(
    *,
    state_dir: StateDir,
    server: Server = None,
    claim: Claim = None,
    config: Config = None,
    hardware: Hardware = None,
    json: Json = False,
) -> None:
    """Enrol this device: make its key, trade the claim for a certificate, pin the root of trust."""
    from device_agent.identity import load_identity
    from device_agent.launch import enrol_device, needs_enrolment, settings
    from fleet_contract.codec import encode

    chosen = settings(
        str(config) if config else None, {"state_dir": str(state_dir), "server_url": server, "hardware": hardware}
    )
    if needs_enrolment(chosen, claim):
        enrol_device(chosen, claim or "")
    membership = load_identity(state_dir).membership
    if json:
        public = {"device_id": membership.device_id, "tenant": membership.tenant, "server_url": membership.server_url}
        typer.echo(encode(public).decode())
    else:
        typer.echo(f"{membership.device_id}  {membership.server_url}")


@app.command()
def status(*, state_dir: StateDir, json: Json = False) -> None:
    """What runs on this device, from its state folder."""
    from device_agent.status import read_status
    from fleet_contract.codec import encode

    found = read_status(state_dir)
    if json:
        typer.echo(encode(found).decode())
        return
    typer.echo(f"device   {found.device_id}  {found.server_url}  desired rev {found.desired_rev}")
    for slot in found.slots:
        active = f"{slot.active.model} v{slot.active.version} {slot.active.variant}" if slot.active else "nothing"
        typer.echo(f"slot     {slot.slot}: {active}, {slot.state}" + (f": {slot.error.detail}" if slot.error else ""))
    typer.echo(f"waiting  {found.waiting} messages, {found.windows} windows; dropped {found.dropped_messages}")
