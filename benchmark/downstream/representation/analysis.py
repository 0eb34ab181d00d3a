"""Analyse the patch features of one encoder on one dataset with one seed, and write the record."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from mmengine.config import Config
from threadpoolctl import threadpool_limits

from benchmark.data.tasks import TaskFolder
from benchmark.device import restored_settings
from benchmark.downstream.cell import BenchmarkCell, make_record, open_cell, with_patients
from benchmark.downstream.representation.clusters import HIGHER_IS_BETTER, cluster_indices
from benchmark.downstream.representation.features import PatchFeatures, extract_features
from benchmark.downstream.representation.points import PatchPoints, read_points, write_points
from benchmark.downstream.segmentation.task import image_size
from benchmark.errors import InputError
from benchmark.randomness import stream_key
from benchmark.registry import build
from benchmark.results import RunRecord, write_record
from benchmark.training.config import to_plain

_SPACES = ("", "_features")
"""Suffixes of the metrics: distances are those of the projection, or of the features."""


@dataclass(frozen=True, eq=False)
class PatchAnalysis:
    """Results of the analysis of an encoder's patch features.

    Attributes:
        metrics: name → value; `definitions` has the same names. ``patches`` is the number of
            analysed patches, with which the Calinski-Harabasz indices grow.
        scores: one row per frame of the split: image, its analysed vessel and background patches,
            and the means of their silhouettes (NaN without patches).
        points: the projected patches.
        encoder: fingerprint, hash of the weights and provenance.
        parameters: parameter count of the encoder.
    """

    metrics: dict[str, float]
    scores: pd.DataFrame
    points: PatchPoints
    encoder: dict[str, Any]
    parameters: int


def definitions(config: Config) -> dict[str, str]:
    """Metric → definition id, which holds every setting that the values depend on.

    ``<index>/vessel-patches/<space>/<patches>[/<settings>]/v2``, for example
    ``silhouette/vessel-patches/tsne-2d/1px-224x224-max40000/iterations1000-perplexity30/v2``: a
    patch with 1 pixel of the mask is vessel, frames are 224×224, at most 40,000 patches are
    sampled.

    Args:
        config: from `compose_representation`.
    """
    size, projection = image_size(config.test_pipeline), config.projection
    patches = f"{config.vessel_pixels}px-{size}x{size}-max{config.patches}"
    projected = f"{projection}-2d/{patches}/{_settings_text(config[projection])}"
    found = {
        f"{name}{suffix}": f"{name.replace('_', '-')}/vessel-patches/{space}/v2"
        for suffix, space in zip(_SPACES, (projected, f"features/{patches}"))
        for name in HIGHER_IS_BETTER
    }
    probe = f"linear-probe/{patches}/grouped-{_settings_text(config.probe)}"
    return {
        **found,
        "probe_ap": f"average-precision/vessel-patches/{probe}/v2",
        "patches": f"number/vessel-patches/{patches}/v2",
    }


def _settings_text(part: Mapping[str, Any]) -> str:
    """``iterations1000-perplexity30``: names and values, however the numbers are written."""
    settings = {name: value for name, value in sorted(part.items()) if name != "type"}
    return "-".join(f"{name}{_number_text(value)}" for name, value in settings.items())


def _number_text(value: Any) -> str:
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


@restored_settings()
def analyse(config: Config, folder: TaskFolder) -> PatchAnalysis:
    """Extract the patch features of an encoder, project them, and measure how classes separate.

    Args:
        config: from `compose_representation`, with its seed.
        folder: the prepared task.

    Raises:
        InputError: data, encoder or settings do not fit.
    """
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    patches, card = extract_features(config, folder)
    items = folder.splits[config.split]
    groups = [item["group"] or item["stem"] for item in items]
    probe = build(config.probe)
    # Before the projection, which takes minutes, so that the probe refuses early.
    folds = probe.split(patches.vessel, [groups[frame] for frame in patches.frame])
    # In one thread: sums in several depend on which one finishes first, and t-SNE on every bit.
    with threadpool_limits(1):
        points = _project(config, patches.features)
        metrics: dict[str, float] = {}
        silhouettes = {}
        for suffix, space in zip(_SPACES, (points, patches.features)):
            indices, each = cluster_indices(space, patches.vessel)
            metrics |= {f"{name}{suffix}": value for name, value in indices.items()}
            silhouettes[f"silhouette{suffix}"] = each
        precision = probe.average_precision(patches.features, patches.vessel, folds)
    metrics |= {"probe_ap": 100 * precision, "patches": float(len(patches.vessel))}
    scores = _per_frame(patches, silhouettes, [item["stem"] for item in items])
    encoder = card.model_dump(include={"fingerprint", "weights_sha256", "provenance"})
    shown = PatchPoints(points, patches.vessel)
    return PatchAnalysis(metrics, scores, shown, encoder, patches.parameters)


def analyse_cell(cell: BenchmarkCell, overwrite: str = "only-missing") -> RunRecord:
    """Analyse and record one cell, and keep its projected patches in its folder.

    Args:
        cell: config from `compose_representation`; its dataset is the id ``<dataset>-patches``.
        overwrite: as for `open_cell`; ``"always"`` replaces the record.

    Raises:
        InputError: data, encoder or settings do not fit; the existing record was made with other
            settings, or must not exist.
    """
    begun = time.time()
    folder, finished = open_cell(cell, "segmentation", overwrite)
    if finished is not None:
        return finished
    content = to_plain(cell.config)
    found = analyse(cell.config, folder)
    names = definitions(cell.config)
    record = make_record(
        *(cell, content, folder, found.encoder, begun, ("scikit-learn", "umap-learn")),
        metrics={
            name: {
                "value": value,
                "definition": names[name],
                "higher_is_better": HIGHER_IS_BETTER.get(name.removesuffix("_features"), True),
                "headline": name != "patches",
            }
            for name, value in found.metrics.items()
        },
        n_images=len(found.scores),
        seeds={"sampling": cell.seed, "projection": cell.seed},
        parameters=found.parameters,
        trained_parameters=0,
    )
    write_points(cell.folder, found.points, _identity(record))
    write_record(cell.results, record, with_patients(found.scores, folder, cell.config.split))
    shown = "  ".join(f"{name} {value:.4g}" for name, value in found.metrics.items())
    print(f"{cell.title}: {shown}  ({record.wall_time_s:.0f} s)", flush=True)
    return record


def points_of(cell: BenchmarkCell, record: RunRecord) -> PatchPoints:
    """The projected patches of a recorded cell; recomputed if missing from its folder.

    Raises:
        InputError: as `analyse`; or their file is damaged.
    """
    points = read_points(cell.folder, _identity(record))
    if points is None:
        folder = TaskFolder.open(cell.config.data.folder, "segmentation")
        points = analyse(cell.config, folder).points
        write_points(cell.folder, points, _identity(record))
    return points


def _identity(record: RunRecord) -> str:
    """What the points of a record depend on."""
    weights = record.encoder.weights_sha256 if record.encoder else None
    return f"{record.config_hash} {record.split_hash} {weights}"


def _project(config: Config, features: np.ndarray) -> np.ndarray:
    """float32, n×D to n×2."""
    if not np.ptp(features, axis=0).any():
        raise InputError(f"{config.model.backbone.folder}: gives all patches the same features")
    projection = build(config[config.projection])
    points = projection(features, stream_key(config.seed, "projection") % 2**32)
    return np.asarray(points, dtype=np.float32)


def _per_frame(
    patches: PatchFeatures, silhouettes: dict[str, np.ndarray], stems: list[str]
) -> pd.DataFrame:
    """Counts and mean silhouettes of the frames, see `PatchAnalysis`."""
    count = len(stems)
    sizes = np.bincount(patches.frame, minlength=count)
    vessel = np.bincount(patches.frame[patches.vessel], minlength=count)
    scores = {"image": stems, "vessel_patches": vessel, "background_patches": sizes - vessel}
    for name, values in silhouettes.items():
        total = np.bincount(patches.frame, weights=values, minlength=count)
        scores[name] = np.where(sizes > 0, total / np.maximum(sizes, 1), np.nan)
    return pd.DataFrame(scores)
