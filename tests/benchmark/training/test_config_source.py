"""A printed config is a config file: read again, it is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from benchmark.downstream.compose import compose
from benchmark.method_cards import CONFIGS
from benchmark.results import config_hash
from benchmark.training.config import fill_paths, load_config, to_plain
from benchmark.training.config_keys import FINETUNE_KEYS, FINETUNE_NEEDS, PRETRAIN_NEEDS
from benchmark.training.config_source import config_source


class AdamW:
    """Another one than torch's."""


@pytest.mark.parametrize("scale", ["paper", "tiny"])
@pytest.mark.parametrize("name", ["vasomim/pretrain", "dino/pretrain", "segmentor/unext_s"])
def test_a_pretraining_config_is_read_back(name, scale, tmp_path):
    config = load_config(CONFIGS / f"{name}.py", scale)
    fill_paths(config, "/work")
    path = tmp_path / "printed.py"
    path.write_text(config_source(config))
    again = load_config(path, needed=PRETRAIN_NEEDS)
    assert to_plain(again) == to_plain(config)
    assert config_hash(to_plain(again)) == config_hash(to_plain(config))
    assert max(map(len, path.read_text().splitlines())) <= 100


@pytest.mark.parametrize("dataset", ["arcade_v", "stenosis", "xcad"])
def test_a_fine_tuning_config_is_read_back(dataset, tmp_path):
    config, _ = compose(CONFIGS, "mae", dataset, "tiny", [], Path("/work"), None)
    path = tmp_path / "printed.py"
    path.write_text(config_source(config))
    again = load_config(path, known=FINETUNE_KEYS, needed=FINETUNE_NEEDS)
    assert config_hash(to_plain(again)) == config_hash(to_plain(config))


def test_values_that_are_no_names_and_names_that_are_taken():
    """Executed, the source gives the values again."""
    values = {
        "AdamW": 1,
        "a": dict(type=AdamW, other=torch.optim.AdamW, text='it\'s "so"\n', one=(1,), none=()),
        "b": {"not a name": None, "class": [float("inf"), -0.5, {3: True}]},
        "c": dict(type=torch.optim.AdamW, method=torch.nn.Module.forward, long=["x" * 30] * 5),
    }
    found: dict[str, object] = {}
    exec(config_source(Config(values)), found)
    assert {key: found[key] for key in values} == values
    assert np.isposinf(found["b"]["class"][0])
