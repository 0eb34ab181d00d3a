"""What the analysis of patch features needs, checked before torch and scikit-learn are loaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection
from pathlib import Path

from benchmark.downstream.preview import find_dataset, has_encoder, preview_cell
from benchmark.errors import InputError
from benchmark.training.config_keys import REPRESENTATION_KEYS, REPRESENTATION_NEEDS
from benchmark.training.preview import preview, read_values


def settings_file(configs: Path, dataset: Path) -> Path:
    """The config of the analysis: that of a protocol that has its own, or else the usual one.

    Args:
        configs: folder of all configs.
        dataset: config of the dataset, whose protocol it is.
    """
    protocol = (read_values(dataset) or {}).get("protocol")
    own = configs / "_base_" / f"representation_{protocol}.py"
    return own if own.is_file() else configs / "_base_" / "representation.py"


def require_umap() -> None:
    """Raise an `InputError` if umap-learn, an optional dependency, is not installed."""
    if importlib.util.find_spec("umap") is None:
        raise InputError(
            "the projection umap needs umap-learn; `pip install umap-learn`, or use --projection "
            "tsne"
        )


def preview_representation(
    configs: Path,
    method: str | Path,
    dataset: str,
    protocol: str | None,
    options: Collection[str],
    work: Path,
    data: Path | None,
    inputs: bool = True,
) -> None:
    """Report what would keep an encoder from being analysed, as far as is cheap.

    Args: as for `preview_cell`; `options` override the settings of the analysis.

    Raises:
        InputError: a method, dataset, key, value, prepared task or encoder is unknown or missing;
            the method has no encoder, the dataset no masks; or umap-learn is not installed.
    """
    config = find_dataset(configs, dataset, protocol)
    task = (read_values(config) or {}).get("task")
    if task not in (None, "segmentation"):
        raise InputError(
            f"{dataset}: a dataset for {task}; patches are labelled by masks, choose one for "
            "segmentation"
        )
    if isinstance(method, str) and not has_encoder(method, configs):
        raise no_encoder(method)
    preview_cell(configs, method, dataset, protocol, (), work, data, inputs)
    path = settings_file(configs, config)
    values = preview(path, REPRESENTATION_KEYS, REPRESENTATION_NEEDS, options)
    if values.get("projection") == "umap":
        require_umap()


def no_encoder(method: str | Path) -> InputError:
    """The error for a method whose network is trained from scratch, and for a filter."""
    return InputError(f"{method}: has no exported encoder whose features could be analysed")
