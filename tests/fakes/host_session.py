"""A model that is a plain function, behind the port that runtimes implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from device_agent.host.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from device_agent.host.hosted import HostedRelease
    from fleet_contract.tensors import TensorSpec

    Function = Callable[[NDArray[np.generic]], NDArray[np.generic]]


class FunctionSession:
    """Runs `function` on whole batches; remembers every stored input that it was given."""

    def __init__(self, input_spec: TensorSpec, output_spec: TensorSpec, function: Function) -> None:
        self.input = input_spec
        self.output = output_spec
        self.seen: list[NDArray[np.generic]] = []
        self._function = function

    def run(self, input_B: NDArray[np.generic]) -> NDArray[np.generic]:
        """See `device_agent.runtimes.session.Session.run`."""
        self.seen.append(input_B)
        return self._function(input_B)


def function_engine(release: HostedRelease, function: Function) -> tuple[Engine, FunctionSession]:
    """An engine of the release whose model is `function`."""
    session = FunctionSession(release.variant.input, release.variant.output, function)
    return Engine(release.manifest, release.variant, session), session
