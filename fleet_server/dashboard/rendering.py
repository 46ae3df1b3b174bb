"""Templates to HTML. Everything that a device or a user wrote is escaped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2

from fleet_server.dashboard import words

if TYPE_CHECKING:
    from fleet_server.clock import Clock

FOLDER: Final = Path(__file__).parent
STATIC: Final = {
    path.name: (path.read_bytes(), kind)
    for path in sorted((FOLDER / "static").iterdir())
    if (kind := {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}.get(path.suffix))
}
"""Every static file with its type: a fixed list, so that no name from outside becomes a path."""


class Renderer:
    """Renders a page for its viewer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(
            tone=words.tone, size=words.size, percent=words.percent, sparkline=words.sparkline
        )
        self._templates.globals["bars"] = words.bars

    def page(self, template: str, **values: Any) -> str:
        """The HTML of a page."""
        now = self._clock.now()
        return self._templates.get_template(template).render(now=now, ago=lambda at: words.ago(at, now), **values)
