"""The one command, `edgeferry`: sub-commands are imported only when they are called.

So `edgeferry --help` is quick and works in every install; a command whose extra is missing says which to install.
All errors of ours end here, as an `error:` line, a `hint:` line and the exit code of their family.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple

from edgeferry.exit_codes import ExitCode, exit_code
from fleet_contract.errors import EdgeferryError, MissingExtraError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Lazy(NamedTuple):
    """A command: where it lives, which extra it needs, and its line in the help."""

    target: str
    extra: str
    help: str


COMMANDS: Final[dict[str, Lazy]] = {
    "init": Lazy("trainer.cli:init", "trainer", "Write a new project folder."),
    "train": Lazy("edgeferry.commands.train:train", "trainer", "Data to a validated candidate."),
    "tune": Lazy("trainer.cli_tune:tune", "trainer", "Search hyperparameters; a study goes on where it stopped."),
    "convert": Lazy("converter.cli:convert", "converter", "A candidate to proven TFLite and ONNX variants."),
    "import": Lazy("converter.cli_import:import_model", "converter", "A foreign model to proven variants."),
    "publish": Lazy("edgeferry.commands.publish:publish", "server", "Sign a release and hand it to the fleet server."),
    "predict": Lazy("edgeferry.commands.predict:predict", "converter", "A released variant over a whole data set."),
    "status": Lazy("edgeferry.commands.status:status", "", "The fleet at a glance."),
    "demo": Lazy("edgeferry.demo.story:demo", "all", "The whole loop on this machine."),
    "doctor": Lazy("edgeferry.commands.doctor:doctor", "", "What this machine has and can do."),
    "rollout": Lazy("edgeferry.commands.rollout:app", "", "Bring a release to the fleet, in gated stages."),
    "release": Lazy("edgeferry.commands.release:app", "", "Published releases and their aliases."),
    "device": Lazy("edgeferry.commands.device:app", "", "Claims, devices, labels, history, commands."),
    "alert": Lazy("edgeferry.commands.alert:app", "", "What the monitors found."),
    "retrain": Lazy("edgeferry.commands.retrain:app", "", "Requests for a new iteration, and their samples."),
    "audit": Lazy("edgeferry.commands.audit:app", "", "Who did what."),
    "user": Lazy("edgeferry.commands.user:app", "", "Users and tokens."),
    "server": Lazy("fleet_server.cli:server", "server", "Run the fleet server."),
    "keys": Lazy("fleet_server.cli:keys", "server", "Make and extend the fleet's keys."),
    "agent": Lazy("device_agent.cli:app", "agent", "Run a device."),
    "runtimes": Lazy("converter.cli_runtimes:app", "", "Old and other runtimes in which every variant is tried."),
    "worker": Lazy("edgeferry.commands.worker:worker", "all", "Train what the fleet asks for."),
    "data": Lazy("trainer.cli_data:app", "trainer", "Look at data, review their schema, verify them."),
    "lineage": Lazy("edgeferry.commands.lineage:lineage", "", "Where a release comes from and where it runs."),
    "score": Lazy("trainer.cli_score:score", "trainer", "The ML Test Score of a project, with its evidence."),
    "ci": Lazy("edgeferry.commands.ci:ci", "all", "All that a change must pass, with a summary."),
    "runs": Lazy("trainer.cli_runs:app", "trainer", "Training runs and their verdicts."),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and leaves the process with its exit code."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """The exit code of `edgeferry ARGUMENTS`. Never raises for errors of ours, usage or Ctrl-C."""
    verbose = os.environ.get("EDGEFERRY_VERBOSE", "") not in {"", "0"}
    try:
        return _invoke(arguments)
    except EdgeferryError as error:
        return _report(error, verbose=verbose)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        sys.stdout = None  # whoever read our output has left; nothing to flush
        return ExitCode.OK
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EROFS, errno.EDQUOT}:
            raise
        return _report(
            StorageError(f"cannot write {error.filename or ''}: {error.strerror}", hint="make room, then try again"),
            verbose=verbose,
        )


def _report(error: EdgeferryError, *, verbose: bool) -> int:
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
    if verbose:
        traceback.print_exception(error)
    return int(exit_code(error))


def _invoke(arguments: list[str]) -> int:
    name = arguments[0] if arguments else "--help"
    if name in {"--help", "-h", "help"}:
        print(_help())
        return ExitCode.OK
    if name == "--version":
        from importlib.metadata import version

        print(f"edgeferry {version('edgeferry')}")
        return ExitCode.OK
    if name not in COMMANDS:
        return _unknown(name)
    return _run_click(_load(name), name, arguments[1:])


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items()]
    head = "Usage: edgeferry COMMAND ...\n\nModels to fleets of small computers, and healthy there.\n\nCommands:\n"
    return head + "\n".join(lines) + "\n\n`edgeferry COMMAND --help` tells more. EDGEFERRY_VERBOSE=1 shows tracebacks."


def _unknown(name: str) -> int:
    from difflib import get_close_matches

    near = get_close_matches(name, COMMANDS, n=1)
    print(f"error: unknown command {name!r}", file=sys.stderr)
    print(f"hint: {f'did you mean {near[0]!r}?' if near else 'edgeferry --help lists them'}", file=sys.stderr)
    return ExitCode.USAGE


def _load(name: str) -> Callable[..., object]:
    """What a command's target names: a function or a Typer application.

    Raises:
        MissingExtraError: the command's part needs a library that is not installed.
    """
    command = COMMANDS[name]
    module, _, attribute = command.target.partition(":")
    try:
        loaded: Callable[..., object] = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise _missing(command, error) from error
    return loaded


def _missing(command: Lazy, error: ModuleNotFoundError) -> Exception:
    ours = ("edgeferry", "fleet_", "trainer", "converter", "device_agent")
    if not command.extra or (error.name or "").startswith(ours):
        return error
    return MissingExtraError.for_extra(command.extra, error.name or "a library")


def _run_click(target: Callable[..., object], name: str, arguments: list[str]) -> int:
    import typer

    if isinstance(target, typer.Typer):
        application = target
    else:
        application = typer.Typer(add_completion=False)
        application.command()(target)
    command = typer.main.get_command(application)
    try:
        result = command.main(arguments, prog_name=f"edgeferry {name}", standalone_mode=False)
    except ModuleNotFoundError as error:
        raise _missing(COMMANDS[name], error) from error
    except typer.Exit as leave:
        return leave.exit_code
    except typer.Abort:
        raise KeyboardInterrupt from None
    except Exception as error:
        show = getattr(error, "show", None)
        if show is None or not hasattr(error, "exit_code"):
            raise
        show()  # click's usage errors print usage and message to stderr
        return ExitCode.USAGE
    if result == ExitCode.INTERRUPTED:  # what typer makes of Ctrl-C
        raise KeyboardInterrupt
    return result if isinstance(result, int) else ExitCode.OK
