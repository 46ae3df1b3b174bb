"""Alembic's entry: it runs on the connection that `upgrade` hands over, inside its transaction."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy.types import TypeDecorator

from fleet_server.storage import tables
from fleet_server.storage.database import metadata

assert tables.MODULES


def _render(kind: str, thing: Any, _: object) -> str | Literal[False]:
    """A migration names the plain SQL type, so that it stands when our own types change."""
    if kind == "type" and isinstance(thing, TypeDecorator):
        return f"sa.{type(thing.impl_instance).__name__}()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    render_item=_render,
    compare_type=True,
)
context.run_migrations()
