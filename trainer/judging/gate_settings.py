"""Tables of the project file around the verdict: behaviour tests, the policy on data, and what CI runs.

[[validate.invariance]]           [[validate.directional]]          [data.policy]          [ci]
name = "a small shift"            name = "hotter is riskier"        sources = ["npz:*"]    epochs = 2
transform = "shift"               feature = 3                                              rows = 2000
amount = 1                        change = 5.0
max_changed = 0.1                 label = "fault"
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from fleet_contract.release import Fraction

Rows = Annotated[int, Meta(ge=1)]
TestName = Annotated[str, Meta(min_length=1, max_length=60)]


class Change(StrEnum):
    """What an invariance test does to raw inputs; `amount` says how much."""

    FLIP_HORIZONTAL = "flip-horizontal"
    """Images: left to right; `amount` is not used."""
    FLIP_VERTICAL = "flip-vertical"
    """Images: top to bottom; `amount` is not used."""
    SHIFT = "shift"
    """By `amount` whole steps along the first axis (rows of an image, time of a series); the edge is repeated."""
    NOISE = "noise"
    """Gaussian, with `amount` standard deviations of the test rows' own values."""
    BRIGHTNESS = "brightness"
    """Every value times `amount`."""
    OFFSET = "offset"
    """Every value plus `amount`."""


class InvarianceSection(Struct, frozen=True, kw_only=True):
    """`[[validate.invariance]]`: a change of the input that must not change the decision.

    Either `transform`, or `function = "FILE.py:NAME"`: NAME(inputs_B, rng) gives the changed raw inputs. At most
    `rows` test rows are tried; no more than `max_changed` of them may be decided otherwise.
    """

    name: TestName
    transform: Change | None = None
    amount: float = 1.0
    function: str = ""
    max_changed: Fraction = 0.05
    rows: Rows = 1000


class Direction(StrEnum):
    """Where a score may go."""

    UP = "up"
    DOWN = "down"


class DirectionalSection(Struct, frozen=True, kw_only=True):
    """`[[validate.directional]]`: adding `change` to a feature must not lower (`up`) or raise (`down`) a class's score.

    `feature` is a table's column, or an index along the last axis; a move against the direction of up to `tolerance`
    does not count, and no more than `max_violations` of at most `rows` test rows may move so.
    """

    name: TestName
    feature: Annotated[int, Meta(ge=0)] | str
    change: float
    label: str
    direction: Direction = Direction.UP
    tolerance: Fraction = 0.01
    max_violations: Fraction = 0.0
    rows: Rows = 1000


class PolicySection(Struct, frozen=True, kw_only=True):
    """`[data.policy]`: what may be trained on, checked before anything is read.

    `sources` are patterns (`npz:data/*`) of which the source must meet one; empty allows any. No feature may meet a
    pattern in `forbidden_features`; case does not count.
    """

    sources: tuple[str, ...] = ()
    forbidden_features: tuple[str, ...] = ()


class CiSection(Struct, frozen=True, kw_only=True):
    """`[ci]`: the short training of `edgeferry ci`.

    `rows` 0 takes all that `[data] limit` allows; `min_accuracy` replaces that of `[validate]`, since a short training
    is worth less; with `twice` it trains a second time and compares the scores bit by bit.
    """

    epochs: Rows = 2
    rows: Annotated[int, Meta(ge=0)] = 2000
    min_accuracy: Fraction | None = None
    twice: bool = True
    tests: str = "tests"
    """Folder of the user's own tests."""
    tests_timeout_s: Annotated[float, Meta(gt=0.0)] = 600.0
