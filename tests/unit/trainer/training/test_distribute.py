"""The place that TF_CONFIG gives a process."""

from __future__ import annotations

import json

import pytest

from fleet_contract.errors import ConfigError
from trainer.training.distribute import Cluster, Strategy, read_cluster

WORKERS = ["a:1", "b:1", "c:1"]


def tf_config(kind: str, index: int, **jobs: list[str]) -> str:
    """The variable's text."""
    return json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})


def test_without_several_workers_the_variable_does_not_count() -> None:
    """A TF_CONFIG left over from another program makes no worker of this one."""
    for strategy in (Strategy.NONE, Strategy.MIRRORED):
        assert read_cluster(strategy, "not even JSON") == Cluster(workers=1, index=0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (tf_config("worker", 0, worker=WORKERS), Cluster(workers=3, index=0)),
        (tf_config("worker", 2, worker=WORKERS), Cluster(workers=3, index=2)),
        (tf_config("chief", 0, worker=WORKERS, chief=["z:1"]), Cluster(workers=4, index=0)),
        (tf_config("worker", 0, worker=WORKERS, chief=["z:1"]), Cluster(workers=4, index=1)),
    ],
)
def test_the_first_worker_or_the_one_called_so_is_the_chief(text: str, expected: Cluster) -> None:
    """There is one chief, and a job `chief` comes before all workers."""
    got = read_cluster(Strategy.MULTI_WORKER, text)
    assert got == expected
    assert got.is_chief == (expected.index == 0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"cluster": {"worker": []}, "task": {"type": "worker", "index": 0}}',
        tf_config("worker", 3, worker=WORKERS),
        tf_config("worker", -1, worker=WORKERS),
        tf_config("chief", 0, worker=WORKERS),
        tf_config("ps", 0, worker=WORKERS),
    ],
)
def test_a_cluster_that_cannot_be_read_stops_the_training(text: str) -> None:
    """The error shows what was got, and an example of what to write."""
    with pytest.raises(ConfigError, match="TF_CONFIG: got") as raised:
        read_cluster(Strategy.MULTI_WORKER, text)
    assert '"task"' in raised.value.hint
