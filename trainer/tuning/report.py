"""What a study found, for people: a page with its history, the importance of each parameter and every trial."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from fleet_contract.errors import MissingExtraError
from trainer.pages.page import figure, heading, page, paragraph, table

if TYPE_CHECKING:
    from trainer.tuning.settings import Scalar
    from trainer.tuning.study import StudyView, TrialView

_BLUE: Final = "#2f6f9f"
_GREY: Final = "#8a94a0"


def study_page(view: StudyView) -> str:
    """The whole page as HTML without outside references.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    parts = [paragraph(_summary(view))]
    if view.best is not None:
        parts += [heading("Best values"), table(["parameter", "value"], _rows(view.best.parameters))]
    parts += [
        heading("History"),
        figure(plot_history(view), f"{view.objective} of each trial; the line is the best so far"),
    ]
    if view.importances:
        caption = "share of the differences between trials that each parameter explains"
        parts += [heading("Importance"), figure(plot_importance(view), caption)]
    names = sorted({name for trial in view.trials for name in trial.parameters})
    rows = [_trial_row(trial, names) for trial in view.trials]
    parts += [heading("Trials"), table(["trial", "state", view.objective, "epochs", *names], rows)]
    return page(f"Study {view.name}", parts)


def best_so_far(view: StudyView) -> list[tuple[int, float]]:
    """(trial, best objective up to it) for each completed trial, in order."""
    best: list[tuple[int, float]] = []
    choose = min if view.objective == "val_loss" else max
    for trial in view.trials:
        if trial.value is not None:
            best.append((trial.number, choose(trial.value, best[-1][1]) if best else trial.value))
    return best


def plot_history(view: StudyView) -> str:
    """Each completed trial as a point, the best so far as a line, as SVG."""
    drawing, axes = _axes()
    points = [(trial.number, trial.value) for trial in view.trials if trial.value is not None]
    axes.plot([number for number, _ in points], [value for _, value in points], "o", color=_GREY, markersize=4)
    line = best_so_far(view)
    axes.step([number for number, _ in line], [value for _, value in line], where="post", color=_BLUE)
    axes.set(xlabel="trial", ylabel=view.objective)
    return _svg(drawing)


def plot_importance(view: StudyView) -> str:
    """Importances as bars, the greatest on top, as SVG."""
    drawing, axes = _axes()
    ordered = sorted(view.importances.items(), key=lambda item: item[1])
    axes.barh([name for name, _ in ordered], [share for _, share in ordered], color=_BLUE)
    axes.set(xlabel="importance", xlim=(0, 1))
    return _svg(drawing)


def _summary(view: StudyView) -> str:
    states = [trial.state for trial in view.trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    best = f" Best: trial {view.best.number} with {view.best.value:.6g}." if view.best is not None else ""
    return f"{len(states)} trials ({counts}) judged by {view.objective} on the validation split.{best}"


def _rows(parameters: dict[str, Scalar]) -> list[list[str]]:
    return [[name, _text(value)] for name, value in sorted(parameters.items())]


def _trial_row(trial: TrialView, names: list[str]) -> list[str]:
    value = "" if trial.value is None else f"{trial.value:.6g}"
    chosen = [_text(trial.parameters[name]) if name in trial.parameters else "" for name in names]
    return [str(trial.number), trial.state, value, str(trial.epochs), *chosen]


def _text(value: Scalar) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _axes() -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError.for_extra("trainer", "matplotlib") from error
    drawing = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = drawing.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return drawing, axes


def _svg(drawing: Any) -> str:
    """Without the XML declaration, so that it can stand in a page; without a date, so that it stays the same."""
    buffer = io.StringIO()
    drawing.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
