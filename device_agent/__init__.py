"""The device side of edgeferry: the agent, the model host, and the SDK.

    from device_agent import Model
    scores_K = Model("main", state_dir="/var/lib/edgeferry")(image)

`Model` is imported on first use, so that the agent's own process stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from device_agent.sdk import Model

__all__ = ["Model"]


def __getattr__(name: str) -> object:
    if name == "Model":
        from device_agent.sdk import Model  # the one lazy import that users see

        return Model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
