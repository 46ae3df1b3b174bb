"""`edgeferry predict`: a release over data of any size."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from converter.predict.request import OnError, Request
from converter.process.sandbox import Limits
from edgeferry.output import print_json
from edgeferry.released import open_released
from edgeferry.session import DEFAULT_SERVER, AsJson, Server, Token
from fleet_contract.errors import ConfigError

if TYPE_CHECKING:
    from converter.predict.engine import Engine
    from converter.predict.request import Summary


def predict(
    release: Annotated[str, typer.Argument(help="A bundle folder, or MODEL@VERSION of the fleet server.")],
    data: Annotated[Path, typer.Argument(help="A CSV, Parquet, NPY or NPZ file, or a folder of images or of tables.")],
    *,
    out: Annotated[Path, typer.Option(help="The result: .parquet, .csv or .npz.")],
    variant: Annotated[str, typer.Option(help="Which variant; default: the nearest to the float model.")] = "",
    engine: Annotated[str, typer.Option(help="local or ray.")] = "local",
    batch: Annotated[
        int, typer.Option(min=0, help="Rows of a chunk: what a kill can lose; 0: what suits the variant.")
    ] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that score; 0: as many as there are cores.")] = 0,
    columns: Annotated[
        str, typer.Option(help="A table's columns that are the input, in order, where the release does not name them.")
    ] = "",
    separator: Annotated[str, typer.Option(help="What separates the values of a CSV file; default: a comma.")] = "",
    array: Annotated[str, typer.Option(help="The array of an NPZ; default: `inputs`, or the only one.")] = "",
    on_error: Annotated[OnError, typer.Option(help="What a row that cannot be scored does.")] = OnError.STOP,
    scores: Annotated[bool, typer.Option("--scores", help="Write all scores, not only the best.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older result.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Drop what an unfinished run has done.")] = False,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Seconds that one chunk may take.")] = 600.0,
    memory_mb: Annotated[int, typer.Option("--memory", help="Megabytes that one worker may use.")] = 8192,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Predict all rows of a file or folder with a released variant; go on where an interrupted run ended."""
    with TemporaryDirectory(prefix="edgeferry-release-") as scratch:
        request = Request(
            released=open_released(release, variant, Path(scratch), server=server, token=token),
            data=data,
            out=out,
            columns=tuple(name.strip() for name in columns.split(",") if name.strip()),
            array=array,
            separator=separator,
            rows_per_chunk=batch,
            on_error=on_error,
            all_scores=scores,
            overwrite=overwrite,
            restart=restart,
        )
        summary = _run(request, _engine(engine, workers, Limits(timeout_s=timeout_s, memory_mb=memory_mb)))
    if as_json:
        print_json(summary)
    else:
        _show(summary)


def _run(request: Request, engine: Engine) -> Summary:
    """The prediction with its progress on the terminal."""
    from rich.console import Console

    from converter.predict.console import console_progress
    from converter.predict.predicting import predict as predict_all

    console = Console(stderr=True)
    console.print(f"- {request.released} on {request.data}", highlight=False, markup=False)
    try:
        with console_progress(console) as progress:
            return predict_all(request, engine, progress=progress, elapsed_s=perf_counter)
    except KeyboardInterrupt:
        typer.echo(f"what is finished is kept in {request.out}.partial; the same command goes on from there", err=True)
        raise


def _engine(name: str, workers: int, limits: Limits) -> Engine:
    if name == "local":
        from converter.predict.engine import LocalEngine

        return LocalEngine(workers=workers or len(os.sched_getaffinity(0)), limits=limits)
    if name == "ray":
        from converter.predict.ray_engine import RayEngine

        return RayEngine(workers=workers, limits=limits)
    raise ConfigError(f"--engine: got {name!r}, expected local or ray")


def _show(summary: Summary) -> None:
    print(f"{summary.rows:,} rows in {summary.duration_s:.1f} s, {summary.rows_per_s:,.0f} rows/s: {summary.out}")
    most = sorted(summary.labels.items(), key=lambda item: (-item[1], item[0]))[:10]
    if most:
        print(", ".join(f"{label} {count:,}" for label, count in most))
    if summary.skipped_rows:
        print(f"{summary.skipped_rows:,} rows without a prediction: {summary.skipped_list}")
