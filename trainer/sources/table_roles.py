"""What each column of a table is for: the label, a feature, a slice, a group, a time, or nothing.

Rules: pure. Every file of a table has the columns that the first has, of the same kind; what is asked for and absent is
named with the nearest name that is there.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from fleet_contract.errors import ConfigError, DataError
from fleet_rows.arrow_values import is_usable
from trainer.sources.limits import require_flawless

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from trainer.settings import DataSection


NEAR: Final = 0.5
"""How much of a name must agree with one to be taken for a slip of the pen."""


class TableFile(Protocol):
    """One file of a table; `typed` when its columns have types that mean something."""

    @property
    def path(self) -> Path:
        """Where it is."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its columns, each once."""

    @property
    def typed(self) -> bool:
        """Whether text is meant as words, even where it looks like numbers."""

    def kind(self, column: str) -> Any:
        """The Arrow type of a column."""

    def batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """Record batches of these columns, in the file's order; raises `DataError`."""


@dataclass(frozen=True, slots=True)
class Roles:
    """Names of columns by what they are for; empty where there is none."""

    label: str
    features: tuple[str, ...]
    slices: str = ""
    group: str = ""
    time: str = ""

    @property
    def columns(self) -> list[str]:
        """All that must be read, each once."""
        return list(dict.fromkeys([*self.features, self.label, *filter(None, (self.slices, self.group, self.time))]))


def choose_roles(tables: Sequence[TableFile], settings: DataSection) -> Roles:
    """The roles that `[data]` gives to the columns.

    Raises:
        ConfigError: a column has two roles that exclude each other, or `shape` does not hold the features.
        DataError: a column is absent in some file, or of a type that is neither numbers nor text.
    """
    reserved = [name for name in (settings.label, settings.slices, settings.group, settings.time) if name]
    features = settings.features or tuple(name for name in tables[0].columns if name not in reserved)
    roles = Roles(settings.label, features, settings.slices, settings.group, settings.time)
    require_roles(roles)
    _check_shape(roles, settings)
    for table in tables:
        _check_present(table, roles)
        _check_types(table, tables[0], roles)
    if not features:
        raise DataError(f"{tables[0].path}: got no column but {reserved}, expected at least one feature")
    return roles


def require_roles(roles: Roles) -> None:
    """Passes when no column has two roles that exclude each other.

    Raises:
        ConfigError: one has.
    """
    for name in (roles.label, roles.time):
        if name in roles.features:
            raise ConfigError(f"[data] features: got {name!r}, which is the label or the time, expected other columns")
    if len(set(roles.features)) != len(roles.features):
        raise ConfigError("[data] features: got a column twice, expected each once")


def _check_shape(roles: Roles, settings: DataSection) -> None:
    count = math.prod(settings.shape)
    if settings.shape and roles.features and count != len(roles.features):
        raise ConfigError(
            f"[data] shape: got {list(settings.shape)}, which is {count:,} numbers, expected {len(roles.features):,}, "
            "one for each feature"
        )


def _check_present(table: TableFile, roles: Roles) -> None:
    absent = [name for name in roles.columns if name not in table.columns]
    if not absent:
        return
    word = "label column" if absent[0] == roles.label else "column"
    shown = ", ".join(map(repr, table.columns[:20])) + (", ..." if len(table.columns) > 20 else "")
    raise DataError(
        f"{table.path}: got columns {shown}, expected {word} {absent[0]!r}", hint=absence_hint(absent[0], table.columns)
    )


def absence_hint(name: str, names: Sequence[str]) -> str:
    """What helps where no column is called `name`: the nearest of `names`, whatever its case."""
    by_case = {known.casefold(): known for known in names}
    nearest = difflib.get_close_matches(name.casefold(), by_case, n=1, cutoff=NEAR)
    return f"did you mean {by_case[nearest[0]]!r}? [data] names columns" if nearest else "name it: [data] label = ..."


def _check_types(table: TableFile, first: TableFile, roles: Roles) -> None:
    flaws = [
        f"column {name!r}: got {table.kind(name)}, expected numbers, truth values or text"
        for name in (*roles.features, roles.label)
        if not is_usable(table.kind(name))
    ]
    require_flawless(table.path, flaws, hint="leave it out with [data] features, or name it as [data] time")
    flaws = [
        f"column {name!r}: got {table.kind(name)}, expected {first.kind(name)} as in {first.path.name}"
        for name in roles.columns
        if _is_word_kind(table.kind(name)) != _is_word_kind(first.kind(name))
    ]
    require_flawless(table.path, flaws)


def _is_word_kind(kind: Any) -> bool:
    return "string" in str(kind)
