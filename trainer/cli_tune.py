"""`edgeferry tune`: search for good settings, in this process, in several, or on a Ray cluster."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from trainer.project import Project
    from trainer.tuning.study import Study, StudyView


class Engine(StrEnum):
    """Where trials run."""

    LOCAL = "local"
    RAY = "ray"


def tune(
    project: Annotated[Path, typer.Option("--project", "-p", help="The project's folder.")] = Path(),
    trials: Annotated[int, typer.Option(help="Trials of the study in all; 0 takes [tune] trials.", min=0)] = 0,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Seconds; 0 takes [tune] timeout_s.", min=0.0)] = 0.0,
    *,
    workers: Annotated[int, typer.Option(help="Processes that share the study.", min=1)] = 1,
    storage: Annotated[str, typer.Option(help="Database of the study, an SQLAlchemy URL.")] = "",
    engine: Annotated[Engine, typer.Option(help="Where trials run.")] = Engine.LOCAL,
    apply: Annotated[bool, typer.Option("--apply", help="Write the best values into edgeferry.toml.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")] = False,
) -> None:
    """Search [tune.space] for the settings that validate best; goes on where an interrupted search stopped."""
    import msgspec

    from trainer.project import load_project
    from trainer.training.resources import take_place
    from trainer.tuning.apply import as_toml

    loaded = _with_storage(load_project(project), storage)
    take_place(loaded.settings.resources)
    settings = loaded.settings.tune
    study = _search(loaded, trials or settings.trials, timeout_s or settings.timeout_s, workers, engine)
    view = study.view()
    page = _write_page(loaded, view)
    assert view.best is not None
    if apply:
        _apply(loaded, view)
    if as_json:
        typer.echo(msgspec.json.encode(view).decode())
    else:
        typer.echo(as_toml(view.best.parameters), nl=False)
    typer.echo(f"best of {view.finished}: trial {view.best.number}, {view.objective} {view.best.value:.6g}", err=True)
    typer.echo(f"page: {page}", err=True)


def _with_storage(project: Project, storage: str) -> Project:
    from dataclasses import replace

    from msgspec.structs import replace as with_changed

    if not storage:
        return project
    changed = with_changed(project.settings.tune, storage=storage)
    return replace(project, settings=with_changed(project.settings, tune=changed))


def _search(project: Project, trials: int, timeout_s: float, workers: int, engine: Engine) -> Study:
    from trainer.tuning.console import StudyProgress
    from trainer.tuning.ray import search_on_ray
    from trainer.tuning.tune import Search, search, search_in_workers

    plan = Search(trials=trials, timeout_s=timeout_s)
    with StudyProgress(trials) as shown:
        if engine is Engine.RAY:
            return search_on_ray(project, plan, workers=workers, progress=shown, on_trial=shown.update)
        if workers > 1:
            return search_in_workers(project, plan, workers=workers, progress=shown, on_trial=shown.update)
        return search(project, plan, progress=shown, on_trial=shown.update)


def _write_page(project: Project, view: StudyView) -> Path:
    from fleet_files.durable import write_file
    from trainer.tuning.report import study_page

    path = project.state_folder / "tune" / f"{view.name}.html"
    write_file(path, study_page(view).encode())
    return path


def _apply(project: Project, view: StudyView) -> None:
    from fleet_files.durable import write_file
    from trainer.project import PROJECT_FILE, load_project
    from trainer.tuning.apply import apply_to_text

    assert view.best is not None
    path = project.folder / PROJECT_FILE
    text = path.read_text(encoding="utf-8")
    changed = apply_to_text(text, load_project(project.folder), view.best.parameters, source=str(path))
    write_file(path, changed.encode())
    typer.echo(f"wrote the best values into {path}", err=True)
