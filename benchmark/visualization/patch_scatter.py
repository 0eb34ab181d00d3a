"""Projected patches of encoders: vessel against background, one panel per encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmark.downstream.representation.points import PatchPoints
from benchmark.results import RunRecord, read_dataset_id
from benchmark.text import visible
from benchmark.visualization.figure_files import save_figure

# Of Okabe and Ito, distinct for every kind of colour vision.
_CLASSES = {"background": "#56b4e9", "vessel": "#d55e00"}
_SIDE = 2.4  # of a panel, in inches
_ACROSS = 4  # most panels in a row
_PROJECTIONS = {"tsne": "t-SNE", "umap": "UMAP"}
# Names are data: a dollar sign must not start a formula.
_STYLE = {"font.size": 8, "text.parse_math": False}


def draw_patches(panels: Sequence[tuple[RunRecord, PatchPoints]], out: str | Path) -> str:
    """Draw the projected patches of analyses, with their indices, into a PNG, SVG or PDF.

    A line above the panels names projection, dataset, split, number of patches and seed.

    Args:
        panels: records of task ``representation``, of one dataset and with one projection, and
            their points.
        out: the file.

    Returns:
        One line of summary.

    Raises:
        InputError: the file has another ending.
    """
    across = min(len(panels), _ACROSS)
    down = -(-len(panels) // across)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        size = (_SIDE * across, (_SIDE + 0.45) * down + 0.5)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(down, across, squeeze=False).ravel()
        for axis in axes[len(panels) :]:
            axis.remove()
        for axis, (record, points) in zip(axes, panels):
            _draw(axis, record, points)
        figure.suptitle(_heading(panels), fontsize=7)
        handles = [
            axes[0].scatter([], [], s=12, color=colour, label=name)
            for name, colour in _CLASSES.items()
        ]
        figure.legend(
            handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=7
        )
        save_figure(figure, out)
    return f"{out}: projected patches of {len(panels)} encoder{'s' if len(panels) > 1 else ''}"


def _heading(panels: Sequence[tuple[RunRecord, PatchPoints]]) -> str:
    record = panels[0][0]
    projection = str(record.config.get("projection", "projection"))
    known = read_dataset_id(record.dataset)
    dataset, split = record.dataset, "train"
    if known.kind == "patches":
        dataset, split = known.dataset, known.split
    counts = sorted({len(points.vessel) for _, points in panels})
    seeds = sorted({record.seed for record, _ in panels})
    return (
        f"{_PROJECTIONS.get(projection, visible(projection))} of "
        f"{' or '.join(f'{count:,}' for count in counts)} patches\n"
        f"{visible(dataset)}, {split} split, seed {' or '.join(map(str, seeds))}"
    )


def _draw(axis: matplotlib.axes.Axes, record: RunRecord, points: PatchPoints) -> None:
    # Both classes in one call, in the order of the patches: neither is drawn over the other.
    colours = np.array(list(_CLASSES.values()))[points.vessel.astype(int)]
    size = float(np.clip(4000 / max(len(colours), 1), 0.5, 12))
    # Tens of thousands of vector markers would be slow to open.
    axis.scatter(*points.points.T, s=size, c=colours, linewidths=0, rasterized=True)
    values = {name: metric.value for name, metric in record.metrics.items()}
    axis.set_title(
        f"{visible(record.title)}\n"
        f"silhouette {values['silhouette']:.2f} · CH {values['calinski_harabasz']:.3g} · "
        f"DB {values['davies_bouldin']:.2f}",
        fontsize=7,
    )
    axis.set_xticks([])
    axis.set_yticks([])
