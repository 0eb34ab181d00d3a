"""The config of a representation analysis: settings, with encoder and dataset inserted."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from mmengine.config import Config

from benchmark.downstream.frozen.compose import compose_frozen
from benchmark.downstream.representation.preview import settings_of
from benchmark.method_cards import MethodCard


def compose_representation(
    configs: Path,
    method: str | Path,
    dataset: str,
    scale: str,
    options: Collection[str],
    work: Path,
    protocol: str | None = None,
) -> tuple[Config, MethodCard]:
    """`compose_frozen` for an analysis; settings of the unused projection are dropped."""
    settings = settings_of(configs, dataset, protocol)
    place = (configs, method, dataset, scale, options, work, protocol)
    config, card = compose_frozen(settings, *place)
    config.task = "representation"
    for name in {"tsne", "umap"} - {config.projection}:
        config.pop(name)
    return config, card
