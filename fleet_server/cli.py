"""`edgeferry server` and `edgeferry keys`: the commands that run where the server and its keys are."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fleet_server.app import RunningServer

keys = typer.Typer(no_args_is_help=True, help="Make and extend the fleet's keys.")

KeysFolder = Annotated[Path, typer.Option("--keys", help="The folder that `edgeferry keys init` made.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def server(
    *,
    config: Annotated[Path | None, typer.Option(help="Configuration file (edgeferry-server.toml).")] = None,
    state_dir: Annotated[Path | None, typer.Option(help="Where the server keeps everything.")] = None,
    keys: Annotated[Path | None, typer.Option(help="The folder with online/ and metadata/.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on for HTTP.")] = None,
    port: Annotated[int | None, typer.Option(help="Port for HTTP; 0 takes a free one.")] = None,
    public_url: Annotated[str | None, typer.Option(help="Where devices and people reach the server.")] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM certificate for HTTPS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM key for HTTPS.")] = None,
    broker: Annotated[str | None, typer.Option(help="auto, embedded, mosquitto, or a URL.")] = None,
    broker_host: Annotated[str | None, typer.Option(help="Address that the broker listens on.")] = None,
    broker_port: Annotated[int | None, typer.Option(help="Port of the broker; 0 takes a free one once.")] = None,
    database_url: Annotated[str | None, typer.Option(help="SQL database, for instance postgresql+psycopg://.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run the fleet server until Ctrl-C or SIGTERM."""
    import logging
    import os

    from fleet_server.app import run_server
    from fleet_server.config import load_config

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    flags = {
        "state_dir": state_dir,
        "keys_dir": keys,
        "http_host": host,
        "http_port": port,
        "public_url": public_url,
        "tls_certificate": tls_certificate,
        "tls_key": tls_key,
        "broker": broker,
        "broker_host": broker_host,
        "broker_port": broker_port,
        "database_url": database_url,
    }
    loaded = load_config(config, os.environ, flags)
    run_server(loaded, lambda running: _announce(running, as_json=as_json))


@keys.command("init")
def init(
    *,
    out: Annotated[Path, typer.Option("--out", help="A new folder for the keys.")] = Path("KEYS"),
    model: Annotated[list[str] | None, typer.Option("--model", help="A model family; may be given again.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a fresh set of keys and the first signed metadata."""
    from fleet_server.keys import init_keys

    init_keys(out, model or [], now=datetime.now(UTC))
    _say(f"keys made in {out}: lock offline/ away; the server needs online/ and metadata/, publishers release/")
    files = sorted(str(path) for path in out.rglob("*") if path.is_file())
    _print(files, "\n".join(files), as_json=as_json)


@keys.command("delegate")
def delegate(
    *,
    model: Annotated[str, typer.Option("--model", help="The new model family.")],
    keys: KeysFolder = Path("KEYS"),
    as_json: AsJson = False,
) -> None:
    """Add a model family; needs the offline targets key."""
    from fleet_server.keys import delegate as add_family

    file = add_family(keys, model, now=datetime.now(UTC))
    _say(f"hand {file} to a running server with: edgeferry keys push {file}")
    _print(str(file), str(file), as_json=as_json)


@keys.command("push")
def push(
    file: Annotated[Path, typer.Argument(help="N.targets.json, as `edgeferry keys delegate` wrote it.")],
    *,
    server: Annotated[
        str, typer.Option("--server", envvar="EDGEFERRY_SERVER", help="Address of the fleet server.")
    ] = "http://127.0.0.1:8080",
    token: Annotated[str, typer.Option("--token", envvar="EDGEFERRY_TOKEN", help="An admin's token, or @FILE.")] = "",
) -> None:
    """Hand new offline-signed targets metadata to a running server."""
    from fleet_client import FleetClient

    secret = Path(token[1:]).read_text().strip() if token.startswith("@") else token
    FleetClient(server, secret).put_targets(file.read_bytes())
    _say(f"{server} has taken {file.name}")


def _announce(running: RunningServer, *, as_json: bool) -> None:
    address = running.broker.address
    broker_url = f"{'mqtts' if address.tls else 'mqtt'}://{address.host}:{address.port}"
    _say(f"broker  {running.broker.kind} at {broker_url} ({running.broker.why})")
    _say(f"http    {running.http_url}  (dashboard at /, API at /api/v1)")
    made = "written just now" if running.made_admin else "as written at the first start"
    _say(f"admin   token in {running.admin_token_file} ({made})")
    if as_json:
        facts = {
            "http_url": running.http_url,
            "broker": running.broker.kind,
            "broker_why": running.broker.why,
            "broker_url": broker_url,
            "admin_token_file": str(running.admin_token_file),
        }
        _print(facts, "", as_json=True)


def _say(line: str) -> None:
    from rich.console import Console

    Console(stderr=True, soft_wrap=True, highlight=False).print(line, markup=False)


def _print(value: object, text: str, *, as_json: bool) -> None:
    import sys

    import msgspec

    print(msgspec.json.encode(value).decode() if as_json else text)
    sys.stdout.flush()
