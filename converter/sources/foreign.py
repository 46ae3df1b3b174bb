"""A model that somebody else made, as files: what kind it is, by content as well as by name. Nothing here opens it.

foreign = read_foreign(Path("resnet.onnx"))
model = lay_model(foreign.files, scratch / "model")      # for a child process to open
"""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from converter.process.jobs import ModelKind
from fleet_contract.errors import DataError, ModelError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MAX_MODEL_BYTES: Final = 1024**3
MAX_SAVED_MODEL_FILES: Final = 1000
SAVED_MODEL_FILE: Final = "saved_model.pb"
_BY_SUFFIX: Final = {
    ".keras": ModelKind.KERAS,
    ".h5": ModelKind.KERAS,
    ".hdf5": ModelKind.KERAS,
    ".tflite": ModelKind.TFLITE,
    ".onnx": ModelKind.ONNX,
}
_KERAS_ZIP: Final = "model.keras"
_ZIP: Final = b"PK\x03\x04"
_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_TFLITE: Final = b"TFL3"
_ONNX_FIRST: Final = 0x08
"""Every exporter writes field 1, the version of the format, first: key 0x08, then a small number."""
_ONNX_MAX_IR: Final = 63


@dataclass(frozen=True, slots=True)
class ForeignModel:
    """A model's files by path inside of it; a model that is one file has the name that its loader wants."""

    name: str
    kind: ModelKind
    files: Mapping[str, bytes]

    @property
    def sha256(self) -> str:
        """One digest over all files and their names; of a single file its own."""
        if len(self.files) == 1:
            return hashlib.sha256(next(iter(self.files.values()))).hexdigest()
        each = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(self.files.items())]
        return hashlib.sha256("".join(each).encode()).hexdigest()


def read_foreign(path: Path) -> ForeignModel:
    """The model at `path`.

    Raises:
        NotFoundError: nothing is there.
        ModelError: it is of no kind that is known, or of another than its name says.
        DataError: it is too large, or cannot be read.
    """
    if path.is_dir():
        return ForeignModel(path.resolve().name, ModelKind.SAVED_MODEL, _saved_model_files(path))
    if not path.is_file():
        raise NotFoundError(f"{path}: there is no model", hint="name a .keras, .h5, .tflite or .onnx file, or a folder")
    data = _read(path, MAX_MODEL_BYTES)
    kind, file_name = _recognized(path, data)
    return ForeignModel(path.stem, kind, {file_name: data})


def lay_model(files: Mapping[str, bytes], folder: Path) -> Path:
    """Writes a model's files below `folder`, which is made; returns the file, or the folder of a SavedModel."""
    for name, data in files.items():
        target = folder / PurePosixPath(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return folder if SAVED_MODEL_FILE in files else folder / next(iter(files))


def kind_of(head: bytes) -> tuple[ModelKind, str] | None:
    """The kind of a file that begins with `head`, and the name that its loader wants; None for none that is known."""
    if head.startswith(_ZIP):
        return ModelKind.KERAS, _KERAS_ZIP
    if head.startswith(_HDF5):
        return ModelKind.KERAS, "model.h5"
    if head[4:8] == _TFLITE:
        return ModelKind.TFLITE, "model.tflite"
    if len(head) > 2 and head[0] == _ONNX_FIRST and 0 < head[1] <= _ONNX_MAX_IR:
        return ModelKind.ONNX, "model.onnx"
    return None


def _recognized(path: Path, data: bytes) -> tuple[ModelKind, str]:
    named = _BY_SUFFIX.get(path.suffix.lower())
    found = kind_of(data[:16])
    if found is None:
        expected = f"the content of a model of kind {named}" if named else "a Keras, TFLite or ONNX file"
        raise ModelError(
            f"{path}: got {len(data)} bytes that begin with {data[:8]!r}, expected {expected}",
            hint="the file is damaged or of another kind; a SavedModel is given by its folder",
        )
    if named not in {None, found[0]}:
        raise ModelError(
            f"{path}: got the content of a model of kind {found[0]}, expected {named} as the name says",
            hint="give the file the suffix of what it is, once you are sure of it",
        )
    return found


def _saved_model_files(folder: Path) -> dict[str, bytes]:
    if not (folder / SAVED_MODEL_FILE).is_file():
        raise ModelError(
            f"{folder}: got a folder without {SAVED_MODEL_FILE}, expected a TensorFlow SavedModel",
            hint="other kinds of model are single files: name the file",
        )
    files: dict[str, bytes] = {}
    left_bytes = MAX_MODEL_BYTES
    for path in _regular_files(folder):
        if len(files) == MAX_SAVED_MODEL_FILES:
            raise DataError(f"{folder}: got more than {MAX_SAVED_MODEL_FILES} files, expected a SavedModel alone")
        data = _read(path, left_bytes)
        left_bytes -= len(data)
        files[path.relative_to(folder).as_posix()] = data
    return files


def _regular_files(folder: Path) -> Iterator[Path]:
    """Files at any depth, in order; a link or device could lead out of the folder."""
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            yield path
        elif not stat.S_ISDIR(mode):
            raise DataError(f"{path}: got a link or a special file, expected regular files in a SavedModel")


def _read(path: Path, limit_bytes: int) -> bytes:
    try:
        size_bytes = path.stat().st_size
        if size_bytes > limit_bytes:
            raise DataError(f"{path}: got a model of over {MAX_MODEL_BYTES} bytes, which no device of a fleet takes")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
