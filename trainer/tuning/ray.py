"""The same search in remote tasks of a Ray cluster; Ray only starts workers, the study is what they share.

Every node needs edgeferry with its extra `trainer`, and the project's folder at the same path; the study has to be in a
database that all nodes reach.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec

from fleet_contract.errors import ConfigError, MissingExtraError, ModelError, UnreachableError
from trainer.tuning.space import dimensions
from trainer.tuning.study import open_study
from trainer.tuning.tune import prepare, recorded_search, require_result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trainer.progress import Progress
    from trainer.project import Project
    from trainer.tuning.study import Study, StudyView
    from trainer.tuning.tune import Search

POLL_S = 1.0


def search_on_ray(
    project: Project,
    plan: Search,
    *,
    workers: int,
    progress: Progress,
    on_trial: Callable[[StudyView], None],
    address: str = "",
) -> Study:
    """Runs `workers` tasks until the plan is done; `address` empty takes RAY_ADDRESS, else a cluster of this machine.

    Raises:
        ConfigError: the study is in a file, which other nodes do not see.
        DataError: data are missing, corrupt or fail their schema.
        MissingExtraError: Ray is not installed.
        ModelError: every worker failed.
        UnreachableError: the cluster or the study's database does not answer.
    """
    _require_ray()
    dimensions(project)
    prepare(project, progress)
    study = open_study(project)
    with _session(address or os.environ.get("RAY_ADDRESS", "")) as ray:
        if len(ray.nodes()) > 1 and study.storage_url.startswith("sqlite"):
            raise ConfigError(
                f"[tune] storage: got {study.storage_url} on {len(ray.nodes())} nodes, expected a database they share",
                hint="for instance postgresql://user@host/name",
            )
        with recorded_search(project, study):
            _wait(ray, _start(ray, project, plan, workers), study, on_trial)
    require_result(study.view())
    return study


def _require_ray() -> None:
    if find_spec("ray") is None:
        raise MissingExtraError.for_extra("ray", "ray")


@contextmanager
def _session(address: str) -> Iterator[Any]:
    """Ray on that cluster; without one, on a cluster for nobody else that listens on the loopback and ends here."""
    with ExitStack() as stack:
        where = {"address": address} if address else _own_cluster(stack)
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        import ray

        try:
            ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False, **where)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise UnreachableError(f"Ray at {address or 'this machine'}: {error}") from error
        stack.callback(ray.shutdown)
        yield ray


def _own_cluster(stack: ExitStack) -> dict[str, str]:
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # read by the import; its only effect here is the loopback
    folder = TemporaryDirectory(prefix="edgeferry-ray-", ignore_cleanup_errors=True)
    return {"address": "local", "_temp_dir": stack.enter_context(folder)}


def _start(ray: Any, project: Project, plan: Search, workers: int) -> list[Any]:
    threads = project.settings.resources.threads or 1
    remote = ray.remote(num_cpus=threads, max_retries=1, max_calls=1)(_work)
    order = {
        "folder": str(project.folder),
        "settings": msgspec.to_builtins(project.settings),
        "trials": plan.trials,
        "timeout_s": plan.timeout_s,
        "threads": threads,
    }
    return [remote.remote(msgspec.json.encode(order)) for _ in range(workers)]


def _work(order: bytes) -> str:
    """Runs on a node: the words of the error that ended the search there, empty when it is done."""
    from fleet_contract.errors import EdgeferryError
    from trainer.tuning.worker import Order, work

    try:
        work(msgspec.json.decode(order, type=Order))
    except EdgeferryError as error:
        return error.message
    return ""


def _wait(ray: Any, tasks: list[Any], study: Study, on_trial: Callable[[StudyView], None]) -> None:
    left, words = tasks, list[str]()
    try:
        while left:
            done, left = ray.wait(left, num_returns=len(left), timeout=POLL_S)
            words += ray.get(done)
            on_trial(study.view())
    except ray.exceptions.RayError as error:
        raise UnreachableError(f"Ray: {type(error).__name__}: {error}") from error
    if all(words):
        raise ModelError(f"tuning: got {len(words)} workers that failed, the first with: {words[0]}")
