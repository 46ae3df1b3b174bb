"""What pip says last, in our words."""

from __future__ import annotations

import pytest

from converter.environments.known import Pin
from converter.environments.pip_failure import explain, is_no_wheel, no_wheel
from fleet_contract.errors import ConfigError, NotFoundError, StorageError, UnreachableError

PIN = Pin("tflite-runtime", "2.14.0")
NO_WHEEL = (
    "ERROR: Could not find a version that satisfies the requirement tflite-runtime==2.14.0 (from versions: none)\n"
    "ERROR: No matching distribution found for tflite-runtime==2.14.0\n"
)
OFFLINE = (
    "WARNING: Retrying (Retry(total=1)) after connection broken by 'NewConnectionError(Failed to establish a new "
    f"connection: [Errno 111] Connection refused)': /simple/tflite-runtime/\n{NO_WHEEL}"
)


def test_no_wheel_is_told_from_no_network() -> None:
    """It ends with the same words in both cases; the warnings before them differ."""
    assert is_no_wheel(NO_WHEEL)
    assert not is_no_wheel(OFFLINE)
    assert not is_no_wheel("ERROR: something else")


@pytest.mark.parametrize(
    ("output", "family"),
    [
        (OFFLINE, UnreachableError),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", StorageError),
        ("ERROR: Exception", ConfigError),
        ("", ConfigError),
    ],
)
def test_a_failure_belongs_to_the_family_that_can_mend_it(output: str, family: type[Exception]) -> None:
    """Network, disk, or pip's configuration."""
    error = explain(output, PIN)
    assert type(error) is family
    assert "tflite-runtime==2.14.0" in error.message
    assert error.hint


def test_passwords_of_an_index_are_not_shown() -> None:
    """An index address may hold a token."""
    error = explain("ERROR: 401 for https://me:secret@example.org/simple/", PIN)
    assert "secret" not in error.message
    assert "example.org" in error.message


def test_a_missing_wheel_says_which_python_has_one() -> None:
    """The reader knows what to install."""
    error = no_wheel(PIN, ["Python 3.12"], ["3.11"])
    assert isinstance(error, NotFoundError)
    assert error.message == "tflite-runtime==2.14.0: no wheel for Python 3.12; there is one for Python 3.11"
    assert "--python python3.11" in error.hint


def test_a_version_that_no_python_has_is_not_blamed_on_python() -> None:
    """A typing error, or another architecture."""
    assert "whichever Python" in no_wheel(PIN, ["Python 3.11", "Python 3.12"], []).message
