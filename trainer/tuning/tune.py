"""The search for good settings: trials until there are enough, here or in worker processes that share the study.

    study = search(project, Search(trials=20), progress=Silent(), on_trial=print)

Rules: `trials` counts the trials of the study, also those of earlier searches, so that an interrupted search goes on to
the same end; a trial that cannot be trained counts as failed and the search goes on, unless all fail.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from fleet_contract.errors import EdgeferryError, ModelError, UnreachableError
from trainer.records.tracking import tracked_run
from trainer.stages import ingest, split_and_fit, verify
from trainer.tuning.space import dimensions
from trainer.tuning.stop import stop_signals
from trainer.tuning.study import open_study
from trainer.tuning.trial import TrialRunner
from trainer.tuning.turns import POLL_S, SurplusError, Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trainer.progress import Progress
    from trainer.project import Project
    from trainer.stages import Prepared
    from trainer.tuning.study import Study, StudyView

STOP_WAIT_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Search:
    """How long to search: until the study has `trials`, or for `timeout_s` (0: no limit)."""

    trials: int
    timeout_s: float = 0.0


def search(project: Project, plan: Search, *, progress: Progress, on_trial: Callable[[StudyView], None]) -> Study:
    """Runs trials in this process until the plan is done; other processes may work on the same study.

    Raises:
        ConfigError: the space or a setting is wrong.
        DataError: data are missing, corrupt or fail their schema.
        ModelError: every trial failed.
        UnreachableError: the study's database or the tracking server does not answer.
    """
    deadline_s = time.monotonic() + plan.timeout_s if plan.timeout_s else 0.0
    space = dimensions(project)
    prepared = prepare(project, progress)
    study = open_study(project)
    with stop_signals() as check_signal:
        turns = Turns(study, plan.trials, deadline_s, checks=(check_signal, _orphan_check()))
        runner = TrialRunner(project, prepared, study, space, turns)
        on_trial(study.view())
        while turns.next():
            study.run_one(runner, catch=(ModelError, SurplusError))
            on_trial(study.view())
    require_result(study.view())
    return study


def prepare(project: Project, progress: Progress) -> Prepared:
    """The data that trials are trained on; comes before the study, so that data that are refused leave none.

    Raises:
        ConfigError: a setting or the reviewed schema is unreadable.
        DataError: data are missing, corrupt or fail their schema.
    """
    data = ingest(project, None, progress)
    verified = verify(project, data, progress)
    return split_and_fit(project, data, verified.schema, progress)


def search_in_workers(
    project: Project, plan: Search, *, workers: int, progress: Progress, on_trial: Callable[[StudyView], None]
) -> Study:
    """The same in so many processes of this machine; Ctrl-C ends them and leaves a study that goes on.

    Raises:
        ConfigError: the space or a setting is wrong.
        DataError: data are missing, corrupt or fail their schema.
        ModelError: every trial failed, or every worker did; they have said why.
        UnreachableError: the study's database does not answer.
    """
    dimensions(project)
    prepare(project, progress)
    study = open_study(project)
    threads = project.settings.resources.threads or max(1, (os.cpu_count() or 1) // workers)
    with recorded_search(project, study):
        children = [_start_worker(project, plan, threads) for _ in range(workers)]
        try:
            while any(child.poll() is None for child in children):
                time.sleep(POLL_S)
                on_trial(study.view())
        finally:
            _stop(children)
        on_trial(study.view())
        if all(child.returncode for child in children):
            raise ModelError(f"tuning: got {workers} of {workers} workers that failed, expected one that searches")
        require_result(study.view())
    return study


@contextmanager
def recorded_search(project: Project, study: Study) -> Iterator[None]:
    """A run in MLflow for the whole search; it makes the store before workers would do so all at once."""
    with tracked_run(project, name=f"{study.name} search") as tracked:
        tracked.log(tags={"study": study.name})
        yield
        best = study.view().best
        if best is not None and best.value is not None:
            tracked.log(params={**best.parameters}, metrics={"objective": best.value})


def require_result(view: StudyView) -> None:
    """Passes when a trial of the study completed.

    Raises:
        ModelError: none did.
    """
    if view.best is None:
        failed = sum(trial.state == "fail" for trial in view.trials)
        raise ModelError(
            f"study {view.name}: got {failed} failed of {len(view.trials)} trials and none that completed",
            hint="`edgeferry train` shows why the model does not train; `edgeferry runs --all` lists the trials",
        )


def _start_worker(project: Project, plan: Search, threads: int) -> subprocess.Popen[bytes]:
    """A child that reads the settings from its standard input, since flags may have changed them."""
    order = {
        "folder": str(project.folder),
        "settings": msgspec.to_builtins(project.settings),
        "trials": plan.trials,
        "timeout_s": plan.timeout_s,
        "threads": threads,
    }
    child = subprocess.Popen([sys.executable, "-m", "trainer.tuning.worker"], stdin=subprocess.PIPE)
    assert child.stdin is not None
    try:
        child.stdin.write(msgspec.json.encode(order))
        child.stdin.close()
    except OSError as error:
        raise UnreachableError(f"worker {child.pid}: {error}") from error
    return child


def _stop(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        if child.poll() is None:
            child.terminate()
    for child in children:
        try:
            child.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _orphan_check() -> Callable[[], None]:
    """A check that fails once the process that started this one is gone, so that no worker goes on by itself."""
    parent = os.getppid()

    def check() -> None:
        if os.getppid() != parent:
            raise SearchLeftError("the search that started this worker is gone")

    return check


class SearchLeftError(EdgeferryError):
    """The parent process of a worker has ended."""
