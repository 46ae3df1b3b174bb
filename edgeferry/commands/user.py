"""`edgeferry user`: users and tokens."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeferry.output import print_json, print_table, show_time
from edgeferry.session import DEFAULT_SERVER, AsJson, Server, Token, connect
from fleet_contract.api import Role, UserCreate

app = typer.Typer(no_args_is_help=True, help="Users and tokens.", add_completion=False)

Name = Annotated[str, typer.Argument(help="The user's name.")]


@app.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Argument(help="What the user may do.")],
    *,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Make a user; the token is shown this once."""
    created = connect(server, token).add_user(UserCreate(name=name, role=role))
    if as_json:
        print_json(created)
    else:
        print(created.token)


@app.command("list")
def list_(*, server: Server = DEFAULT_SERVER, token: Token = "", as_json: AsJson = False) -> None:
    """All users."""
    users = list(connect(server, token).users())
    if as_json:
        print_json(users)
    else:
        print_table(("name", "role", "since"), [(each.name, each.role, show_time(each.created_at)) for each in users])


@app.command()
def remove(name: Name, *, server: Server = DEFAULT_SERVER, token: Token = "") -> None:
    """Take a user's token back."""
    connect(server, token).remove_user(name)
    print(f"{name} removed")
