"""A worker of a search, as a process of its own: `python -m trainer.tuning.worker`, with its order as JSON on stdin."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from fleet_contract.errors import EdgeferryError
from trainer.progress import Silent
from trainer.project import Project
from trainer.settings import ProjectFile
from trainer.training.resources import take_place
from trainer.tuning.tune import Search, search


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a worker is to do; `settings` are those of the project file, with what flags changed."""

    folder: str
    settings: ProjectFile
    trials: int
    timeout_s: float
    threads: int


def work(order: Order) -> None:
    """Searches until the study has its trials.

    Raises:
        EdgeferryError: as `trainer.tuning.tune.search`.
    """
    settings = order.settings
    resources = msgspec.structs.replace(settings.resources, threads=order.threads)
    take_place(resources)
    project = Project(Path(order.folder), msgspec.structs.replace(settings, resources=resources))
    search(
        project,
        Search(trials=order.trials, timeout_s=order.timeout_s),
        progress=Silent(),
        on_trial=lambda _view: None,
    )


def main() -> int:
    """The exit code: 0 when the search is done, 1 with the error's words on stderr, 130 when it was stopped."""
    try:
        work(msgspec.json.decode(sys.stdin.buffer.read(), type=Order))
    except EdgeferryError as error:
        sys.stderr.write(f"worker: {error.message}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
