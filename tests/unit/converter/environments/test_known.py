"""Names, places and records of runtime environments."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from converter.environments.known import (
    RECORD_FILE,
    Pin,
    Record,
    environments_folder,
    known_environments,
    parse_pin,
    remove_environment,
)
from converter.environments.setup import requirements
from fleet_contract.codec import encode
from fleet_contract.device_profile import Runtime
from fleet_contract.errors import ConfigError, DataError, NotFoundError


def put(root: Path, pin: str, *, folder: str = "", python: bool = True) -> Path:
    """A folder that looks like an environment for `pin`."""
    package, version = pin.split("==")
    made = root / (folder or f"{package}-{version}")
    (made / "venv" / "bin").mkdir(parents=True)
    record = Record(
        package=package,
        version=version,
        python_version="3.11.7",
        numpy_version="1.26.4",
        made_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    (made / RECORD_FILE).write_bytes(encode(record))
    if python:
        (made / "venv" / "bin" / "python").touch()
    return made


@pytest.mark.parametrize(
    ("text", "runtime"),
    [
        ("ai-edge-litert==1.4.0", Runtime.TFLITE),
        ("tflite-runtime==2.14.0", Runtime.TFLITE),
        (" onnxruntime==1.19.2 ", Runtime.ONNX),
        ("ai-edge-litert==2.4.0rc1", Runtime.TFLITE),
    ],
)
def test_a_pin_names_one_version_of_a_runtime(text: str, runtime: Runtime) -> None:
    """It is written as pip writes it."""
    pin = parse_pin(text)
    assert str(pin) == text.strip()
    assert pin.runtime is runtime


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ai-edge-litert",
        "ai-edge-litert>=1.4",
        "numpy==2.0",
        "onnxruntime==1.19.2 --pre",
        "onnxruntime==../x",
        "a==1",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """Neither another package nor an option can reach pip or the file system."""
    with pytest.raises(ConfigError, match="expected PACKAGE==VERSION"):
        parse_pin(text)


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"EDGEFERRY_RUNTIMES": "/a", "XDG_DATA_HOME": "/b"}, "/a"),
        ({"XDG_DATA_HOME": "/b"}, "/b/edgeferry/runtimes"),
        ({"XDG_DATA_HOME": "relative", "EDGEFERRY_RUNTIMES": ""}, "/home/me/.local/share/edgeferry/runtimes"),
        ({}, "/home/me/.local/share/edgeferry/runtimes"),
    ],
)
def test_environments_are_kept_with_the_users_data(environ: dict[str, str], folder: str) -> None:
    """The variable wins; a relative XDG_DATA_HOME is ignored, as its specification asks."""
    assert environments_folder(environ, Path("/home/me")) == Path(folder)


def test_environments_come_by_package_and_version(tmp_path: Path) -> None:
    """Versions are numbers; what is being made, and files, are left out."""
    for pin in ("onnxruntime==1.19.2", "ai-edge-litert==1.10.0", "ai-edge-litert==1.4.0"):
        put(tmp_path, pin)
    put(tmp_path, "ai-edge-litert==1.5.0", folder=".ai-edge-litert-1.5.0.new.abc")
    (tmp_path / "notes.txt").touch()
    pins = [str(each.pin) for each in known_environments(tmp_path)]
    assert pins == ["ai-edge-litert==1.4.0", "ai-edge-litert==1.10.0", "onnxruntime==1.19.2"]


def test_no_folder_holds_no_environment(tmp_path: Path) -> None:
    """Nobody has added one yet."""
    assert known_environments(tmp_path / "none") == ()


def test_a_broken_environment_is_an_error(tmp_path: Path) -> None:
    """Leaving it out would claim what it could refute."""
    (put(tmp_path, "ai-edge-litert==1.4.0") / RECORD_FILE).write_bytes(b"{")
    with pytest.raises(DataError, match="not a runtime environment") as caught:
        known_environments(tmp_path)
    assert "edgeferry runtimes remove ai-edge-litert-1.4.0" in caught.value.hint


def test_an_environment_whose_python_is_gone_is_an_error(tmp_path: Path) -> None:
    """The interpreter that it was made with was removed."""
    put(tmp_path, "ai-edge-litert==1.4.0", python=False)
    with pytest.raises(DataError, match="missing, the Python"):
        known_environments(tmp_path)


def test_an_environment_under_another_name_is_an_error(tmp_path: Path) -> None:
    """A copied folder must not stand for a version that it does not hold."""
    put(tmp_path, "ai-edge-litert==1.4.0", folder="ai-edge-litert-1.3.0")
    with pytest.raises(DataError, match=r"got ai-edge-litert==1\.4\.0"):
        known_environments(tmp_path)


@pytest.mark.parametrize("name", ["ai-edge-litert==1.4.0", "ai-edge-litert-1.4.0"])
def test_removing_takes_the_folder(tmp_path: Path, name: str) -> None:
    """Also a broken one, by either name."""
    (put(tmp_path, "ai-edge-litert==1.4.0") / RECORD_FILE).unlink()
    put(tmp_path, "onnxruntime==1.19.2")
    remove_environment(name, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["onnxruntime-1.19.2"]


@pytest.mark.parametrize("name", ["ai-edge-litert==9", "../outside", "/etc", "", ".", ".."])
def test_removing_anything_else_is_refused(tmp_path: Path, name: str) -> None:
    """Nothing outside of the folder can be named."""
    (tmp_path / "outside").mkdir()
    root = tmp_path / "root"
    put(root, "onnxruntime==1.19.2")
    with pytest.raises(NotFoundError, match=r"expected one of onnxruntime-1\.19\.2"):
        remove_environment(name, root)
    assert (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    ("package", "version", "old_numpy"),
    [("tflite-runtime", "2.14.0", True), ("onnxruntime", "1.18.1", True), ("onnxruntime", "1.19.2", False)],
)
def test_runtimes_built_for_the_old_numpy_get_it(package: str, version: str, *, old_numpy: bool) -> None:
    """tflite-runtime dies of numpy 2."""
    numpy = requirements(Pin(package, version))[-1]
    assert numpy.endswith("<2") is old_numpy
