"""Costs against counts by hand, and the papers' rules against what the papers print.

Journal: table V; AAAI: tables S7 and S8. Counts by hand are written out as multiplications with
their addition ("multiply-adds", half of our FLOPs).
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from benchmark.anatomy.unext import UNeXt
from benchmark.method_costs import read_costs
from benchmark.speed.flops import count_forward

COSTS = read_costs()
_WIDTH, _DECODER, _PATCHES, _PIXELS = 768, 512, 196, 16 * 16 * 3
# The papers count with 75 % of the patches masked, and four for each value of a norm.
_VISIBLE = 49 + 1
_NORM = 4


def blocks(tokens, width, depth, layers=12, attention=True):
    """qkv (3), projection (1) and MLP (4 + 4) per token and block; scores and their average."""
    products = 2 * tokens**2 * width if attention else 0
    return depth * (layers * width**2 * tokens + products)


def norms(tokens, width, depth):
    """Two in each block, and the last one."""
    return _NORM * (2 * depth + 1) * tokens * width


def decoder(visible, attention):
    """Embedding of the visible tokens, eight blocks on all, prediction of their pixels."""
    tokens = _PATCHES + 1
    embedding, prediction = visible * _WIDTH * _DECODER, tokens * _DECODER * _PIXELS
    return embedding + blocks(tokens, _DECODER, 8, attention=attention) + prediction


def square(inputs, outputs, side, kernel=3):
    """A convolution with a square output."""
    return kernel**2 * inputs * outputs * side**2


def segmentor():
    """UNeXt-S without norms: convolutions, and the linear layers of its shifted MLPs."""
    down = ((3, 8, 224), (8, 16, 112), (16, 32, 56), (32, 64, 14), (64, 128, 7))
    up = ((128, 64, 7), (64, 32, 14), (32, 16, 28), (16, 8, 56), (8, 8, 112))
    total = sum(square(*layer) for layer in (*down, *up)) + square(8, 1, 224, kernel=1)
    for width, side in _MLPS:
        total += 2 * width**2 * side**2 + square(1, width, side)
    return total


_MLPS = ((64, 14), (128, 7), (64, 14), (32, 28))
# Our shifts are two depth-wise convolutions of five weights; the official code moves memory.
_SHIFTS = sum(2 * 5 * width * side**2 for width, side in _MLPS)
# We fold them into convolutions.
_BATCH_NORMS = _NORM * sum(
    width * side**2
    for width, side in ((8, 224), (16, 112), (32, 56), (64, 7), (32, 14), (16, 28), (8, 56))
)
_LAYER_NORMS = _NORM * (5 * 64 * 14**2 + 3 * 128 * 7**2 + 2 * 32 * 28**2)
_SEGMENTOR = segmentor() + _BATCH_NORMS + _LAYER_NORMS


def vgg(*stages):
    """Multiply-adds and parameters of the convolutions of a VGG: layers of each stage."""
    widths = (64, 128, 256, 512, 512)
    work = weights = 0
    inputs, side = 3, 224
    for width, layers in zip(widths, stages, strict=True):
        for a, b in pairwise([inputs, *layers * [width]]):
            work += square(a, b, side)
            weights += 9 * a * b + b
        inputs, side = width, side // 2
    return work, weights


def vit(tokens, layers=12, normed=True):
    """A ViT-B/16 by the papers' rules, with only some of the linear layers of its blocks."""
    work = _PATCHES * _PIXELS * _WIDTH + blocks(tokens, _WIDTH, 12, layers, attention=False)
    return work + (norms(tokens, _WIDTH, 12) if normed else 0)


_MAE = vit(_VISIBLE) + decoder(_VISIBLE, attention=False) + norms(_PATCHES + 1, _DECODER, 8)


def layer_parameters(width, depth):
    """Weights and biases of blocks and of the last norm."""
    return depth * (12 * width**2 + 13 * width) + 2 * width


