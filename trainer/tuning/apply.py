"""The best values as TOML, and into the project file with everything else in it left as it is.

Rules: pure. The changed text is read again and must give exactly the settings wanted; a file that is laid out in
another way (inline tables, quoted headers) is refused with the lines to paste, never rewritten by guess.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from fleet_contract.errors import ConfigError
from trainer.settings import ProjectFile
from trainer.strict_toml import parse_strict
from trainer.tuning.space import with_choice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer.project import Project
    from trainer.tuning.settings import Scalar

_SECTIONS = {"model": "model.hyperparameters", "train": "train"}
_HEADER = re.compile(r"^\s*\[")


def as_toml(choice: Mapping[str, Scalar]) -> str:
    """The values as the lines of a project file."""
    parts = []
    for group, section in _SECTIONS.items():
        values = _of_group(choice, group)
        if values:
            parts.append("\n".join([f"[{section}]", *(f"{name} = {literal(value)}" for name, value in values.items())]))
    return "\n\n".join(parts) + "\n"


def literal(value: Scalar) -> str:
    """The value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def apply_to_text(text: str, project: Project, choice: Mapping[str, Scalar], *, source: str) -> str:
    """The project file's text with the chosen values in it.

    Raises:
        ConfigError: the text is laid out in a way that is not understood; the hint has the lines to write by hand.
    """
    lines = text.splitlines()
    for group, section in _SECTIONS.items():
        for name, value in _of_group(choice, group).items():
            lines = _set(lines, section, name, literal(value))
    changed = "\n".join(lines) + "\n"
    wanted = with_choice(project, choice).settings
    try:
        understood = parse_strict(changed, ProjectFile, source=source) == wanted
    except ConfigError:
        understood = False
    if not understood:
        raise ConfigError(
            f"{source}: got a layout that cannot be changed line by line, expected plain sections",
            hint=f"write these lines yourself:\n{as_toml(choice)}",
        )
    return changed


def _of_group(choice: Mapping[str, Scalar], group: str) -> dict[str, Scalar]:
    prefix = f"{group}."
    return {name.removeprefix(prefix): value for name, value in choice.items() if name.startswith(prefix)}


def _set(lines: list[str], section: str, name: str, value: str) -> list[str]:
    """Puts `name = value` into the section: over the line that is there, else under the header, else at the end."""
    header = re.compile(rf"^\s*\[\s*{re.escape(section)}\s*\]")
    start = next((number for number, line in enumerate(lines) if header.match(line)), None)
    if start is None:
        return [*lines, "", f"[{section}]", f"{name} = {value}"]
    for number in range(start + 1, len(lines)):
        if _HEADER.match(lines[number]):
            break
        if re.match(rf"^\s*{re.escape(name)}\s*=", lines[number]):
            return [*lines[:number], _replaced(lines[number], value), *lines[number + 1 :]]
    return [*lines[: start + 1], f"{name} = {value}", *lines[start + 1 :]]


def _replaced(line: str, value: str) -> str:
    """The line with another value; a comment after a plain value stays."""
    key, _, rest = line.partition("=")
    comment = re.search(r"""^\s*(?:"[^"\\]*"|'[^']*'|[^"'#\[{]*?)(\s*#.*)$""", rest)
    return f"{key.rstrip()} = {value}{comment.group(1) if comment else ''}"
