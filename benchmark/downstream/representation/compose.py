"""The config of a representation analysis: its settings, with encoder and dataset put in."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from mmengine.config import Config

from benchmark.downstream.compose import compose
from benchmark.downstream.preview import find_dataset
from benchmark.downstream.representation.preview import no_encoder, settings_file
from benchmark.downstream.segmentation.model import EncoderBackbone
from benchmark.errors import InputError
from benchmark.method_cards import MethodCard
from benchmark.quiet import quiet_libraries
from benchmark.training.config import load_config, set_option
from benchmark.training.config_keys import REPRESENTATION_KEYS, REPRESENTATION_NEEDS


def compose_representation(
    configs: Path,
    method: str | Path,
    dataset: str,
    scale: str,
    options: Collection[str],
    work: Path,
    protocol: str | None = None,
) -> tuple[Config, MethodCard]:
    """The config whose hash, with its seed, identifies the record of an analysis.

    Protocol, task folder, resizing and normalisation are those of the dataset's fine-tuning at the
    scale. Settings of the projection that is not used are dropped.

    Args: as for `benchmark.downstream.compose.compose`.

    Raises:
        InputError: no such method or dataset, or an unknown key; the method has no encoder, or the
            dataset is not for segmentation.
    """
    tuning, card = compose(configs, method, dataset, scale, [], work, protocol)
    if tuning.task != "segmentation":
        raise InputError(f"{dataset}: a dataset for {tuning.task}; choose one for segmentation")
    backbone = tuning.model.get("backbone") or {}
    if backbone.get("type") is not EncoderBackbone:
        raise no_encoder(method)
    path = settings_file(configs, find_dataset(configs, dataset, protocol))
    with quiet_libraries():
        config = load_config(path, scale, known=REPRESENTATION_KEYS, needed=REPRESENTATION_NEEDS)
    config.task = "representation"
    config.protocol = tuning.protocol
    config.data = tuning.data
    config.model = dict(
        backbone=dict(type=EncoderBackbone, folder=backbone.folder),
        data_preprocessor=tuning.model.data_preprocessor,
    )
    config.test_pipeline = tuning.test_pipeline
    for option in options:
        set_option(config, option, REPRESENTATION_KEYS)
    for name in {"tsne", "umap"} - {config.projection}:
        config.pop(name)
    return config, card
