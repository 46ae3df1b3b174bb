"""The search space: what a trial may choose, and the project that a choice makes.

Rules: pure. A parameter is called `model.NAME` (an argument of `build_model`) or `train.NAME` (a key of `[train]`);
each end of each range is checked against the project's own limits before a trial starts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from fleet_contract.errors import ConfigError
from trainer.settings import TrainSection
from trainer.tuning.settings import Choice, Dimension, FloatRange, IntRange

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainer.project import Project
    from trainer.tuning.settings import Scalar

NOT_SEARCHED: Final = frozenset({"seed", "threads", "strategy"})
"""Keys of `[train]` that say how a run is made and not how well it learns."""


class Chooser(Protocol):
    """What asks for values, as a trial of Optuna's does."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        """A real number."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        """A whole number."""

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        """One of the choices."""


def dimensions(project: Project) -> dict[str, Dimension]:
    """Every parameter of the project's `[tune.space]`, checked.

    Raises:
        ConfigError: there is none, a range is empty or cannot be drawn from, or a value is none that the key may have.
    """
    space = project.settings.tune.space
    found = {f"model.{name}": each for name, each in space.model.items()}
    found |= {f"train.{name}": each for name, each in space.train.items()}
    if not found:
        raise ConfigError(
            "section [tune.space]: got nothing, expected what to search",
            hint='for instance train.learning_rate = { kind = "float", low = 1e-4, high = 1e-2, log = true }',
        )
    for name, each in found.items():
        _check_range(name, each)
        for value in _ends(each):
            with_choice(project, {name: value})
    return found


def _check_range(name: str, dimension: Dimension) -> None:
    if isinstance(dimension, Choice):
        return
    where = f"section [tune.space]: {name}"
    if dimension.low > dimension.high:
        raise ConfigError(f"{where}: got low {dimension.low:g} above high {dimension.high:g}, expected a range")
    if dimension.log and dimension.low <= 0:
        raise ConfigError(f"{where}: got low {dimension.low:g} with log, expected a low above 0")
    stepped = dimension.step > (1 if isinstance(dimension, IntRange) else 0)
    if dimension.log and stepped:
        raise ConfigError(f"{where}: got log together with step, expected one of them")


def _ends(dimension: Dimension) -> tuple[Scalar, ...]:
    match dimension:
        case Choice(values=values):
            return values
        case IntRange(low=first, high=last) | FloatRange(low=first, high=last):
            return first, last


def choose(space: Mapping[str, Dimension], chooser: Chooser) -> dict[str, Scalar]:
    """A value for every parameter."""
    return {name: _choose_one(name, each, chooser) for name, each in space.items()}


def _choose_one(name: str, dimension: Dimension, chooser: Chooser) -> Scalar:
    match dimension:
        case Choice(values=values):
            return chooser.suggest_categorical(name, values)
        case IntRange(low=low_count, high=high_count, step=whole, log=log):
            return chooser.suggest_int(name, low_count, high_count, step=whole, log=log)
        case FloatRange(low=low, high=high, step=step, log=log):
            return chooser.suggest_float(name, low, high, step=step or None, log=log)


def with_choice(project: Project, choice: Mapping[str, Scalar]) -> Project:
    """The project with the chosen values in `[model.hyperparameters]` and `[train]`.

    Raises:
        ConfigError: `[train]` has no such key, or not such a value.
    """
    settings = project.settings
    train = {name.removeprefix("train."): value for name, value in choice.items() if name.startswith("train.")}
    model = {name.removeprefix("model."): value for name, value in choice.items() if name.startswith("model.")}
    hyperparameters = {**settings.model.hyperparameters, **model}
    changed = msgspec.structs.replace(
        settings,
        train=_with_train(settings.train, train),
        model=msgspec.structs.replace(settings.model, hyperparameters=hyperparameters),
    )
    return replace(project, settings=changed)


def _with_train(section: TrainSection, choice: Mapping[str, Scalar]) -> TrainSection:
    known = [name for name in TrainSection.__struct_fields__ if name not in NOT_SEARCHED]
    for name in choice:
        if name not in known:
            raise ConfigError(
                f"section [tune.space]: train.{name}: no such key to search", hint=f"known keys: {', '.join(known)}"
            )
    try:
        return msgspec.convert({**msgspec.to_builtins(section), **choice}, TrainSection)
    except msgspec.ValidationError as error:
        raise ConfigError(f"section [tune.space]: train: {dict(choice)}: {error}") from error
