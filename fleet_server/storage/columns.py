"""Column types that every table shares: aware UTC times and JSON documents of the contract."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import DateTime, LargeBinary
from sqlalchemy.types import TypeDecorator

from fleet_contract.codec import decode, encode

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

T = TypeVar("T")

MAX_COLUMN_BYTES = 4 * 1024 * 1024


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, stored as UTC without an offset, so that text order is time order on SQLite too."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The value for the database; a naive time is a mistake of ours."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"time without a zone: {value!r}")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """The value from the database, aware again."""
        del dialect
        return None if value is None else value.replace(tzinfo=UTC)


class Document(TypeDecorator[Any]):
    """A document of one contract type as JSON bytes; reading one that does not fit raises `ContractError`."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> bytes | None:
        """The JSON of the document."""
        del dialect
        return None if value is None else encode(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any | None:
        """The document in the JSON."""
        del dialect
        return None if value is None else decode(bytes(value), self.kind, max_bytes=MAX_COLUMN_BYTES)
