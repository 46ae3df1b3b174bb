"""The user's behaviour tests: changes that must not change a decision, and changes that must push a score one way.

Rules: raw inputs are changed, before preprocessing, and keep shape and dtype; the generator is an argument. A decision
on scores that are not finite counts as changed, and as a violation.
Source: Ribeiro et al. 2020, "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList" (INV and DIR tests)
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from fleet_contract.errors import ConfigError, ModelError
from trainer.judging.baseline import evenly
from trainer.judging.churn import changed_decisions
from trainer.judging.gate import at_most
from trainer.judging.gate_settings import Change, Direction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from fleet_contract.release import GateResult
    from trainer.judging.gate_settings import DirectionalSection, InvarianceSection
    from trainer.settings import ValidateSection

    Scorer = Callable[[NDArray[Any]], NDArray[np.float32]]
    Changer = Callable[[NDArray[Any], np.random.Generator], NDArray[Any]]

MAX_EXAMPLES = 5


class BehaviourResult(Struct, frozen=True, kw_only=True):
    """One behaviour test: on how many of `row_count` test rows it failed, with examples and the limit as a share."""

    test: str
    words: str
    row_count: int
    failed_count: int
    limit: float
    rows: tuple[int, ...] = ()

    @property
    def gate(self) -> GateResult:
        """The test as a gate of the verdict."""
        examples = f", for instance test rows {', '.join(map(str, self.rows))}" if self.rows else ""
        detail = f"{self.words}: {self.failed_count} of {self.row_count} test rows{examples}"
        return at_most(self.test, self.failed_count / self.row_count, self.limit, detail)


def behaviour_results(
    settings: ValidateSection,
    score_raw: Scorer,
    raw_B: NDArray[Any],
    labels: tuple[str, ...],
    *,
    folder: Path,
    seed: int,
    features: Sequence[str] = (),
) -> tuple[BehaviourResult, ...]:
    """Every declared test on the raw test inputs; `folder` is the project, where functions are looked for.

    `features` are the names along the last axis, where there are names; `seed` is for noise and users' functions.

    Raises:
        ConfigError: a test that does not fit the data, or names no function.
        ModelError: a user's function fails or gives something else than inputs.
    """
    invariant = [
        _invariance(test, score_raw, raw_B, folder, np.random.default_rng([seed, number]))
        for number, test in enumerate(settings.invariance)
    ]
    directed = [_directional(test, score_raw, raw_B, labels, features) for test in settings.directional]
    return (*invariant, *directed)


def check_behaviour_tests(settings: ValidateSection, folder: Path) -> None:
    """Passes when each invariance test has one transform or a function that loads; asked before a training.

    Raises:
        ConfigError, ModelError: one has not.
    """
    for test in settings.invariance:
        changer(test, folder)


def _invariance(
    test: InvarianceSection, score_raw: Scorer, raw_B: NDArray[Any], folder: Path, rng: np.random.Generator
) -> BehaviourResult:
    rows_I = evenly(len(raw_B), test.rows)
    before_B = raw_B[rows_I]
    after_B = _checked(test, changer(test, folder), before_B, rng)
    failed_B = changed_decisions(score_raw(before_B), score_raw(after_B))
    words = f"decisions that {test.function or f'{test.transform} {test.amount:g}'} changes"
    return _result(f"invariance {test.name}", words, rows_I, failed_B, test.max_changed)


def _directional(
    test: DirectionalSection, score_raw: Scorer, raw_B: NDArray[Any], labels: tuple[str, ...], features: Sequence[str]
) -> BehaviourResult:
    where = f"[[validate.directional]] {test.name!r}"
    if test.label not in labels:
        raise ConfigError(f"{where}: label: got {test.label!r}, expected one of {', '.join(labels)}")
    feature = _feature_index(test, features or tuple(map(str, range(raw_B.shape[-1]))), where)
    rows_I = evenly(len(raw_B), test.rows)
    before_B = raw_B[rows_I]
    after_B = before_B.astype(np.float64)
    after_B[..., feature] += test.change
    column = labels.index(test.label)
    gain_B = score_raw(as_dtype(after_B, raw_B.dtype))[:, column] - score_raw(before_B)[:, column]
    against_B = -gain_B if test.direction is Direction.UP else gain_B
    words = f"{test.change:+g} on feature {test.feature} moves {test.label!r} {_against(test.direction)}"
    return _result(f"directional {test.name}", words, rows_I, ~(against_B <= test.tolerance), test.max_violations)


def _feature_index(test: DirectionalSection, features: Sequence[str], where: str) -> int:
    names = tuple(features)
    if isinstance(test.feature, int) and test.feature < len(names):
        return test.feature
    if test.feature in names:
        return names.index(str(test.feature))
    raise ConfigError(f"{where}: feature: got {test.feature!r}, expected one of {', '.join(names[:50])}")


def _against(direction: Direction) -> str:
    return "down" if direction is Direction.UP else "up"


def _result(
    name: str, words: str, rows_I: NDArray[np.int64], failed_B: NDArray[np.bool_], limit: float
) -> BehaviourResult:
    return BehaviourResult(
        test=name,
        words=words,
        row_count=len(rows_I),
        failed_count=int(failed_B.sum()),
        limit=limit,
        rows=tuple(int(row) for row in rows_I[failed_B][:MAX_EXAMPLES]),
    )


def changer(test: InvarianceSection, folder: Path) -> Changer:
    """What the test does to raw inputs.

    Raises:
        ConfigError: not exactly one of transform and function, or a function that is not there.
        ModelError: the file with the function does not load.
    """
    if (test.transform is None) == (not test.function):
        raise ConfigError(
            f"[[validate.invariance]] {test.name!r}: got {'neither' if not test.function else 'both'}, "
            "expected one of transform and function"
        )
    if test.transform is None:
        return _user_function(test, folder)
    transform = test.transform
    return lambda raw_B, rng: change_inputs(transform, raw_B, test.amount, rng)


def change_inputs(
    change: Change, raw_B: NDArray[Any], amount: float, rng: np.random.Generator | None = None
) -> NDArray[Any]:
    """Raw inputs after the change, in their own dtype.

    Raises:
        ConfigError: a flip of something that is not an image.
    """
    if change in {Change.FLIP_HORIZONTAL, Change.FLIP_VERTICAL}:
        if raw_B.ndim < 3:
            raise ConfigError(f"{change}: got inputs of shape {list(raw_B.shape[1:])}, expected images")
        return np.flip(raw_B, axis=2 if change is Change.FLIP_HORIZONTAL else 1)
    if change is Change.SHIFT:
        return _shifted(raw_B, round(amount))
    real_B = raw_B.astype(np.float64)
    if change is Change.BRIGHTNESS:
        return as_dtype(real_B * amount, raw_B.dtype)
    if change is Change.OFFSET:
        return as_dtype(real_B + amount, raw_B.dtype)
    assert rng is not None, "noise needs a generator"
    return as_dtype(real_B + rng.normal(0.0, amount * float(np.nanstd(real_B)), raw_B.shape), raw_B.dtype)


def _shifted(raw_B: NDArray[Any], steps: int) -> NDArray[Any]:
    """Moved along axis 1; what comes in is the edge, repeated."""
    source_I = np.clip(np.arange(raw_B.shape[1]) - steps, 0, raw_B.shape[1] - 1)
    return raw_B[:, source_I]


def as_dtype(values_B: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """The values in `dtype`; for integers rounded and limited to what it holds."""
    if dtype.kind not in "iu":
        return values_B.astype(dtype)
    limits = np.iinfo(dtype)
    whole_B: NDArray[Any] = np.clip(np.rint(values_B), limits.min, limits.max).astype(dtype)
    return whole_B


def _user_function(test: InvarianceSection, folder: Path) -> Changer:
    file, _, name = test.function.rpartition(":")
    where = f"[[validate.invariance]] {test.name!r}: function {test.function!r}"
    path = folder / file
    spec = importlib.util.spec_from_file_location("edgeferry_user_behaviour", path)
    if not file or spec is None or spec.loader is None or not path.is_file():
        raise ConfigError(f"{where}: got no such file, expected FILE.py:NAME in the project's folder")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a user's code may raise anything
        raise ModelError(f"{where}: got {type(error).__name__}: {error}, expected a module that loads") from error
    function: Changer | None = getattr(module, name, None)
    if not callable(function):
        raise ConfigError(f"{where}: got no function {name!r} there, expected {name}(inputs_B, rng)")
    return function


def _checked(
    test: InvarianceSection, change: Changer, before_B: NDArray[Any], rng: np.random.Generator
) -> NDArray[Any]:
    try:
        after_B = np.asarray(change(before_B.copy(), rng))
    except ConfigError:
        raise
    except Exception as error:  # a user's code may raise anything
        raise ModelError(
            f"[[validate.invariance]] {test.name!r}: got {type(error).__name__}: {error}, expected changed inputs"
        ) from error
    if after_B.shape != before_B.shape:
        raise ModelError(
            f"[[validate.invariance]] {test.name!r}: got inputs {list(after_B.shape)}, expected {list(before_B.shape)}"
        )
    return as_dtype(after_B, before_B.dtype)
