"""`edgeferry import`: a foreign model to proven TFLite and ONNX variants."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def import_model(  # noqa: PLR0917  typer passes options by name
    model: Annotated[Path, typer.Argument(help="A .keras, .h5, .tflite or .onnx file, or the folder of a SavedModel.")],
    samples: Annotated[
        Path, typer.Option("--samples", help="NPZ with `inputs`, perhaps `labels` and `slices`; or NPY of inputs.")
    ],
    labels: Annotated[
        str, typer.Option("--labels", help="Names of the outputs in their order: a,b,c, or a file with one a line.")
    ] = "",
    name: Annotated[str, typer.Option("--name", help="The model's name in the fleet; default: after the file.")] = "",
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle; an older bundle is replaced.")] = Path(
        "release"
    ),
    recipes: Annotated[str, typer.Option("--recipes", help="Names, with commas; default: what suits the model.")] = "",
    target: Annotated[
        list[str] | None,
        typer.Option("--target", help="Kinds of device to convert for, with commas or repeated; also picks recipes."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Decides which rows calibrate and which are held out.")] = 0,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Seconds that one recipe may take.")] = 300.0,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON on stdout.")] = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Wrap a model that was trained elsewhere as a release bundle, with the same gates as a candidate."""
    from datetime import UTC, datetime
    from time import perf_counter

    from rich.console import Console

    from converter.cli_runtimes import installed_environments
    from converter.console_progress import console_progress
    from converter.pipeline import search_folder
    from converter.process.sandbox import Limits
    from converter.report.terminal import show
    from converter.sources.importer import ImportRequest
    from converter.sources.importer import import_model as run
    from converter.stopwatch import Stopwatch

    request = ImportRequest(
        model=model, samples=samples, now=datetime.now(UTC), name=name, label_names=_label_names(labels), seed=seed
    )
    console = Console(stderr=True)
    with console_progress(console, "importing", records=search_folder(out)) as progress:
        bundle = run(
            request,
            out,
            watch=Stopwatch(progress, perf_counter),
            recipes=_split(recipes) or None,
            targets=tuple(each for one in target or [] for each in _split(one)),
            limits=Limits(timeout_s=timeout_s),
            environments=installed_environments(),
        )
    show(bundle, console, as_json=as_json)


def _label_names(labels: str) -> tuple[str, ...]:
    """The names in a file, one a line, or those in the text itself.

    Raises:
        DataError: the file is no UTF-8 text.
    """
    from fleet_contract.errors import DataError

    path = Path(labels)
    if not labels or "," in labels or not path.is_file():
        return _split(labels)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as one name a line: {error}") from error
    return tuple(line.strip() for line in lines if line.strip())


def _split(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())
