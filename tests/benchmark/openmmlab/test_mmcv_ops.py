"""The operations that stand in for mmcv's compiled ones, and how Python comes to find them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torchvision.ops import batched_nms as torchvision_nms
from torchvision.ops import roi_align

from benchmark.errors import InputError
from benchmark.openmmlab.mmcv_ops import install_mmcv_ops, nms

ROOT = Path(__file__).resolve().parents[3]


def overlap(a: list[float], b: list[float], offset: int) -> float:
    """IoU of two boxes whose sides are x1 − x0 + offset."""
    width = min(a[2], b[2]) - max(a[0], b[0]) + offset
    height = min(a[3], b[3]) - max(a[1], b[1]) + offset
    inside = max(width, 0) * max(height, 0)
    areas = [(c[2] - c[0] + offset) * (c[3] - c[1] + offset) for c in (a, b)]
    return inside / (sum(areas) - inside)


def greedy(boxes: list[list[float]], scores: list[float], threshold: float, offset: int) -> list:
    """Best first; a box goes if one that stays overlaps it by more than the threshold."""
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(overlap(boxes[index], boxes[other], offset) <= threshold for other in kept):
            kept.append(index)
    return kept


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.7])
def test_nms_is_the_greedy_algorithm(threshold, offset):
    generator = torch.Generator().manual_seed(7)
    corners = torch.rand(60, 2, generator=generator) * 30
    boxes = torch.cat([corners, corners + 2 + torch.rand(60, 2, generator=generator) * 20], dim=1)
    scores = torch.rand(60, generator=generator)
    expected = greedy(boxes.tolist(), scores.tolist(), threshold, offset)
    assert nms(boxes, scores, threshold, offset).tolist() == expected
    assert 1 < len(expected) < 60


def test_edges_and_thresholds():
    """Two boxes of 4×2 pixels share a row of 4 if their edges are inclusive, else nothing."""
    boxes = torch.tensor([[0.0, 0, 3, 1], [0, 1, 3, 2]])
    scores = torch.tensor([0.9, 0.8])
    assert nms(boxes, scores, 0.3, offset=0).tolist() == [0, 1]
    assert nms(boxes, scores, 0.3, offset=1).tolist() == [0]  # 4 of 12 pixels
    boxes = torch.tensor([[0.0, 0, 4, 1], [0, 0, 2, 1]])  # an IoU of exactly 1/2
    scores = torch.tensor([0.4, 0.6])
    assert nms(boxes, scores, 0.5).tolist() == [1, 0]
    assert nms(boxes, scores, 0.5 - 1e-6).tolist() == [1]
    assert nms(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []


def script(text: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_installing_imports_nothing_and_repeats():
    out = script(
        "import sys\n"
        "from benchmark.openmmlab.mmcv_ops import install_mmcv_ops\n"
        "install_mmcv_ops(); install_mmcv_ops()\n"
        "assert not {'torch', 'mmcv', 'torchvision'} & sys.modules.keys()\n"
        "ours = [f for f in sys.meta_path if type(f).__module__ == install_mmcv_ops.__module__]\n"
        "print(len(ours))\n"
    )
    assert out == "1"


def test_mmcv_runs_on_the_stand_in():
    """Through mmcv's own functions."""
    from mmcv.ops import RoIAlign, batched_nms, deform_conv2d

    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(40, 2, generator=generator) * 20
    boxes = torch.cat([corners, corners + 4 + 9 * torch.rand(40, 2, generator=generator)], 1)
    scores, labels = torch.rand(40, generator=generator), torch.arange(40) % 3
    kept, index = batched_nms(boxes, scores, labels, dict(type="nms", iou_threshold=0.4))
    assert index.tolist() == torchvision_nms(boxes, scores, labels, 0.4).tolist()
    assert torch.equal(kept, torch.cat([boxes, scores[:, None]], 1)[index])
    maps = torch.rand(2, 3, 16, 16, generator=generator, requires_grad=True)
    rois = torch.cat([torch.arange(40)[:, None] % 2, boxes / 3], 1)
    layer = RoIAlign(7, spatial_scale=0.5, sampling_ratio=0, use_torchvision=True)
    found = layer(maps, rois)
    assert torch.equal(found, roi_align(maps, rois, 7, 0.5, 0, True))
    found.square().sum().backward()
    assert maps.grad.abs().sum() > 0
    with pytest.raises(InputError, match=r"'deform_conv_forward'.*MMCV_WITH_OPS=1") as error:
        deform_conv2d(maps, torch.zeros(2, 18, 14, 14), torch.zeros(4, 3, 3, 3))
    assert "\n" not in str(error.value)


def test_another_extension_keeps_precedence():
    """Whatever finds a compiled extension, now or later, is asked before the stand-in."""
    out = script(
        "import sys\n"
        "from importlib.machinery import ModuleSpec\n"
        "from benchmark.openmmlab.mmcv_ops import install_mmcv_ops\n"
        "def found():\n"
        "    specs = (f.find_spec('mmcv._ext', None) for f in sys.meta_path)\n"
        "    return next((s for s in specs if s is not None), None)\n"
        "class Compiled:\n"
        "    def find_spec(name, path, target=None):\n"
        "        return ModuleSpec(name, None, origin='compiled')\n"
        "assert found() is None\n"
        "install_mmcv_ops()\n"
        "print(found().origin)\n"
        "sys.meta_path.insert(-1, Compiled)\n"
        "print(found().origin)\n"
    )
    stand_in, compiled = out.splitlines()
    assert stand_in.endswith("mmcv_ops.py")
    assert compiled == "compiled"


def test_too_late_is_an_error(monkeypatch):
    """mmdetection that was imported without operations keeps functions that fail."""
    ours = [f for f in sys.meta_path if type(f).__module__ != "benchmark.openmmlab.mmcv_ops"]
    monkeypatch.setattr(sys, "meta_path", ours)
    monkeypatch.delitem(sys.modules, "mmcv._ext", raising=False)
    monkeypatch.setitem(sys.modules, "mmdet.models.layers", torch)
    with pytest.raises(RuntimeError, match="before the first import of mmdet or mmseg"):
        install_mmcv_ops()
    assert sys.meta_path == ours


def test_a_missing_operation_names_itself_and_the_way_out():
    from benchmark.openmmlab.mmcv_ops import _Extension

    extension = _Extension("mmcv._ext")
    with pytest.raises(InputError, match=r"'carafe_forward' needs the compiled mmcv.*choose"):
        extension.carafe_forward(torch.zeros(1))
    with pytest.raises(AttributeError, match="__wrapped__"):
        _ = extension.__wrapped__


@pytest.mark.slow
def test_a_config_of_mmpretrain_builds_in_a_fresh_process():
    """Its models import parts of mmdetection, for which the operations must be there by then."""
    out = script(
        "from benchmark.registry import build\n"
        "from benchmark.training.config import load_config\n"
        "method = build(load_config('configs/mmpretrain/simclr.py', 'tiny').method)\n"
        "print(type(method).__name__)\n"
    )
    assert out == "MMPretrain"
