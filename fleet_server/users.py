"""People and programs that may call the API, each with a token and a role.

The first admin is made at the first start; its token is written to `admin.token` (0600) in the state folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet_contract.api import Role, UserCreated, UserView
from fleet_contract.errors import ConflictError, NotFoundError
from fleet_files.durable import write_file
from fleet_server.secret_tokens import USER_PREFIX, digest, new_token
from fleet_server.storage import users as rows

if TYPE_CHECKING:
    from pathlib import Path

    from fleet_contract.api import UserCreate
    from fleet_server.audit import Audit
    from fleet_server.clock import Clock
    from fleet_server.storage.database import Database

FIRST_ADMIN = "admin"


class Users:
    """The service over users."""

    def __init__(self, database: Database, audit: Audit, clock: Clock) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

    def create(self, request: UserCreate, *, actor: str) -> UserCreated:
        """A new user with its token, which nobody can see again.

        Raises:
            ConflictError: the name is taken.
        """
        token = new_token(USER_PREFIX)
        now = self._clock.now()
        with self._database.transaction() as connection:
            if not rows.insert(connection, request.name, request.role, digest(token), now):
                raise ConflictError(f"user {request.name}: exists", hint="remove it first, or take another name")
            self._audit.record(actor, "create-user", request.name, request.role, at=now, connection=connection)
        return UserCreated(name=request.name, role=request.role, token=token)

    def remove(self, name: str, *, actor: str) -> None:
        """Takes a user's token back.

        Raises:
            NotFoundError: there is no such user.
            ConflictError: it is the last admin.
        """
        with self._database.transaction() as connection:
            if not rows.delete(connection, name):
                raise NotFoundError(f"user {name}: there is none", hint="`edgeferry user list` shows them")
            if rows.count(connection, Role.ADMIN) == 0:
                raise ConflictError(f"user {name}: is the last admin", hint="make another admin first")
            self._audit.record(actor, "remove-user", name, at=self._clock.now(), connection=connection)

    def page(self, *, after: str = "", limit: int = 100) -> list[UserView]:
        """Users by name."""
        with self._database.read() as connection:
            found = rows.page(connection, after=after, limit=limit)
        return [UserView(name=row.name, role=Role(row.role), created_at=row.created_at) for row in found]

    def of_token(self, token: str) -> UserView | None:
        """The user whom a token belongs to."""
        with self._database.read() as connection:
            row = rows.of_token(connection, digest(token))
        return UserView(name=row.name, role=Role(row.role), created_at=row.created_at) if row else None

    def make_first_admin(self, token_file: Path) -> bool:
        """Makes the first admin where there is no user yet, its token in `token_file`; whether it did.

        The file is written before the commit: a crash in between leaves a token that opens nothing, and the next
        start writes another.
        """
        token = new_token(USER_PREFIX)
        now = self._clock.now()
        with self._database.transaction() as connection:
            if rows.count(connection):
                return False
            write_file(token_file, f"{token}\n".encode(), mode=0o600)
            rows.insert(connection, FIRST_ADMIN, Role.ADMIN, digest(token), now)
            self._audit.record("server", "create-user", FIRST_ADMIN, Role.ADMIN, at=now, connection=connection)
        return True
