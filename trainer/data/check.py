"""The shell of `edgeferry data`: reads a project's data, verifies and studies them; writes nothing.

report, data = check(load_project(folder), progress=Silent())
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from fleet_contract.errors import ConfigError, DataError
from trainer.data.anomaly import Anomaly
from trainer.data.parts import NOTHING_REMOVED, Removed
from trainer.data.schema import infer_schema, read_schema
from trainer.data.verify import find_anomalies
from trainer.pages.data import study
from trainer.sources.uri import SUFFIXES, load_source
from trainer.stages import clean_split, ingest
from trainer.wrangling.transforms import fit_transforms

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.data.dataset import Dataset
    from trainer.data.parts import Split
    from trainer.data.schema import DataSchema
    from trainer.pages.data import DataReport
    from trainer.progress import Progress
    from trainer.project import Project


def check(project: Project, *, progress: Progress, against: str = "") -> tuple[DataReport, Dataset]:
    """All that is found about the project's data, and the data.

    Data that have no schema yet are held against one inferred from them. What keeps them from being split is an anomaly
    like others, so that all of them are told at once.

    Args:
        project: whose data.
        progress: hears of the source.
        against: URI or file of another sample to compare with; empty compares with none.

    Raises:
        ConfigError: the schema is unreadable, `[preprocessing]` names what the data lack, or `against` is no source.
        DataError: data cannot be read, or `against` has other features.
    """
    progress.stage("ingest")
    data = ingest(project, None, progress)
    progress.stage("verify")
    schema = read_schema(project.schema_path) or infer_base(data)
    anomalies = find_anomalies(data, schema)
    parts, removed, refusal = _split(project, data)
    if parts is not None:
        refusal += _unfit(project, data, parts)
    other = load_against(project, data, against) if against else None
    report = study(
        data,
        (*anomalies, *refusal),
        parts,
        seed=project.settings.data.split.seed,
        removed=removed,
        against=other,
    )
    return report, data


def infer_base(data: Dataset, *, allow_missing: bool = False) -> DataSchema:
    """The schema of the project's own rows, without the fleet's."""
    return infer_schema(data.rows(np.flatnonzero(~data.fleet_mask)), allow_missing=allow_missing)


def _split(project: Project, data: Dataset) -> tuple[Split | None, Removed, list[Anomaly]]:
    try:
        parts, removed = clean_split(project, data)
    except DataError as error:
        return None, NOTHING_REMOVED, [Anomaly("split", len(data), error.message, waivable=False)]
    return parts, removed, []


def _unfit(project: Project, data: Dataset, parts: Split) -> list[Anomaly]:
    """Why the declared transforms cannot be fitted on the training split, if they cannot."""
    try:
        fit_transforms(project.settings.preprocessing.transforms, data.inputs_B[parts.train_I], data.features)
    except DataError as error:
        return [Anomaly("preprocessing", len(parts.train_I), error.message, waivable=False)]
    return []


def load_against(project: Project, data: Dataset, where: str) -> Dataset:
    """Another sample, read like the project's own data `data` and with their vocabularies.

    Args:
        project: whose `[data]` says how to read it.
        data: the project's data.
        where: a URI as in `[data] source`, or the path of a file or folder.

    Raises:
        ConfigError: neither.
        DataError: it cannot be read.
    """
    settings = msgspec.structs.replace(project.settings.data, source=_uri(where, project.folder), limit=0)
    return load_source(settings, project.folder, known=data.features)


def _uri(where: str, folder: Path) -> str:
    """`where`, with a scheme after its suffix where it has none; a path that exists here is meant from here."""
    from pathlib import Path

    if ":" in where:
        return where
    path = Path(where).absolute() if Path(where).exists() else folder / where
    if path.is_dir():
        return f"images:{path}"
    for scheme, suffixes in SUFFIXES.items():
        if path.name.lower().endswith(suffixes):
            return f"{scheme}:{path}"
    raise ConfigError(
        f"{where}: got a file of unknown kind, expected one of {', '.join(sum(SUFFIXES.values(), ()))}",
        hint="name its kind: for instance csv:FILE",
    )
