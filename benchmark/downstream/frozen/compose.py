"""The configs of a frozen encoder's evaluations: settings, with encoder and dataset inserted."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from mmengine.config import Config

from benchmark.downstream.compose import compose, drop_unset_label_count
from benchmark.downstream.frozen.preview import (
    FrozenSettings,
    no_encoder,
    no_masks,
    representation_settings,
)
from benchmark.downstream.segmentation.model import EncoderBackbone
from benchmark.method_cards import MethodCard
from benchmark.openmmlab.quiet import quiet_libraries
from benchmark.training.config import load_config, set_option


def compose_frozen(
    settings: FrozenSettings,
    configs: Path,
    method: str | Path,
    dataset: str,
    scale: str,
    options: Collection[str],
    work: Path,
    protocol: str | None = None,
) -> tuple[Config, MethodCard]:
    """The config whose hash, with its seed, identifies a record.

    Protocol, task folder, resizing and normalisation are those of the dataset's fine-tuning at the
    scale; so are examples and the size at which masks are compared, where the settings have such
    keys.

    Args: the settings of the evaluation, which `options` override; others as for
        `benchmark.downstream.compose.compose`.

    Raises:
        InputError: no such method or dataset, or an unknown key; the method has no encoder, or the
            dataset is not for segmentation.
    """
    tuning, card = compose(configs, method, dataset, scale, [], work, protocol)
    if tuning.task != "segmentation":
        raise no_masks(dataset, tuning.task)
    backbone = tuning.model.get("backbone") or {}
    if backbone.get("type") is not EncoderBackbone:
        raise no_encoder(method)
    with quiet_libraries():
        config = load_config(settings.path, scale, known=settings.keys, needed=settings.needs)
    config.task = tuning.task
    config.protocol = tuning.protocol
    config.data = tuning.data
    config.model = dict(
        backbone=dict(type=EncoderBackbone, folder=backbone.folder),
        data_preprocessor=tuning.model.data_preprocessor,
    )
    config.test_pipeline = tuning.test_pipeline
    for key in ("score_at", "examples"):
        if key in settings.keys and key not in config:
            config[key] = tuning[key]
    for option in options:
        set_option(config, option, settings.keys)
    drop_unset_label_count(config)
    return config, card


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
    settings = representation_settings(configs, dataset, protocol)
    place = (configs, method, dataset, scale, options, work, protocol)
    config, card = compose_frozen(settings, *place)
    config.task = "representation"
    for name in {"tsne", "umap"} - {config.projection}:
        config.pop(name)
    return config, card
