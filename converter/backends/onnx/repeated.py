"""Repeated fields of protocol buffers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def replace_all(field: Any, values: Iterable[Any]) -> None:
    """Puts copies of `values`, which may come from the field itself, in place of its entries."""
    copies = []
    for value in values:
        copy = type(value)()
        copy.CopyFrom(value)
        copies.append(copy)
    del field[:]
    field.extend(copies)
