"""Runs the migrations that a database lacks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import alembic.command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

from fleet_contract.errors import StorageError

if TYPE_CHECKING:
    from fleet_server.storage.database import Database

FOLDER = Path(__file__).parent


def upgrade(database: Database) -> None:
    """Brings the database to the newest revision; all steps commit together or not at all.

    Raises:
        StorageError: the database was written by a newer server, or cannot be changed.
    """
    with database.transaction() as connection:
        config = configuration()
        config.attributes["connection"] = connection
        try:
            alembic.command.upgrade(config, "head")
        except CommandError as error:
            raise StorageError(
                f"database: cannot migrate: {error}", hint="was it written by a newer edgeferry? Install that one"
            ) from error


def newest_revision() -> str:
    """The revision that this server's code is written for."""
    revision = ScriptDirectory.from_config(configuration()).get_current_head()
    assert revision is not None
    return revision


def configuration() -> Config:
    """Alembic's configuration, without a file of its own."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    return config
