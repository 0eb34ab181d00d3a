"""What a model.json may name, and what it must not."""

from __future__ import annotations

import pytest
from mmcv.transforms import Resize
from mmengine.config import Config
from mmseg.models.segmentors import EncoderDecoder
from torch import nn

from benchmark.downstream.compose import compose
from benchmark.downstream.fine_tuned.classes import find_class, read_parts
from benchmark.downstream.segmentation.model import UNetDecoder
from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS, read_method_cards
from benchmark.training.config import from_plain, to_plain


def test_parts_of_networks_are_found():
    for kind in (EncoderDecoder, UNetDecoder, Resize, nn.MSELoss, nn.Identity):
        assert find_class(f"{kind.__module__}.{kind.__qualname__}") is kind


@pytest.mark.parametrize(
    "name",
    [
        *("os.system", "subprocess.Popen", "builtins.eval", "torch.load", "torch.hub.load"),
        *("benchmark.sweep.execution.run_plan", "benchmark.weights.load_plain", "nowhere.Class"),
        *("torch.nn.functional.relu", "torch.nn.modules.module.torch", "torch.nn.Missing"),
        *("benchmark.downstream.task.importlib", "benchmark.downstream.cell.Path"),
        *("mmdet.models.task_modules.tracking.CameraMotionCompensation", "torch.nn..Linear"),
        *("mmpretrain.models.multimodal.Blip2VQA", "mmengine.runner.Runner"),
    ],
)
def test_everything_else_is_refused(name):
    with pytest.raises(InputError):
        read_parts({"type": "torch.nn.Linear", "inner": [{"type": name}]}, "model.json")


@pytest.mark.parametrize("kind", ["__import__('os').getcwd()", "nms; x", "a b", 3, None, ["nms"]])
def test_a_type_is_a_name_since_a_library_evaluates_some(kind):
    """mmcv calls `eval` on the type of an ``nms``."""
    with pytest.raises(InputError, match=r"model.json.test_cfg.nms.type: must be the name"):
        read_parts({"test_cfg": {"nms": {"type": kind}}}, "model.json")


def test_parts_lose_the_files_they_were_initialised_from():
    network = {
        "pretrained": "torchvision://resnet50",
        "backbone": {"init_cfg": {"type": "Pretrained", "checkpoint": "http://x/y.pth"}},
        "head": {"init_cfg": [{"type": "Kaiming"}], "checkpoint": None, "loss": {"load_from": "a"}},
    }
    assert read_parts(network, "") == {
        "pretrained": None,
        "backbone": {"init_cfg": None},
        "head": {
            "init_cfg": [{"type": "Kaiming"}],
            "checkpoint": None,
            "loss": {"load_from": None},
        },
    }


DATASETS = {"segmentation": "arcade_v", "detection": "stenosis", "denoising": "denoising"}


@pytest.mark.parametrize("dataset", DATASETS.values())
def test_the_networks_of_all_systems_may_be_named(dataset, tmp_path):
    """Whatever the configs of the project put together comes back as it was."""
    for card in read_method_cards(CONFIGS):
        try:
            config, _ = compose(CONFIGS, card.method, dataset, "tiny", [], tmp_path)
        except InputError:
            continue  # a model for another task
        for key in ("model", "test_pipeline"):
            plain = to_plain(config)[key]
            assert read_parts(plain, key) == from_plain(plain), card.method
        assert isinstance(Config({"model": read_parts(to_plain(config.model), "")}), Config)
