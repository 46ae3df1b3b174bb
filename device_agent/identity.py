"""What makes this device a member of the fleet, in `state_dir/identity`: written once, as a whole, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from fleet_contract.api import BrokerAddress
from fleet_contract.codec import decode
from fleet_contract.errors import ConfigError, ContractError
from fleet_contract.names import NameStr

if TYPE_CHECKING:
    from pathlib import Path

IDENTITY_FOLDER: Final = "identity"
IDENTITY_FILE: Final = "identity.json"
KEY_FILE: Final = "device.key"
CERTIFICATE_FILE: Final = "device.crt"
CA_FILE: Final = "ca.crt"
ROOT_FILE: Final = "root.json"


class Membership(Struct, frozen=True, kw_only=True):
    """`identity.json`; `http_token` is a secret, so the file is for its owner only."""

    schema: int = 1
    device_id: NameStr
    tenant: NameStr
    server_url: str
    http_token: str
    broker: BrokerAddress


@dataclass(frozen=True, slots=True)
class Identity:
    """A membership and the folder with its key, certificates and pinned root."""

    membership: Membership
    folder: Path

    @property
    def key_file(self) -> Path:
        """The device's private key (PEM), which never leaves it."""
        return self.folder / KEY_FILE

    @property
    def certificate_file(self) -> Path:
        """The device's certificate (PEM)."""
        return self.folder / CERTIFICATE_FILE

    @property
    def ca_file(self) -> Path:
        """The fleet's certificate authority (PEM), which the broker is checked against."""
        return self.folder / CA_FILE

    @property
    def root(self) -> bytes:
        """The pinned TUF root metadata."""
        return (self.folder / ROOT_FILE).read_bytes()


def is_enrolled(state_dir: Path) -> bool:
    """Whether the device has an identity."""
    return (state_dir / IDENTITY_FOLDER / IDENTITY_FILE).exists()


def load_identity(state_dir: Path) -> Identity:
    """The device's identity.

    Raises:
        ConfigError: it has none, or what it has cannot be read.
    """
    folder = state_dir / IDENTITY_FOLDER
    try:
        membership = decode((folder / IDENTITY_FILE).read_bytes(), Membership)
    except FileNotFoundError:
        raise ConfigError(
            f"{state_dir}: this device is not enrolled",
            hint="edgeferry agent enrol --state-dir DIR --server URL --claim TOKEN",
        ) from None
    except (OSError, ContractError) as error:
        raise ConfigError(f"{folder / IDENTITY_FILE}: cannot be read: {error}", hint="enrol the device anew") from error
    return Identity(membership, folder)
