"""Every error of ours, in families named after what the caller can do about it.

    EdgeferryError
      ContractError       bytes or a document that do not meet the contract: mend the sender
      ConfigError         a setting that is unknown, unreadable or contradictory: mend the file or flag
      DataError           data that is missing, corrupt or fails its schema: mend the data
      ModelError          a model that cannot be loaded, converted or run: mend or replace the model
      GateError           a measured value did not meet its threshold: improve it, or override on record
      TrustError          a signature, hash, key or expiry that does not hold: do not use the thing
      UnreachableError    a server, broker or host that does not answer: retry later
      AccessError         a token that is missing, wrong or too weak: use another
      NotFoundError       the named thing does not exist: name another
      ConflictError       the state of things does not allow it: look first, then decide
      StorageError        a disk that is full or cannot be written: make room
      MissingExtraError   an optional part is not installed: install it

Domain errors know nothing of HTTP, MQTT or exit codes; the edges map them (`edgeferry.exit_codes`,
`fleet_server.api.problems`).
"""

from __future__ import annotations


class EdgeferryError(Exception):
    """Root of all errors that edgeferry raises on purpose.

    Args:
        message: what happened, naming what, where, got and expected.
        hint: what the reader can do next; may be empty.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ContractError(EdgeferryError):
    """Bytes or a document do not meet the contract."""

    @classmethod
    def mismatch(cls, what: str, *, got: object, expected: object, hint: str = "") -> ContractError:
        """Names the thing, what was got and what was expected, in the house form."""
        return cls(f"{what}: got {got!r}, expected {expected}", hint=hint)


class ConfigError(EdgeferryError):
    """A setting is unknown, unreadable or contradicts another."""


class DataError(EdgeferryError):
    """Data are missing, corrupt, or fail their schema."""


class ModelError(EdgeferryError):
    """A model cannot be loaded, converted or run."""


class GateError(EdgeferryError):
    """A measured value did not meet its threshold."""


class TrustError(EdgeferryError):
    """A signature, hash, key or expiry does not hold."""


class UnreachableError(EdgeferryError):
    """A server, broker or host does not answer; trying later may help."""


class AccessError(EdgeferryError):
    """A token is missing, wrong, or its role does not allow the action."""


class NotFoundError(EdgeferryError):
    """The named thing does not exist."""


class ConflictError(EdgeferryError):
    """The present state does not allow the action."""


class StorageError(EdgeferryError):
    """A disk is full or cannot be written."""


class MissingExtraError(EdgeferryError):
    """An optional part of edgeferry is not installed."""

    @classmethod
    def for_extra(cls, extra: str, module: str) -> MissingExtraError:
        """The error for `module`, which comes with the extra `extra`."""
        return cls(f"this needs {module}, which is not installed", hint=f"pip install 'edgeferry[{extra}]'")
