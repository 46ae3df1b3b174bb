"""The command line: lazy, helpful, with an exit code for every family of errors."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from edgeferry import cli
from edgeferry.exit_codes import BY_FAMILY, ExitCode, exit_code
from fleet_contract import errors

ROOT = Path(__file__).parents[3]
FAMILIES = [
    family
    for family in vars(errors).values()
    if isinstance(family, type) and issubclass(family, errors.EdgeferryError) and family is not errors.EdgeferryError
]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A command `probe` whose body a test can set."""
    module = ModuleType("edgeferry_probe")
    monkeypatch.setitem(sys.modules, "edgeferry_probe", module)
    monkeypatch.setitem(cli.COMMANDS, "probe", cli.Lazy("edgeferry_probe:probe", "trainer", "For tests."))
    return module


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_every_family_has_an_exit_code_of_its_own(
    family: type[errors.EdgeferryError], command: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error of a family ends as error line, hint line and that family's code."""

    def probe() -> None:
        raise family("what happened", hint="what helps")

    command.probe = probe  # type: ignore[attr-defined]
    assert cli.run(["probe"]) == BY_FAMILY[family]
    assert capsys.readouterr().err == "error: what happened\nhint: what helps\n"


def test_the_codes_differ_and_the_reference_lists_them_all() -> None:
    """No two families share a code, and docs/reference/exit-codes.md has a row for each."""
    assert len(set(BY_FAMILY.values())) == len(BY_FAMILY) == len(FAMILIES)
    rows = (ROOT / "docs/reference/exit-codes.md").read_text().splitlines()
    documented = {
        int(row.split("|")[1]) for row in rows if row.startswith("| ") and row.split("|")[1].strip().isdigit()
    }
    assert documented == {int(code) for code in ExitCode}


def test_a_family_without_a_code_is_reported_as_a_bug() -> None:
    """The root error itself stands for something nobody thought of."""
    assert exit_code(errors.EdgeferryError("?")) is ExitCode.BUG


def test_ctrl_c_is_not_a_traceback(command: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """An interrupt ends with 130 and one word."""

    def probe() -> None:
        raise KeyboardInterrupt

    command.probe = probe  # type: ignore[attr-defined]
    assert cli.run(["probe"]) == ExitCode.INTERRUPTED
    assert capsys.readouterr().err.strip() == "interrupted"


def test_a_full_disk_is_named(command: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """ENOSPC from anywhere becomes the storage error with the file's name."""

    def probe() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/somewhere/file")

    command.probe = probe  # type: ignore[attr-defined]
    assert cli.run(["probe"]) == ExitCode.STORAGE
    assert "/somewhere/file" in capsys.readouterr().err


def test_a_missing_extra_says_what_to_install(command: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """An import that fails inside a command names the extra that brings it."""

    def probe() -> None:
        raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")

    command.probe = probe  # type: ignore[attr-defined]
    assert cli.run(["probe"]) == ExitCode.MISSING_EXTRA
    assert "pip install 'edgeferry[trainer]'" in capsys.readouterr().err


def test_a_module_of_ours_that_is_missing_is_a_bug_not_an_extra(command: ModuleType) -> None:
    """A broken install is not explained away."""

    def probe() -> None:
        raise ModuleNotFoundError("No module named 'trainer.gone'", name="trainer.gone")

    command.probe = probe  # type: ignore[attr-defined]
    with pytest.raises(ModuleNotFoundError):
        cli.run(["probe"])


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """A typo is answered with what was probably meant."""
    assert cli.run(["rolout"]) == ExitCode.USAGE
    assert "did you mean 'rollout'?" in capsys.readouterr().err


def test_wrong_usage_of_a_command_is_code_two() -> None:
    """A missing argument is a usage error."""
    assert cli.run(["rollout", "start"]) == ExitCode.USAGE


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command of the table loads and explains itself."""
    assert cli.run([name, "--help"]) == ExitCode.OK
    assert "Usage" in capsys.readouterr().out


def test_help_imports_nothing_heavy() -> None:
    """`edgeferry --help` works in every install: no part, no numpy, no typer is imported for it."""
    code = (
        "import sys; from edgeferry.cli import run; run(['--help']);"
        "heavy = {'numpy','typer','rich','msgspec','tensorflow','trainer','converter','fleet_server','device_agent'};"
        "sys.exit(' '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_a_token_no_request_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    """A missing token is a setting to mend, said before any connection."""
    assert cli.run(["status", "--server", "http://127.0.0.1:1"]) == ExitCode.CONFIG
    assert "EDGEFERRY_TOKEN" in capsys.readouterr().err


def test_a_server_that_is_not_there_is_unreachable(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody listening ends with the code that scripts may retry on."""
    assert cli.run(["status", "--server", "http://127.0.0.1:1", "--token", "x"]) == ExitCode.UNREACHABLE
    assert "does not answer" in capsys.readouterr().err
