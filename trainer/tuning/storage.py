"""Where studies are kept: SQLite or any database that SQLAlchemy knows, with errors in our words.

Rules: a password is never shown; a trial whose worker stops its heartbeat is tried once more by another.
"""

from __future__ import annotations

import logging
import re
import time
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from fleet_contract.errors import ConfigError, EdgeferryError, MissingExtraError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

HEARTBEAT_S: Final = 15
STALE_AFTER_S: Final = 60
LOCK_WAIT_S: Final = 60
MAKE_ATTEMPTS: Final = 5
MAKE_WAIT_S: Final = 0.5
_QUERY_PASSWORD: Final = re.compile(r"(?i)([?&]\w*password=)[^&]*")


def import_optuna() -> Any:
    """The module, quiet.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError.for_extra("trainer", "optuna") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return optuna


def hide_password(url: str) -> str:
    """The URL as it may be shown."""
    url = _QUERY_PASSWORD.sub(r"\1***", url)
    head, at, tail = url.rpartition("@")
    user, colon, _ = head.rpartition(":")
    return f"{user}:***@{tail}" if at and colon and not user.endswith(":/") and "//" in user else url


def with_driver(url: str) -> str:
    """The URL with the driver that comes with our extra, where it names none."""
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)


def open_storage(optuna: Any, url: str, *, heartbeat_s: int = HEARTBEAT_S, stale_after_s: int = STALE_AFTER_S) -> Any:
    """Optuna's storage at the URL; its tables are made where they are missing."""
    sqlite = url.startswith("sqlite:")

    def make() -> Any:
        return optuna.storages.RDBStorage(
            url,
            engine_kwargs={"connect_args": {"timeout": LOCK_WAIT_S}} if sqlite else {"pool_pre_ping": True},
            heartbeat_interval=heartbeat_s,
            grace_period=stale_after_s,
            heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=1),
        )

    return _made_beside_others(make)


def _made_beside_others(make: Any) -> Any:
    """What `make` gives: workers that begin at once all make the tables, and all but one are told that they exist."""
    from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

    for _ in range(MAKE_ATTEMPTS - 1):
        try:
            return make()
        except (IntegrityError, ProgrammingError):
            time.sleep(MAKE_WAIT_S)
        except OperationalError as error:
            if "already exists" not in str(error):
                raise
            time.sleep(MAKE_WAIT_S)
    return make()


@contextmanager
def quiet(optuna: Any) -> Iterator[None]:
    """Holds back Optuna's notes that a part of it may change; we pin its version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Errors of SQLAlchemy and its drivers as ours.

    Raises:
        ConfigError: the URL is none, or its driver is unknown.
        MissingExtraError: PostgreSQL's driver is not installed.
        UnreachableError: the database does not answer.
    """
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    where = f"[tune] storage: {hide_password(url)}"
    try:
        yield
    except EdgeferryError:
        raise
    except (ArgumentError, ModuleNotFoundError) as error:
        if getattr(error, "name", "") == "psycopg":
            raise MissingExtraError.for_extra("postgresql", "psycopg") from error
        raise ConfigError(f"{where}: {error}", hint="for instance postgresql://user@host/name") from error
    except SQLAlchemyError as error:
        raise UnreachableError(f"{where}: {_words(error)}") from error
    except Exception as error:
        if not type(error).__module__.startswith("optuna."):
            raise
        raise UnreachableError(f"{where}: {_words(error.__cause__ or error)}") from error


def _words(error: BaseException) -> str:
    """The driver's own words, without the statement and its values."""
    cause = getattr(error, "orig", None) or error
    return f"{type(cause).__name__}: {cause}"
