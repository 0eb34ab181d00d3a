"""A small pack with anatomy, a segmentor for it, and configs that train on it in seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mmengine.config import Config

from benchmark.anatomy.pack import extract
from benchmark.anatomy.unext import UNeXt
from benchmark.data.pack import build_pack
from benchmark.data.sources import open_source
from benchmark.engine.config import fill_paths, load_config
from benchmark.engine.encoder import write_tensors
from benchmark.randomness import seed_torch

ROOT = Path(__file__).resolve().parents[3]

SMALL = [
    "epochs=3",
    "batch_size=4",
    "micro_batch=2",
    "log_interval=1",
    "checkpoint_interval=1",
    "method.views.size=64",
    "method.encoder.img_size=64",
    "method.encoder.patch_size=16",
    "method.encoder.embed_dim=32",
    "method.encoder.depth=2",
    "method.encoder.num_heads=2",
    "method.encoder.drop_path=0.1",
    "method.decoder.width=16",
    "method.decoder.depth=1",
    "method.decoder.num_heads=2",
    "method.segmentor.network.channels=(4,4,8,8,8)",
]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def small_options() -> list[str]:
    """Overrides that make VasoMIM at scale tiny train in seconds on the pack of `work`."""
    return list(SMALL)


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pack of 14 frames, its anatomy, and a segmentor of random weights."""
    work = tmp_path_factory.mktemp("work")
    source = open_source("synthetic", patients="2", videos="1", frames="7", size="96")
    build_pack(source, work / "packs" / "xa170k", size=96, progress=False)
    extract(str(work / "packs" / "xa170k"), border=4)
    seed_torch("segmentor")
    folder = work / "segmentor" / "unext_s"
    write_tensors(folder / "segmentor.safetensors", UNeXt(channels=(4, 4, 8, 8, 8)))
    return work


@pytest.fixture
def small_config(work: Path) -> Callable[..., Config]:
    """Make a config of a method that trains in seconds; further options override."""

    def make(method: str, *options: str) -> Config:
        fitting = [o for o in SMALL if method != "mae" or "segmentor" not in o]
        path = ROOT / "configs" / method / "pretrain.py"
        config = load_config(path, "tiny", [*fitting, *options])
        fill_paths(config._cfg_dict, work)
        return config

    return make
