"""`edgeferry publish`: sign a release and hand it to the fleet server."""

from __future__ import annotations

from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import Annotated

import typer

from edgeferry.output import print_json
from edgeferry.session import DEFAULT_SERVER, AsJson, Server, Token, connect


def publish(
    bundle: Annotated[Path, typer.Argument(help="The bundle folder that `edgeferry convert` wrote.")],
    *,
    key: Annotated[Path, typer.Option(help="The family's release key, release-MODEL.pem.")],
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    accept_override: Annotated[
        bool,
        typer.Option("--accept-override", help="Publish although the verdict was overridden; signed and recorded."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Sign a release and hand it to the fleet server."""
    from converter.bundle import load_bundle
    from edgeferry.publishing import publish_bundle

    loaded = load_bundle(bundle)
    view = publish_bundle(
        connect(server, token),
        loaded.manifest,
        loaded.folder / "blobs",
        release_key=key,
        now=datetime.now(UTC),
        say=lambda line: typer.echo(line, err=True),
        accepted_by=getuser() if accept_override else "",
    )
    if as_json:
        print_json(view)
    else:
        print(f"{view.model} v{view.version} published ({view.release_sha256[:16]})")
