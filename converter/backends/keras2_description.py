"""Whether the description of a Keras 2 model, as an HDF5 file holds it, is of plain layers. Pure.

An allow-list where names stand for code: what is not known to be harmless is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

_CODE: Final = frozenset({"Lambda", "__lambda__", "ClassMethod", "InstanceMethod", "InstanceProperty"})
_MODULES: Final = frozenset({"keras", "tf_keras", "builtins"})
_PURE: Final = re.compile(
    r"(math|nn|linalg|signal|image|__operators__)\.[a-z0-9_.]+"
    r"|cast|clip_by_value|concat|convert_to_tensor|expand_dims|gather|identity|one_hot|ones_like|pad|repeat|reshape"
    r"|reverse|shape|slice|split|squeeze|stack|strided_slice|tile|transpose|unstack|where|zeros_like"
)
"""TensorFlow functions that compute and touch nothing else."""


def check_description(description: object) -> None:
    """Passes for a model of plain layers.

    Raises:
        ModelError: a layer carries code, is not of Keras, or calls TensorFlow for more than arithmetic.
    """
    for part in _dicts(description):
        kind = part.get("class_name")
        if kind in _CODE:
            raise _unsafe(f"a {kind} layer, which carries code")
        module = part.get("module")
        if isinstance(module, str) and module.split(".")[0] not in _MODULES:
            raise _unsafe(f"something from the module {module!r}")
        if kind in {"TFOpLambda", "SlicingOpLambda"}:
            _check_function(part.get("config"))


def _check_function(config: object) -> None:
    function = config.get("function") if isinstance(config, dict) else None
    if not isinstance(function, str) or not _PURE.fullmatch(function):
        raise _unsafe(f"a call of {function!r}")


def _unsafe(what: str) -> ModelError:
    return ModelError(
        f"keras 2 model: it holds {what}; such a model is not opened",
        hint="build it from plain layers, or export it as a SavedModel or ONNX",
    )


def _dicts(value: object) -> Iterator[dict[str, object]]:
    """Every dictionary inside `value`, at any depth."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
