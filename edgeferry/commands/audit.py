"""`edgeferry audit`: who did what."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from edgeferry.output import print_json, print_table, show_time
from edgeferry.session import DEFAULT_SERVER, AsJson, Server, Token, connect
from fleet_contract.errors import TrustError

app = typer.Typer(no_args_is_help=True, help="Who did what.", add_completion=False)


@app.command("list")
def list_(
    *,
    limit: Annotated[int, typer.Option(help="How many of the newest entries.")] = 50,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """The newest entries."""
    entries = list(islice(connect(server, token).audit(), limit))
    if as_json:
        print_json(entries)
        return
    print_table(
        ("id", "at", "actor", "action", "subject", "detail"),
        [(each.id, show_time(each.at), each.actor, each.action, each.subject, each.detail) for each in entries],
    )


@app.command()
def verify(*, server: Server = DEFAULT_SERVER, token: Token = "") -> None:
    """Recompute the hash chain."""
    check = connect(server, token).verify_audit()
    if not check.intact:
        raise TrustError(f"the audit log's hash chain is broken ({check.entries} entries)")
    print(f"intact, {check.entries} entries")
