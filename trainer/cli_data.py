"""Commands on a project's data: `edgeferry data inspect`, `edgeferry data schema`, `edgeferry data verify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from trainer.data.dataset import Dataset
    from trainer.data.schema import DataSchema
    from trainer.pages.data import DataReport
    from trainer.project import Project

app = typer.Typer(no_args_is_help=True, help="Look at data, review their schema, verify them.")

ProjectOption = Annotated[Path, typer.Option("--project", "-p", help="The project's folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]
HtmlOption = Annotated[Path | None, typer.Option("--html", help="Write the report with plots to this file.")]


@app.command()
def inspect(project: ProjectOption = Path(), html: HtmlOption = None, *, as_json: JsonOption = False) -> None:
    """Show what the data look like: figures per feature, class balance, what is missing or there twice."""
    from trainer.project import load_project

    loaded = load_project(project)
    if html is not None:
        report, data = _check(loaded)
        _write_page(loaded, report, data, html)
        statistics = report.statistics
    else:
        from trainer.data.statistics import describe

        statistics = describe(_read(loaded))
    if as_json:
        _print_json(statistics)
    else:
        from trainer.pages.data_table import print_statistics

        print_statistics(statistics)


@app.command()
def schema(
    project: ProjectOption = Path(),
    *,
    infer: Annotated[bool, typer.Option("--infer", help="Print the schema that the data have now; write nothing.")] = (
        False
    ),
    update: Annotated[
        bool, typer.Option("--update", help="Write the schema that the data have now; tell what changes.")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Let through as large a share of missing values as there is now.")
    ] = False,
) -> None:
    """Show the reviewed schema, infer one, or update it with the differences in words, where the data then meet it."""
    from fleet_contract.errors import NotFoundError
    from trainer.data.schema import read_schema
    from trainer.project import load_project

    loaded = load_project(project)
    reviewed = read_schema(loaded.schema_path)
    if not infer and not update:
        if reviewed is None:
            raise NotFoundError(
                f"{loaded.schema_path}: got no schema, expected a reviewed one",
                hint="edgeferry data schema --update writes one for review",
            )
        _print_schema(reviewed)
        return
    from trainer.data.check import infer_base
    from trainer.data.schema_diff import carry_over
    from trainer.data.verify import find_anomalies, require_sound

    data = _read(loaded)
    inferred = infer_base(data, allow_missing=allow_missing)
    new = inferred if reviewed is None else carry_over(reviewed, inferred)
    if update:
        require_sound(find_anomalies(data, new), data.source)
        _update(loaded, reviewed, new)
    else:
        _print_schema(new)


@app.command()
def verify(
    project: ProjectOption = Path(),
    against: Annotated[
        str, typer.Option("--against", help="Another sample, a file or URI, to compare feature by feature.")
    ] = "",
    html: HtmlOption = None,
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on everything that is worth a look.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run all checks: schema, leakage, near duplicates, skew, labels. Fails when data must not be trained on."""
    from trainer.data.verify import require_sound
    from trainer.project import load_project

    loaded = load_project(project)
    report, data = _check(loaded, against)
    if html is not None:
        _write_page(loaded, report, data, html)
    if as_json:
        _print_json(report)
    else:
        from trainer.pages.data_table import print_findings

        print_findings(report)
    require_sound(list(report.anomalies), data.source)
    if strict:
        _require_unremarkable(report, data)


def _check(project: Project, against: str = "") -> tuple[DataReport, Dataset]:
    from trainer.console import TerminalProgress
    from trainer.data.check import check

    with TerminalProgress() as progress:
        return check(project, progress=progress, against=against)


def _read(project: Project) -> Dataset:
    from trainer.console import TerminalProgress
    from trainer.stages import ingest

    with TerminalProgress() as progress:
        return ingest(project, None, progress)


def _write_page(project: Project, report: DataReport, data: Dataset, path: Path) -> None:
    from fleet_files.durable import write_file
    from trainer.pages.data_html import render

    text = render(report, data, title=f"Data of {project.name}", seed=project.settings.data.split.seed)
    write_file(path, text.encode())
    typer.echo(f"wrote {path}", err=True)


def _update(project: Project, reviewed: DataSchema | None, new: DataSchema) -> None:
    from trainer.data.schema import write_schema
    from trainer.data.schema_diff import schema_diff

    words = ["new"] if reviewed is None else schema_diff(reviewed, new)
    for line in words or ["nothing changes"]:
        typer.echo(line)
    if words:
        write_schema(project.schema_path, new)
        typer.echo(f"wrote {project.schema_path}: review it and keep it under version control", err=True)


def _require_unremarkable(report: DataReport, data: Dataset) -> None:
    from fleet_contract.errors import DataError

    remarks = list(report.worth_a_look())
    if remarks:
        lines = "".join(f"\n  {remark}" for remark in remarks)
        raise DataError(f"{data.source}: got {len(remarks)} findings worth a look, expected none:{lines}")


def _print_schema(shown: DataSchema) -> None:
    from trainer.data.schema import schema_text

    typer.echo(schema_text(shown))


def _print_json(value: object) -> None:
    import msgspec

    typer.echo(msgspec.json.encode(value).decode())
