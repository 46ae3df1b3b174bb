"""Traces of a review that git keeps: of the newest change to what makes the model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from trainer.project import PROJECT_FILE
from trainer.records.lineage import newest_change

if TYPE_CHECKING:
    from trainer.project import Project

_TRACE: Final = re.compile(
    r"^(?:Reviewed-by|Approved-by): .+|^Merge pull request #\d+.*|^See merge request .*!\d+|^.+ \(#\d+\)$", re.MULTILINE
)
"""A trailer, or what GitHub and GitLab write when a change request is merged."""


def review_of(project: Project) -> str:
    """The line that tells of a review or of a merged change request; empty where there is none."""
    message = newest_change(project.folder, PROJECT_FILE, str(project.model_path))
    trace = _TRACE.search(message)
    return trace.group() if trace else ""
