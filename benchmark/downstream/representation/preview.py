"""What the analysis of patch features needs, checked before torch and scikit-learn are loaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection
from pathlib import Path

from benchmark.downstream.frozen.preview import FrozenSettings, preview_frozen
from benchmark.downstream.preview import find_dataset
from benchmark.errors import InputError
from benchmark.training.config_keys import REPRESENTATION_KEYS, REPRESENTATION_NEEDS
from benchmark.training.preview import read_values


def settings_of(configs: Path, dataset: str, protocol: str | None) -> FrozenSettings:
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
    inputs: bool = True,
) -> None:
    """Check, as far as is cheap, whether an encoder can be analysed.

    Args: as for `preview_frozen`.

    Raises:
        InputError: as `preview_frozen`; or umap-learn is not installed.
    """
    settings = settings_of(configs, dataset, protocol)
    values = preview_frozen(
        configs, method, dataset, protocol, options, work, data, settings, inputs
    )
    if values.get("projection") == "umap":
        require_umap()
