"""`edgeferry device`: claims, devices, labels, history, commands."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from edgeferry.output import print_json, print_table, show_time
from edgeferry.session import DEFAULT_SERVER, AsJson, Server, Token, connect
from fleet_contract.api import ClaimCreate, CommandCreate
from fleet_contract.errors import ConfigError
from fleet_contract.messages import CommandName

app = typer.Typer(no_args_is_help=True, help="Claims, devices, labels, history, commands.", add_completion=False)

Device = Annotated[str, typer.Argument(help="The device's id.")]


@app.command()
def claim(
    device: Device,
    *,
    label: Annotated[list[str] | None, typer.Option("--label", help="key=value; repeatable.")] = None,
    ttl_s: Annotated[float, typer.Option(help="How long the claim is good for, in seconds.")] = 86400.0,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Make a one-time claim token for a new device."""
    created = connect(server, token).claim(ClaimCreate(device_id=device, labels=parse_pairs(label or []), ttl_s=ttl_s))
    if as_json:
        print_json(created)
    else:
        print(created.token)


@app.command("list")
def list_(
    *,
    label: Annotated[str, typer.Option(help="key:value")] = "",
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """All devices."""
    devices = list(connect(server, token).devices(label=label))
    if as_json:
        print_json(devices)
        return
    print_table(
        ("device", "online", "hardware", "labels", "last seen"),
        [
            (
                each.device_id,
                "yes" if each.online else "no",
                each.profile.hardware if each.profile else "?",
                ", ".join(f"{key}={value}" for key, value in each.labels.items()),
                show_time(each.last_seen_at),
            )
            for each in devices
        ],
    )


@app.command()
def show(device: Device, *, server: Server = DEFAULT_SERVER, token: Token = "", as_json: AsJson = False) -> None:
    """One device with the newest of its history."""
    client = connect(server, token)
    view = client.device(device)
    if as_json:
        print_json(view)
        return
    print(f"{view.device_id}: {'online' if view.online else 'offline'}, last seen {show_time(view.last_seen_at)}")
    print_table(
        ("slot", "state", "runs", "before", "why"),
        [
            (
                slot.slot,
                slot.state,
                f"{slot.active.model} v{slot.active.version} {slot.active.variant}" if slot.active else "-",
                f"{slot.previous.model} v{slot.previous.version}" if slot.previous else "-",
                slot.error.detail if slot.error else "",
            )
            for slot in view.slots
        ],
    )
    print_table(
        ("at", "event", "from", "to", "release", "why"),
        [
            (
                show_time(each.at),
                each.event,
                each.from_state,
                each.to_state,
                f"{each.model} v{each.version}",
                each.error.detail if each.error else each.detail,
            )
            for each in islice(client.device_events(device), 30)
        ],
    )


@app.command("label")
def label_(
    device: Device,
    pairs: Annotated[list[str], typer.Argument(help="key=value; an empty value removes the label.")],
    *,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
) -> None:
    """Add, change or remove labels."""
    view = connect(server, token).set_labels(device, parse_pairs(pairs, allow_empty=True))
    print(", ".join(f"{key}={value}" for key, value in sorted(view.labels.items())))


@app.command()
def command(
    device: Device,
    name: Annotated[CommandName, typer.Argument(help="What to do.")],
    *,
    slot: str = "main",
    max_samples: Annotated[int, typer.Option(help="For collect.")] = 100,
    max_bytes: Annotated[int, typer.Option(help="For collect: byte budget.")] = 1_000_000,
    duration_s: Annotated[float, typer.Option(help="For collect: how long to look at inputs.")] = 60.0,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
) -> None:
    """Send a signed command."""
    request = CommandCreate(name=name, slot=slot, max_samples=max_samples, max_bytes=max_bytes, duration_s=duration_s)
    print(connect(server, token).command(device, request).id)


@app.command()
def remove(device: Device, *, server: Server = DEFAULT_SERVER, token: Token = "") -> None:
    """Decommission a device: its credentials are worthless from now on."""
    connect(server, token).decommission(device)
    print(f"{device} is decommissioned", flush=True)


def parse_pairs(pairs: list[str], *, allow_empty: bool = False) -> dict[str, str]:
    """`key=value` words as a mapping.

    Raises:
        ConfigError: a word is none.
    """
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals or not (value or allow_empty):
            raise ConfigError(f"label: got {pair!r}, expected key=value")
        found[key] = value
    return found
