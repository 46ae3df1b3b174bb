"""`edgeferry alert`: what the monitors found."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeferry.output import print_json, print_table, show_time
from edgeferry.session import DEFAULT_SERVER, AsJson, Server, Token, connect

app = typer.Typer(no_args_is_help=True, help="What the monitors found.", add_completion=False)


@app.command("list")
def list_(
    *,
    only_open: Annotated[bool, typer.Option("--open", help="Only those not resolved.")] = False,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Alerts, newest first."""
    alerts = list(connect(server, token).alerts(only_open=only_open))
    if as_json:
        print_json(alerts)
        return
    print_table(
        ("id", "at", "kind", "severity", "devices", "summary", "resolved"),
        [
            (
                each.id,
                show_time(each.at),
                each.kind,
                each.severity,
                ", ".join(each.device_ids),
                each.summary,
                show_time(each.resolved_at) if each.resolved_at else "no",
            )
            for each in alerts
        ],
    )


@app.command()
def resolve(
    alert: Annotated[int, typer.Argument(help="The alert's id.")], *, server: Server = DEFAULT_SERVER, token: Token = ""
) -> None:
    """Close an alert."""
    view = connect(server, token).resolve_alert(alert)
    print(f"alert {view.id} resolved")
