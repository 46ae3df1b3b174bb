"""`[tune]` of the project file: what is searched, how long, and where the study is kept."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Scalar = bool | int | float | str


class FloatRange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="float", tag_field="kind"):
    """A real number in [low, high]; `log` draws it evenly over orders of magnitude, `step` above 0 from a grid."""

    low: float
    high: float
    log: bool = False
    step: Annotated[float, Meta(ge=0.0)] = 0.0


class IntRange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="int", tag_field="kind"):
    """A whole number in [low, high], both included."""

    low: int
    high: int
    log: bool = False
    step: Annotated[int, Meta(ge=1)] = 1


class Choice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="choice", tag_field="kind"):
    """One of the values listed."""

    values: Annotated[tuple[Scalar, ...], Meta(min_length=1)]


Dimension = FloatRange | IntRange | Choice


class SpaceSection(Struct, frozen=True, kw_only=True):
    """`[tune.space]`: what a trial may choose, of the arguments of `build_model` and of the keys of `[train]`."""

    model: dict[str, Dimension] = {}
    train: dict[str, Dimension] = {}


class TuneSection(Struct, frozen=True, kw_only=True):
    """`[tune]`: the search.

    A trial trains on the training split and is judged by `objective` on the validation split, at its best epoch; the
    test split is never looked at. `pruner` ends trials that are behind. `storage` empty is a SQLite file in the
    project; any other URL of SQLAlchemy's lets workers on several machines share the study. `timeout_s` 0 sets no time.
    """

    trials: Annotated[int, Meta(ge=1)] = 20
    timeout_s: Annotated[float, Meta(ge=0.0)] = 0.0
    objective: Literal["val_loss", "val_accuracy"] = "val_loss"
    sampler: Literal["tpe", "random"] = "tpe"
    pruner: Literal["median", "hyperband", "none"] = "median"
    warmup_epochs: Annotated[int, Meta(ge=0)] = 2
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    storage: str = ""
    study: str = ""
    space: SpaceSection = SpaceSection()