def mae_parameters(width=_DECODER, depth=8):
    """Without tokens and position tables, which are parameters of no layer."""
    encoder = _PIXELS * _WIDTH + _WIDTH + layer_parameters(_WIDTH, 12)
    ends = _WIDTH * width + width + width * _PIXELS + _PIXELS
    return encoder + ends + layer_parameters(width, depth)


_UNEXT = 253_561
_BASE = 2 * (_MAE + _SEGMENTOR)
_MLP = 8 * _WIDTH**2 + 5 * _WIDTH
# A linear layer from the decoder's tokens to the teacher's.
_TO_TEACHER = 197 * _DECODER * _WIDTH, _DECODER * _WIDTH + _WIDTH
_TO_CLIP = 197 * _DECODER * 512, _DECODER * 512 + 512
_VIT_PARAMETERS = _PIXELS * _WIDTH + _WIDTH + layer_parameters(_WIDTH, 12)
# The 1×1 convolutions of LPIPS are in two attributes of it: counted twice, at two visits.
_LPIPS = sum(a * b**2 for a, b in ((64, 224), (128, 112), (256, 56), (512, 28), (512, 14)))
_TABLE_V = {
    "none": (111.91, 19.01, 0, 0),
    "DINO, EMA": (197.95, 52.90, vit(197) + _TO_TEACHER[0], _VIT_PARAMETERS + _TO_TEACHER[1]),
    # Its attention is a fused module, its norms are a class of its own: neither is known.
    "CLIP": (
        169.43,
        41.66,
        vit(197, layers=8, normed=False) + _TO_CLIP[0],
        _PIXELS * _WIDTH + 12 * _MLP + _TO_CLIP[1],
    ),
    # Four registers; its qkv is a class of its own.
    "DINOv3": (
        176.69,
        45.04,
        vit(201, layers=9) + _TO_TEACHER[0],
        _VIT_PARAMETERS - 12 * (3 * _WIDTH**2 + 3 * _WIDTH) + _TO_TEACHER[1],
    ),
    "LPIPS": (126.63, 80.45, 2 * vgg(2, 2, 3, 3, 3)[0] + 4 * _LPIPS, vgg(2, 2, 3, 3, 3)[1] + 2944),
    "Contextual": (131.93, 97.05, 2 * vgg(2, 2, 4, 4, 4)[0], vgg(2, 2, 4, 4, 4)[1]),
    "L_cons": (111.91, 19.17, _SEGMENTOR, 0),
}


@pytest.mark.parametrize("row", _TABLE_V)
def test_the_papers_rules_give_table_v(row):
    parameters, gflops, more_work, more_parameters = _TABLE_V[row]
    assert round((mae_parameters() + _UNEXT + more_parameters) / 1e6, 2) == parameters
    assert round((_BASE + 2 * more_work) / 1e9, 2) == gflops


def test_the_papers_rules_give_table_s8():
    """Multiply-adds here; the journal has twice as many FLOPs."""
    assert round(_MAE / 1e9, 2) == 9.43
    assert round((_MAE + 2 * _SEGMENTOR) / 1e9, 2) == 9.59
    assert round(mae_parameters() / 1e6, 2) == 111.65
    assert round((mae_parameters() + _UNEXT) / 1e6, 2) == 111.91


@pytest.mark.parametrize(
    ("name", "published", "shape"),
    [
        ("analysis-decoder_d1", 89.84, dict(depth=1)),
        ("analysis-decoder_d2", 92.99, dict(depth=2)),
        ("analysis-decoder_d4", 99.30, dict(depth=4)),
        ("vasomim_v1", 111.91, {}),
        ("analysis-decoder_d12", 124.52, dict(depth=12)),
        ("analysis-decoder_w128", 87.68, dict(width=128)),
        ("analysis-decoder_w256", 92.61, dict(width=256)),
        ("analysis-decoder_w1024", 188.25, dict(width=1024)),
    ],
)
def test_parameters_are_those_of_table_s7(name, published, shape):
    """Ours have two tokens more than the layers: CLS and the mask token."""
    tokens = _WIDTH + shape.get("width", _DECODER)
    assert COSTS[name].total == mae_parameters(**shape) + tokens + _UNEXT
    assert round(COSTS[name].total / 1e6, 2) == published


