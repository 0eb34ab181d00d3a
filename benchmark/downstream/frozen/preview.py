"""What evaluating a frozen encoder needs, checked before torch and the libraries are loaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.downstream.preview import find_dataset, has_encoder, preview_cell
from benchmark.errors import InputError
from benchmark.training.config_keys import (
    KNN_KEYS,
    KNN_NEEDS,
    LINEAR_KEYS,
    LINEAR_NEEDS,
    REPRESENTATION_KEYS,
    REPRESENTATION_NEEDS,
)
from benchmark.training.preview import preview, read_values


class FrozenSettings(NamedTuple):
    """The config of a frozen encoder's evaluation beside those of method and dataset.

    Attributes:
        path: the config.
        keys: keys it may have.
        needs: keys it must have.
    """

    path: Path
    keys: Mapping[str, Any]
    needs: Collection[str]


_KEYS = {"linear": (LINEAR_KEYS, LINEAR_NEEDS), "knn": (KNN_KEYS, KNN_NEEDS)}

KINDS = tuple(_KEYS)
"""The protocols of `tools/evaluate.py`; each has its settings in ``configs/_base_``."""


def settings_of(kind: str, configs: Path) -> FrozenSettings:
    """The settings of one of `KINDS`.

    Args:
        configs: folder of all configs.
    """
    return FrozenSettings(configs / "_base_" / f"{kind}.py", *_KEYS[kind])


def preview_frozen(
    configs: Path,
    method: str | Path,
    dataset: str,
    protocol: str | None,
    options: Collection[str],
    work: Path,
    data: Path | None,
    settings: FrozenSettings,
    inputs: bool = True,
    label_counts: Collection[int] = (),
) -> dict[str, Any]:
    """Check, as far as is cheap, whether a frozen encoder can be evaluated on a dataset.

    Args: as for `preview_cell`; `options` override those of `settings`.

    Returns:
        The settings.

    Raises:
        InputError: a method, dataset, key, value, prepared task or encoder is unknown or missing;
            the method has no encoder, or the dataset no masks.
    """
    task = (read_values(find_dataset(configs, dataset, protocol)) or {}).get("task")
    if task not in (None, "segmentation"):
        raise no_masks(dataset, task)
    if isinstance(method, str) and not has_encoder(method, configs):
        raise no_encoder(method)
    preview_cell(configs, method, dataset, protocol, (), work, data, inputs, label_counts)
    return preview(settings.path, settings.keys, settings.needs, options)


def no_encoder(method: str | Path) -> InputError:
    """The error for a method whose network is trained from scratch, and for a filter."""
    return InputError(f"{method}: has no exported encoder whose features could be used")


def no_masks(dataset: str, task: str) -> InputError:
    """The error for a dataset of another task."""
    return InputError(
        f"{dataset}: a dataset for {task}; patch features are compared with masks of vessels, "
        "choose one for segmentation"
    )


def representation_settings(configs: Path, dataset: str, protocol: str | None) -> FrozenSettings:
    """The settings of the analysis: of a protocol that has its own, or else the usual ones.

    Args:
        configs: folder of all configs.
        dataset, protocol: as for `find_dataset`.
    """
    known = (read_values(find_dataset(configs, dataset, protocol)) or {}).get("protocol")
    own = configs / "_base_" / f"representation_{known}.py"
    path = own if own.is_file() else configs / "_base_" / "representation.py"
    return FrozenSettings(path, REPRESENTATION_KEYS, REPRESENTATION_NEEDS)


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
) -> None:
    """Check, as far as is cheap, whether an encoder can be analysed.

    Args: as for `preview_frozen`.

    Raises:
        InputError: as `preview_frozen`; or umap-learn is not installed.
    """
    settings = representation_settings(configs, dataset, protocol)
    values = preview_frozen(configs, method, dataset, protocol, options, work, data, settings)
    if values.get("projection") == "umap":
        require_umap()
