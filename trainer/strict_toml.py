"""TOML in, typed and strict: an unknown key, a number that is not finite or a wrong type is a `ConfigError`.

Rules: pure but for reading the one file; nothing is guessed, the nearest key is only named in the hint.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from fleet_contract.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")
MOVED: Final = {"train.threads": "[resources] threads"}
"""Keys of earlier versions, and where each is now."""


def read_strict(path: Path, kind: type[T]) -> T:
    """The document of type `kind` in the TOML file at `path`.

    Raises:
        ConfigError: no such file, not TOML, an unknown key, or a value that `kind` does not allow.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: cannot be read: {error}", hint="`edgeferry init FOLDER` writes a working project"
        ) from error
    return parse_strict(text, kind, source=str(path))


def parse_strict(text: str, kind: type[T], *, source: str) -> T:
    """The document of type `kind` in the TOML `text`; `source` names it in errors.

    Raises:
        ConfigError: as `read_strict`.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{source}: not TOML: {error}") from error
    _check_finite(document, source, "")
    _check_keys(document, msgspec.inspect.type_info(kind), source, "")
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {error}") from error


def _check_finite(value: object, source: str, path: str) -> None:
    """`nan` slips through every comparison, so a gate of `nan` would be no gate."""
    if isinstance(value, dict):
        for key, item in value.items():
            _check_finite(item, source, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for item in value:
            _check_finite(item, source, path)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{source}: {path}: got {value}, expected a finite number")


def _check_keys(value: object, info: msgspec.inspect.Type, source: str, path: str) -> None:
    match info:
        case msgspec.inspect.StructType():
            if isinstance(value, dict):
                _check_table(value, info, source, path)
        case msgspec.inspect.VarTupleType(item_type=item_type):
            for item in value if isinstance(value, list) else []:
                _check_keys(item, item_type, source, path)
        case msgspec.inspect.UnionType(types=types):
            for option in types:
                if isinstance(option, msgspec.inspect.StructType) and _has_tag(value, option):
                    _check_keys(value, option, source, path)
        case _:
            pass


def _has_tag(value: object, info: msgspec.inspect.StructType) -> bool:
    return isinstance(value, dict) and info.tag_field is not None and value.get(info.tag_field) == info.tag


def _check_table(table: dict[str, object], info: msgspec.inspect.StructType, source: str, path: str) -> None:
    fields = {field.encode_name: field.type for field in info.fields}
    known = [*fields, *([info.tag_field] if info.tag_field else [])]
    for key, item in table.items():
        if key not in known:
            raise _unknown_key(key, known, source, path)
        if key in fields:
            _check_keys(item, fields[key], source, f"{path}.{key}" if path else key)


def _unknown_key(key: str, known: list[str], source: str, path: str) -> ConfigError:
    where = f"section [{path}]" if path else "top level"
    nearest = difflib.get_close_matches(key, known, n=1)
    if moved := MOVED.get(f"{path}.{key}"):
        return ConfigError(f"{source}: {where}: unknown key {key!r}: it has moved", hint=f"write it as {moved}")
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"known keys: {', '.join(sorted(known))}"
    return ConfigError(f"{source}: {where}: unknown key {key!r}", hint=hint)