def test_vit_b_16_counted_by_hand():
    tokens = _PATCHES + 1
    embedding = _PATCHES * _PIXELS * _WIDTH
    assert COSTS["mae"].network_flops == 2 * (embedding + blocks(tokens, _WIDTH, 12))
    positions = tokens * _WIDTH
    assert COSTS["mae"].network == _VIT_PARAMETERS + positions + _WIDTH


def test_clip_differs_from_dino_by_its_first_norm_and_a_bias():
    """A norm of every token in both passes; patches are embedded without bias."""
    clip, dino = COSTS["analysis-objective_clip"], COSTS["analysis-objective_dino"]
    assert clip.total - dino.total == 2 * _WIDTH - _WIDTH
    assert clip.step_flops == dino.step_flops
    assert clip.layer_flops - dino.layer_flops == 2 * (2 * 4 * (_PATCHES + 1) * _WIDTH)


def test_step_of_mae_counted_by_hand():
    """The encoder embeds and sees the visible patches only."""
    encoder = 49 * _PIXELS * _WIDTH + blocks(_VISIBLE, _WIDTH, 12)
    assert COSTS["mae"].step_flops == 2 * (encoder + decoder(_VISIBLE, attention=True))


def test_unext_counted_by_hand():
    network = UNeXt().eval()
    flops = count_forward(
        lambda given: network(given["image"]), {"image": torch.zeros(1, 3, 224, 224)}
    )
    assert flops.total == 2 * (segmentor() + _SHIFTS)
    assert flops.layers == flops.total + 2 * _LAYER_NORMS


def test_consistency_costs_one_pass_of_the_segmentor():
    more = COSTS["vasomim"].step_flops - COSTS["analysis-components_guidance"].step_flops
    assert more == 2 * (segmentor() + _SHIFTS)


@pytest.mark.parametrize(
    ("name", "passes", "expected"),
    [
        ("mae", 0, 2 * _MAE),
        ("analysis-components_guidance", 1, _BASE),
        ("vasomim", 2, 2 * (_MAE + 2 * _SEGMENTOR)),
    ],
)
def test_our_layers_are_the_papers_but_for_known_differences(name, passes, expected):
    """Patches that are masked are not embedded here, and the segmentor is written differently."""
    ours = COSTS[name].papers_flops
    hidden = (_PATCHES - 49) * _PIXELS * _WIDTH
    assert ours + 2 * (hidden + passes * (_BATCH_NORMS - _SHIFTS)) == expected


def _documented():
    """Cells of the rows of docs/costs.md: config, published and our numbers."""
    text = (Path(__file__).parents[3] / "docs" / "costs.md").read_text(encoding="utf-8")
    return re.findall(r"^\| (\w+), (\w+).*? \| `(.+?)` \| (.+) \|$", text, flags=re.MULTILINE)


def test_document_has_the_published_numbers_and_ours():
    rows = _documented()
    assert {(table, row) for table, row, *_ in rows if table == "V"} == {
        ("V", name) for key in _TABLE_V for name in key.split(", ")
    }
    for table, row, method, cells in rows:
        numbers = [float(cell) for cell in cells.split(" | ")]
        unit = 1e9 if table == "V" else 2e9
        cost = COSTS[method]
        assert (numbers[1], *numbers[3:]) == (
            round(cost.total / 1e6, 2),
            round(cost.papers_flops / unit, 2),
            round(cost.step_flops / unit, 2),
        ), method
        for key, (parameters, gflops, *_) in _TABLE_V.items():
            if table == "V" and row in key.split(", "):
                assert (numbers[0], numbers[2]) == (parameters, gflops), method


def test_the_papers_mask_is_that_of_its_analysis():
    """γ = 0.75 pre-trained, against γ = 0.5 counted with that mask."""
    assert COSTS["analysis-masking_ratio_075"].layer_flops == COSTS["vasomim"].papers_flops


def test_detr_has_the_published_size():
    """Carion et al., ECCV 2020: 41 M for R50."""
    assert COSTS["detr"].network // 10**6 == 41
