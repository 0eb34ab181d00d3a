"""Small encoders, configs that train in seconds, two processes, a GPU that torch believes in."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from torch import nn

from benchmark.anatomy.pack import extract
from benchmark.anatomy.unext import UNeXt
from benchmark.data.packs import build_pack
from benchmark.data.sources import open_source
from benchmark.device import VARIABLE
from benchmark.encoders.encoder import write_tensors
from benchmark.nn.backbones.base import Encoder
from benchmark.nn.backbones.beit import BeitEncoder
from benchmark.nn.backbones.eva import EvaEncoder
from benchmark.nn.backbones.resnet import ResNetEncoder
from benchmark.nn.backbones.sam import SAMEncoder
from benchmark.nn.backbones.unet import UNetEncoder
from benchmark.nn.vit import VisionTransformer
from benchmark.randomness import seed_torch
from benchmark.training.config import fill_paths, load_config

Work = Callable[[int], Any]
# What the tests have imported need not be imported again.
_FORK = multiprocessing.get_context("fork")
# The first backward pass of a process starts a thread for every device. After a simulated GPU it
# would start some, and what has started threads cannot be forked.
torch.ones((), requires_grad=True).backward()

SMALL = dict(img_size=64, patch_size=8, embed_dim=32, depth=2, num_heads=4)
# Architecture, and what is special about the variant after a sign.
BUILDERS: dict[str, Callable[[], Encoder]] = {
    "vit": lambda: VisionTransformer(**SMALL),
    "vit+registers": lambda: VisionTransformer(
        **SMALL, reg_tokens=3, no_embed_class=True, layer_scale=0.5, norm_eps=1e-5
    ),
    "vit+clip": lambda: VisionTransformer(
        **SMALL, pre_norm=True, activation="quick_gelu", norm_eps=1e-5
    ),
    "vit+without norm": lambda: VisionTransformer(**SMALL, class_token=False, final_norm=False),
    "eva": lambda: EvaEncoder(**SMALL, layer_scale=0.5),
    "eva+biases": lambda: EvaEncoder(
        **SMALL, qkv_bias=True, reg_tokens=0, layer_scale=None, norm_eps=1e-6
    ),
    "samvit": lambda: SAMEncoder(**SMALL, window_size=3, global_blocks=(1,), neck_channels=16),
    "samvit+norm": lambda: SAMEncoder(
        **SMALL, window_size=0, global_blocks=(), abs_pos=False, neck_channels=None
    ),
    "beit": lambda: BeitEncoder(**SMALL),
    "beit+tables": lambda: BeitEncoder(
        **SMALL, abs_pos=True, rel_pos_bias=True, shared_rel_pos_bias=False, layer_scale=None
    ),
    "resnet": lambda: ResNetEncoder("bottleneck", (1, 1, 1, 1), (4, 4, 8, 8), img_size=64),
    "resnet+basic": lambda: ResNetEncoder("basic", (1, 2, 1, 1), (8, 8, 12, 16), img_size=64),
    "unet": lambda: UNetEncoder(base_channels=4, stages=4, img_size=64),
}


def make_encoder(kind: str, seed: int = 0) -> Encoder:
    """An encoder of 64² with no parameter and no running statistic at a special value."""
    torch.manual_seed(seed)
    encoder = BUILDERS[kind]()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for module in encoder.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 2)
    return encoder


@pytest.fixture(params=sorted(BUILDERS))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session", name="make_encoder")
def _make_encoder() -> Callable[..., Encoder]:
    return make_encoder


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch says there is a GPU, and none is forbidden."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    # Which optimisers ask wherever there is a GPU.
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    monkeypatch.delenv(VARIABLE)


ROOT = Path(__file__).resolve().parents[2]

SMALL_RUN = [
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
    return list(SMALL_RUN)


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


@pytest.fixture(scope="session")
def small_config(work: Path) -> Callable[..., Config]:
    """Make a config of a method that trains in seconds; further options override."""

    def make(method: str, *options: str) -> Config:
        fitting = [o for o in SMALL_RUN if method != "mae" or "segmentor" not in o]
        path = ROOT / "configs" / method / "pretrain.py"
        config = load_config(path, "tiny", [*fitting, *options])
        fill_paths(config, work)
        return config

    return make


def _run(work: Work, rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{folder}/join", rank=rank, world_size=2)
    torch.save(work(rank), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="session")
def run_pair() -> Callable[[Work, Path], list[Any]]:
    """Call ``work(rank)`` in two processes; returns what it returns in each."""

    def run(work: Work, folder: Path) -> list[Any]:
        processes = [_FORK.Process(target=_run, args=(work, rank, folder)) for rank in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(120)
        assert [process.exitcode for process in processes] == [0, 0]
        return [torch.load(folder / f"{rank}.pt") for rank in range(2)]

    return run
