"""`edgeferry worker`: train what the fleet asks for."""

from __future__ import annotations

import random
import socket
import time
from os import getpid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeferry.output import print_json
from edgeferry.session import DEFAULT_SERVER, AsJson, Server, Token, connect
from fleet_contract.errors import GateError, UnreachableError

if TYPE_CHECKING:
    from trainer.worker import WorkOutcome

LONGEST_PAUSE_S = 60.0


def worker(
    *,
    project: Annotated[Path, typer.Option("--project", "-p", help="The project that requests are trained with.")],
    key: Annotated[Path, typer.Option(help="The family's release key, release-MODEL.pem.")],
    plan: Annotated[Path | None, typer.Option(help="Rollout plan; without one the default stages.")] = None,
    no_rollout: Annotated[bool, typer.Option("--no-rollout", help="Publish only.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Work on one request, waiting for it, then end.")] = False,
    poll_s: Annotated[float, typer.Option(help="Seconds between asking for work.", min=0.2)] = 10.0,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Lease retrain requests, train, gate, convert, publish, open the rollout."""
    from edgeferry.retraining import FleetReleaser, ServerQueue, SystemClock
    from edgeferry.rollout_plan import read_plan
    from trainer.console import TerminalProgress
    from trainer.project import load_project
    from trainer.worker import run_once

    loaded = load_project(project)
    chosen = None if no_rollout else read_plan(plan)
    client = connect(server, token)
    owner = f"{socket.gethostname()}-{getpid()}"
    failures = 0
    while True:
        try:
            with TerminalProgress() as progress:
                outcome = run_once(
                    loaded,
                    ServerQueue(client),
                    FleetReleaser(client, key, chosen, progress),
                    owner=owner,
                    work_folder=loaded.folder / "candidates",
                    clock=SystemClock(),
                    progress=progress,
                )
            failures = 0
        except UnreachableError as error:
            failures += 1
            typer.echo(f"{error.message}; asking again", err=True)
            outcome = None
        if outcome is not None:
            _tell(outcome, as_json=as_json)
            if once:
                _require_release(outcome)
                return
        time.sleep(random.uniform(0.5, 1.0) * min(LONGEST_PAUSE_S, poll_s * 2**failures))  # noqa: S311 - jitter


def _tell(outcome: WorkOutcome, *, as_json: bool) -> None:
    result = outcome.result
    if as_json:
        print_json({"request_id": outcome.request_id, "result": result})
    elif result is None:
        print(f"request {outcome.request_id}: the lease was lost, nothing was released")
    elif result.failed:
        print(f"request {outcome.request_id}: failed, {result.detail}")
    else:
        print(f"request {outcome.request_id}: v{result.version} released, rollout {result.rollout_id or 'left to you'}")


def _require_release(outcome: WorkOutcome) -> None:
    if outcome.result is None or outcome.result.failed:
        detail = outcome.result.detail if outcome.result else "the lease was lost"
        raise GateError(f"request {outcome.request_id} came to no release: {detail}")
