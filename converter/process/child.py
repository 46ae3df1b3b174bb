"""The child process: `python -m converter.process.child FOLDER` does the job that FOLDER holds, and nothing else.

It imports only what its job needs, so that a process that proves a variant weighs what it would on a device.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Final, cast

from converter.process.jobs import (
    FAILURE_FILE,
    JOB_FILE,
    REFUSED,
    BuildJob,
    CompareJob,
    Failure,
    InspectJob,
    Job,
    ProveJob,
)
from fleet_contract.codec import decode, encode
from fleet_contract.errors import EdgeferryError
from fleet_files.durable import write_file

_PR_SET_PDEATHSIG: Final = 1
"""Linux, prctl(2)."""


def main(folder: Path) -> int:
    """Does the job in `folder`; the exit code is 0, or REFUSED with the reason in FAILURE_FILE."""
    os.environ.pop("TF_USE_LEGACY_KERAS", None)  # it would turn Keras 3 into Keras 2 behind everybody's back
    try:
        job = decode((folder / JOB_FILE).read_bytes(), cast("type[Job]", Job))
        _run(job, folder)
    except EdgeferryError as error:
        failure = Failure(family=type(error).__name__, message=error.message, hint=error.hint)
        write_file(folder / FAILURE_FILE, encode(failure))
        return REFUSED
    return 0


def _run(job: Job, folder: Path) -> None:
    if isinstance(job, BuildJob):
        from converter.backends.build import build

        build(job, folder)
    elif isinstance(job, InspectJob):
        from converter.backends.inspection import inspect

        inspect(job, folder)
    elif isinstance(job, ProveJob):
        from converter.process.prove import prove

        prove(job, folder)
    elif isinstance(job, CompareJob):
        from converter.process.prove import compare

        compare(job, folder)
    else:
        from converter.process.prove import describe

        describe(job, folder)


def end_with_parent() -> None:
    """Asks Linux to kill this process when its parent dies, so that a killed conversion leaves nobody who writes on."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    end_with_parent()
    sys.exit(main(Path(sys.argv[1])))
