"""The pictures of a data report: SVG, and PNG where the data are images, without outside references.

matplotlib is used without pyplot, so that no window system, global state or backend is touched.
Legend: B rows, H height, W width, C channels, T steps of a series.
"""

from __future__ import annotations

import base64
import io
import warnings
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from fleet_contract.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainer.data.dataset import Dataset, Indices
    from trainer.data.skew import SkewReport
    from trainer.data.statistics import ClassCount, FeatureStatistics

MOST_FEATURES: Final = 24
MOST_CLASSES: Final = 40
EXAMPLES_PER_CLASS: Final = 8
MIN_TILE_PIXELS: Final = 48
MAX_TILE_PIXELS: Final = 96
_BLUE: Final = "#2f6f9f"
_RED: Final = "#b3441e"
_GREY: Final = "#8a94a0"


def plot_classes(classes: Sequence[ClassCount]) -> str:
    """Rows of each class; of many classes the largest."""
    shown = sorted(classes, key=lambda one: -one.count)[:MOST_CLASSES][::-1]
    figure = _figure(5.0, 0.8 + 0.24 * len(shown))
    axes = figure.add_subplot()
    axes.barh(range(len(shown)), [one.count for one in shown], color=_BLUE)
    axes.set_yticks(range(len(shown)), [_plain(one.name, 30) for one in shown], fontsize=7)
    axes.set(xlabel="rows")
    return _svg(figure)


def plot_features(features: Sequence[FeatureStatistics]) -> str:
    """A histogram of each feature, of the first MOST_FEATURES."""
    shown = [one for one in features if one.histogram][:MOST_FEATURES]
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure = _grid(2.5 * columns, 1.7 * rows)
    for index, one in enumerate(shown):
        axes = figure.add_subplot(rows, columns, index + 1)
        if one.edges:
            axes.stairs(one.histogram, one.edges, fill=True, color=_BLUE)
        else:
            axes.bar([_plain(name, 8) for name in one.categories[:12]], one.histogram[:12], color=_BLUE)
        axes.set_title(_plain(one.name, 28), fontsize=7)
        axes.tick_params(labelsize=6)
        axes.set_yticks([])
    return _svg(figure)


def plot_skew(skew: SkewReport) -> str:
    """Stability index of the worst features beside what noise alone reaches."""
    shown = skew.features[:MOST_FEATURES][::-1]
    figure = _figure(5.5, 0.9 + 0.22 * len(shown))
    axes = figure.add_subplot()
    colours = [_RED if one.shifted else _GREY for one in shown]
    axes.barh(range(len(shown)), [one.psi for one in shown], color=colours)
    axes.plot([one.psi_limit for one in shown], range(len(shown)), "|", color="#1d242c", markersize=9)
    axes.set_yticks(range(len(shown)), [_plain(one.name, 36) for one in shown], fontsize=7)
    axes.set(xlabel="population stability index; mark: what noise reaches")
    return _svg(figure)


def plot_series(data: Dataset) -> str:
    """The first series of each class, a line per channel."""
    firsts = [np.flatnonzero(data.labels_B == label)[:1] for label in range(len(data.label_names))]
    rows_I = np.concatenate(firsts)[:MOST_FEATURES]
    columns = min(4, len(rows_I))
    rows = -(-len(rows_I) // columns)
    figure = _grid(2.7 * columns, 1.7 * rows)
    for index, row in enumerate(rows_I):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.plot(data.inputs_B[row][:, :12], linewidth=0.8)
        axes.set_title(f"{_plain(data.label_names[data.labels_B[row]], 20)} (row {row})", fontsize=7)
        axes.tick_params(labelsize=6)
    return _svg(figure)


def examples_by_class(data: Dataset, rng: np.random.Generator) -> list[tuple[str, str]]:
    """For each class its name and some of its images side by side, as an HTML image."""
    found = []
    for label, name in enumerate(data.label_names[:MOST_CLASSES]):
        rows_I = np.flatnonzero(data.labels_B == label)
        if len(rows_I):
            some_I = np.sort(rng.permutation(rows_I)[:EXAMPLES_PER_CLASS])
            found.append((name, images_strip(data, some_I)))
    return found


def images_strip(data: Dataset, rows_I: Indices) -> str:
    """These images side by side, small ones enlarged without smoothing; the range of the strip fills grey or colour."""
    tiles = [_as_picture(data.inputs_B[row]) for row in rows_I]
    size = tiles[0].shape[0]
    factor = max(1, -(-MIN_TILE_PIXELS // size))
    step = max(1, size // MAX_TILE_PIXELS)
    large = [tile.repeat(factor, axis=0).repeat(factor, axis=1)[::step, ::step] for tile in tiles]
    gap = np.full((large[0].shape[0], 3, *large[0].shape[2:]), 255, np.uint8)
    strip = np.concatenate([part for tile in large for part in (tile, gap)][:-1], axis=1)
    words = f"rows {', '.join(str(row) for row in rows_I)}"
    return f'<img alt="{words}" title="{words}" src="data:image/png;base64,{_png(strip)}">'


def _as_picture(image_HWC: NDArray[Any]) -> NDArray[np.uint8]:
    """Grey (H, W) or colour (H, W, 3) in 0..255; of other channel counts the first channel."""
    flat_HWC = image_HWC.reshape(*image_HWC.shape[:2], -1).astype(np.float32)
    picture = flat_HWC if flat_HWC.shape[2] == 3 else flat_HWC[:, :, 0]
    picture = np.nan_to_num(picture, posinf=0.0, neginf=0.0)
    low, high = (0.0, 255.0) if image_HWC.dtype == np.uint8 and picture.max() > 32 else (picture.min(), picture.max())
    scaled = (picture - low) * (255.0 / max(float(high - low), 1e-6))
    return np.clip(scaled, 0, 255).astype(np.uint8)


def _png(picture: NDArray[np.uint8]) -> str:
    try:
        from matplotlib.image import imsave
    except ImportError as error:
        raise MissingExtraError.for_extra("trainer", "matplotlib") from error
    buffer = io.BytesIO()
    imsave(buffer, picture, format="png", cmap="gray", vmin=0, vmax=255)
    return base64.b64encode(buffer.getvalue()).decode()


def _plain(text: str, most: int) -> str:
    """At most that many characters of a name, none of which starts a formula."""
    return text[:most].replace("$", "\\$")


def _figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Any:
    """An empty figure of that size in inches."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError.for_extra("trainer", "matplotlib") from error
    return Figure(figsize=(width, height), layout=layout)


def _grid(width: float, height: float) -> Any:
    """An empty figure of that size for many plots with small letters: measuring their texts would double the time."""
    figure = _figure(width, height, layout=None)
    edges = {"left": 0.5 / width, "right": 1 - 0.15 / width, "bottom": 0.3 / height, "top": 1 - 0.25 / height}
    figure.subplots_adjust(**edges, hspace=0.5, wspace=0.25)
    return figure


def _svg(figure: Any) -> str:
    """The SVG element alone; the same figures give the same text."""
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": "edgeferry", "svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the reader's browser has the fonts that are missing here
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
