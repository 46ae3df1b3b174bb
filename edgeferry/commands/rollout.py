"""`edgeferry rollout`: bring a release to the fleet, in gated stages."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from edgeferry.commands.device import parse_pairs
from edgeferry.output import print_json, print_table, show_time
from edgeferry.rollout_plan import read_plan
from edgeferry.session import DEFAULT_SERVER, AsJson, Server, Token, connect
from fleet_contract.api import RolloutView
from fleet_contract.errors import ConfigError, GateError
from fleet_contract.rollout import ROLLOUT_ENDED, OnFailure, RolloutState

if TYPE_CHECKING:
    from fleet_client import FleetClient

app = typer.Typer(no_args_is_help=True, help="Bring a release to the fleet, in gated stages.", add_completion=False)

Release = Annotated[str, typer.Argument(metavar="MODEL[@VERSION]", help="Version or alias; the newest unless told.")]
RolloutId = Annotated[str, typer.Argument(help="The rollout's id.")]


@app.command()
def start(
    release: Release,
    *,
    plan: Annotated[Path | None, typer.Option(help="TOML file with stages and policies.")] = None,
    slot: Annotated[str, typer.Option(help="Slot on the devices; main unless told.")] = "",
    select: Annotated[
        list[str] | None, typer.Option("--select", help="key=value; label or hardware; repeatable.")
    ] = None,
    on_failure: Annotated[
        OnFailure | None, typer.Option(help="What a failed stage does; roll-back unless told.")
    ] = None,
    approval: Annotated[bool, typer.Option("--approval", help="Wait for `rollout approve`.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Start a rollout of a release."""
    client = connect(server, token)
    model, _, version = release.partition("@")
    wanted = client.release(model, version) if version else next(client.releases(model=model), None)
    if wanted is None:
        raise ConfigError(f"model {model!r} has no release", hint="edgeferry release list")
    chosen = read_plan(plan)
    changes: dict[str, object] = {"selector": parse_pairs(select)} if select else {}
    changes |= {"slot": slot} if slot else {}
    changes |= {"on_failure": on_failure} if on_failure else {}
    request = msgspec.structs.replace(chosen, approval=approval or chosen.approval, **changes).request(
        wanted.model, wanted.version
    )
    view = client.start_rollout(request)
    if watch:
        view = _follow(client, view, quiet=as_json)
    _show(view, as_json=as_json)
    if watch and view.state is not RolloutState.COMPLETED:
        raise GateError(f"rollout {view.id} ended {view.state}: {view.reason}")


@app.command("list")
def list_(*, server: Server = DEFAULT_SERVER, token: Token = "", as_json: AsJson = False) -> None:
    """All rollouts, newest first."""
    rollouts = list(connect(server, token).rollouts())
    if as_json:
        print_json(rollouts)
        return
    print_table(
        ("id", "release", "state", "created", "by", "reason"),
        [
            (
                each.id,
                f"{each.model} v{each.version}",
                each.state,
                show_time(each.created_at),
                each.created_by,
                each.reason,
            )
            for each in rollouts
        ],
    )


@app.command("status")
def status_(
    rollout: RolloutId,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """One rollout with its stages and devices."""
    client = connect(server, token)
    view = client.rollout(rollout)
    if watch:
        view = _follow(client, view, quiet=as_json)
    _show(view, as_json=as_json)
    if not as_json:
        print_table(
            ("device", "stage", "state", "variant", "why"),
            [
                (each.device_id, each.stage, each.state, each.variant, each.error.detail if each.error else "")
                for each in client.rollout_devices(rollout)
            ],
        )


@app.command()
def approve(rollout: RolloutId, *, server: Server = DEFAULT_SERVER, token: Token = "") -> None:
    """Let a rollout that waits for approval begin."""
    _show(connect(server, token).steer_rollout(rollout, "approve"), as_json=False)


@app.command()
def pause(rollout: RolloutId, *, server: Server = DEFAULT_SERVER, token: Token = "") -> None:
    """Give no further device the release; those at work go on."""
    _show(connect(server, token).steer_rollout(rollout, "pause"), as_json=False)


@app.command()
def resume(rollout: RolloutId, *, server: Server = DEFAULT_SERVER, token: Token = "") -> None:
    """Go on with a paused rollout."""
    _show(connect(server, token).steer_rollout(rollout, "resume"), as_json=False)


@app.command()
def abort(rollout: RolloutId, *, server: Server = DEFAULT_SERVER, token: Token = "") -> None:
    """End it; devices keep what they run."""
    _show(connect(server, token).steer_rollout(rollout, "abort"), as_json=False)


@app.command("roll-back")
def roll_back(rollout: RolloutId, *, server: Server = DEFAULT_SERVER, token: Token = "") -> None:
    """Take every device back to what it ran before."""
    _show(connect(server, token).steer_rollout(rollout, "roll-back"), as_json=False)


def _follow(client: FleetClient, view: RolloutView, *, quiet: bool) -> RolloutView:
    """Asks twice a second until the rollout has ended; says each change on stderr."""
    seen = ""
    while view.state not in ROLLOUT_ENDED and view.state is not RolloutState.PAUSED:
        line = " > ".join(f"{stage.name} {stage.state} {dict(stage.counts)}" for stage in view.stages)
        if line != seen and not quiet:
            typer.echo(f"{view.state}: {line}", err=True)
        seen = line
        time.sleep(0.5)
        view = client.rollout(view.id)
    return view


def _show(view: RolloutView, *, as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    print(
        f"rollout {view.id}: {view.model} v{view.version} is {view.state}{f' ({view.reason})' if view.reason else ''}"
    )
    print_table(
        ("stage", "state", "devices", "counts", "reason"),
        [
            (
                each.name,
                each.state,
                each.device_count,
                ", ".join(f"{k} {v}" for k, v in each.counts.items()),
                each.reason,
            )
            for each in view.stages
        ],
    )
