"""The device against the CPU: exports, vessel masks, views, the first step of every method."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

from benchmark.acceptance.findings import Finding, at_most, fact, holds
from benchmark.anatomy.extraction import vessel_mask
from benchmark.checks.contract import largest_difference, prepare, without_drop_path
from benchmark.checks.rounding import BF16_EXCESS, excess, relative_distance, round_weights
from benchmark.checks.two_processes import StepResult, step_gradients
from benchmark.data.synthetic import angiogram
from benchmark.device import device, on_cpu, uses_gpu
from benchmark.encoders.encoder import export_encoder, load_encoder
from benchmark.files import list_folder
from benchmark.method import Progress
from benchmark.method_cards import CONFIGS
from benchmark.nn.backbones.base import Encoder
from benchmark.nn.backbones.resnet import ResNetEncoder
from benchmark.nn.backbones.sam import SAMEncoder
from benchmark.nn.backbones.unet import UNetEncoder
from benchmark.nn.vit import VisionTransformer
from benchmark.openmmlab.quiet import quiet_libraries
from benchmark.randomness import seed_torch
from benchmark.training.config import fill_paths, from_plain, load_config, to_plain
from benchmark.training.train import assemble

TOLERANCE = 1e-3
"""Relative to the largest value, in fp32 without TF32; the order of summation differs."""
ROUNDING_EXCESS = 4.0
"""Limit of a gradient in fp32, relative to its distance from that in fp64 on the CPU, if larger.

The GPU rounds elsewhere, which moves the gradient of SPT by more than `TOLERANCE`: by 1.6e-3 of the
largest one between fp32 and fp64, that of the others by at most 6e-5.
"""
BF16_LOSS = 0.05
"""Relative difference of a loss between bf16 and fp32."""
_QUICK = ("mae", "vasomim", "moco_v3")
_KINDS: dict[str, tuple[type, dict[str, Any], dict[str, Any]]] = {
    "ViT-B": (VisionTransformer, {}, {"embed_dim": 96, "depth": 2, "num_heads": 3}),
    "ResNet-50": (ResNetEncoder, {}, {"layers": (1, 1, 1, 1), "block": "basic"}),
    "UNet": (UNetEncoder, {}, {"base_channels": 8}),
    "SAM ViT-B": (
        SAMEncoder,
        {"img_size": 512},
        {"img_size": 128, "embed_dim": 96, "depth": 2, "num_heads": 3, "global_blocks": (1,)},
    ),
}
"""Name → class, its arguments, and those for a reduced size."""


@contextmanager
def exact_fp32() -> Iterator[None]:
    """Without TF32, in matrix products and convolutions."""
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = False
    try:
        yield
    finally:
        for backend, value in zip(backends, before):
            backend.allow_tf32 = value


def relative_difference(expected: Tensor, found: Tensor) -> float:
    """Largest difference over the largest expected value; infinite if either is not finite."""
    scale = float(expected.double().abs().max()) or 1.0
    worst = float((expected.double() - found.cpu().double()).abs().max()) / scale
    return worst if math.isfinite(worst) else math.inf


def methods_of(reduced: bool) -> list[str]:
    """All methods that are pre-trained here, or a few of them."""
    names = [path.name for path in list_folder(CONFIGS) if (path / "pretrain.py").is_file()]
    return [name for name in names if name in _QUICK] if reduced else names


def exports(reduced: bool) -> Iterator[Finding]:
    """The exported encoder gives the same features on the device as on the CPU."""
    for name, (kind, arguments, small) in _KINDS.items():
        seed_torch("acceptance", name)
        encoder = kind(**(small if reduced else arguments))
        with tempfile.TemporaryDirectory() as folder:
            export_encoder(Path(folder), encoder.to(device()), {"run": "acceptance"})
            loaded, _ = load_encoder(folder)
        side = encoder.img_size
        image = torch.linspace(-1, 1, 3 * side**2).sin().view(1, 3, side, side)
        with torch.no_grad(), exact_fp32():
            expected = _maps(loaded.eval(), image)
            found = _maps(loaded.to(device()), image.to(device()))
        worst = max(relative_difference(one, other) for one, other in zip(expected, found))
        yield at_most(f"features of {name}, device against CPU", worst, TOLERANCE)


def _maps(encoder: Encoder, image: Tensor) -> list[Tensor]:
    return [features.cpu() for features in encoder.feature_maps(image)]


def vessel_masks(reduced: bool) -> Iterator[Finding]:
    """Frames of one size, and padded ones of several: equal masks."""
    frames, valid = _frames(*((128, 3) if reduced else (512, 16)))
    for what, sizes in (("of one size", None), ("of mixed sizes", valid)):
        expected = vessel_mask(frames, valid=sizes)
        found = vessel_mask(frames.to(device()), valid=sizes).cpu()
        different = int((found ^ expected).sum())
        yield at_most(f"pixels of {len(frames)} masks {what} that differ", different, 0)
        yield holds(f"masks {what} hold vessels", bool(expected.any(dim=(1, 2)).all()))


def _frames(side: int, count: int) -> tuple[Tensor, Tensor]:
    """Frames B×S×S, uint8, and the sizes B×2 of their valid areas, in pixels, which differ."""
    frames = [angiogram(3, patient, size=side, frame=6).image for patient in range(count)]
    valid = [(side - 7 * (k % 3), side - 11 * (k % 2)) for k in range(count)]
    return torch.from_numpy(np.stack(frames)), torch.tensor(valid)


def views(reduced: bool) -> Iterator[Finding]:
    """What the network of each method is given: images to 1e-3, masks and indices exactly."""
    batch = _batch(512, 4)
    for name in methods_of(reduced):
        with tempfile.TemporaryDirectory() as folder:
            config = small_trial(name, Path(folder))
            with on_cpu():
                expected = _views(config, batch)
            found = _views(config, batch)
        worst, unequal = 0.0, []
        for key, value in expected.items():
            if value.is_floating_point():
                worst = max(worst, relative_difference(value, found[key]))
            elif not torch.equal(value, found[key].cpu()):
                unequal.append(key)
        yield at_most(f"{name}: images, relative", worst, TOLERANCE)
        yield holds(f"{name}: masks are equal", not unequal, ", ".join(unequal))


def first_steps(reduced: bool) -> Iterator[Finding]:
    """Loss and gradient of the first step: fp32 against the CPU, bf16 against fp32."""
    for name in methods_of(reduced):
        with tempfile.TemporaryDirectory() as folder, exact_fp32():
            config = small_trial(name, Path(folder))
            with on_cpu():
                exact = _first_step(config, "fp32", dtype=torch.float64)
                expected = _first_step(config, "fp32")
            found = _first_step(config, "fp32")
            yield at_most(f"{name}: loss, relative", _loss_apart(expected, found), TOLERANCE)
            apart, _ = largest_difference(expected[1], found[1])
            rounding, _ = largest_difference(exact[1], expected[1])
            limit = max(TOLERANCE, ROUNDING_EXCESS * rounding)
            limit = limit if math.isfinite(limit) else TOLERANCE
            yield at_most(f"{name}: gradient, relative to the largest", apart, limit)
            if uses_gpu():
                rounded = _first_step(config, "bf16")
                loss = _loss_apart(found, rounded)
                yield at_most(f"{name}: loss in bf16, relative", loss, BF16_LOSS)
                weights = _first_step(config, "fp32", rounded_weights=True)
                times = excess(found[1], rounded[1], weights[1])
                what = f"{name}: change of the gradient by bf16, over that by rounded weights"
                yield at_most(what, times, BF16_EXCESS)
                share = relative_distance(found[1], rounded[1])
                yield fact(f"{name}: change of the gradient by bf16, relative", share)
            else:
                yield fact(f"{name}: bf16", "only on a GPU")


def small_trial(method: str, work: Path) -> Config:
    """The config of a method with small inputs in `work`, without random numbers of the device."""
    config = load_config(CONFIGS / method / "pretrain.py", "tiny")
    fill_paths(config, work)
    prepare(config, work)
    content = to_plain(config)
    without_drop_path(content)  # its random numbers come from the device
    content["micro_batch"] = None
    return Config(from_plain(content))


def _batch(side: int, count: int) -> dict[str, Tensor]:
    """A batch of frames of mixed sizes as a loader gives it, with bit-packed vessel masks."""
    frames, valid = _frames(side, count)
    with on_cpu():
        bits = np.packbits(vessel_mask(frames, valid=valid).numpy(), axis=-1)
    anatomy = torch.from_numpy(bits)
    return {"frame": frames, "valid": valid, "index": torch.arange(count), "anatomy": anatomy}


def _views(config: Config, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of the first step; a method without anatomy gets none."""
    with quiet_libraries():
        parts = assemble(config)
    method = parts.method.to(device()).train()
    method.progress = Progress(config.seed, 0, config.epochs, 0, len(parts.loader))
    keys = next(iter(parts.loader)).keys()
    batch = {key: value.to(device()) for key, value in batch.items() if key in keys}
    return method.views(batch)["views"]


def _first_step(
    config: Config,
    precision: str,
    rounded_weights: bool = False,
    dtype: torch.dtype = torch.float32,
) -> StepResult:
    config = Config({**config.to_dict(), "precision": precision})
    with quiet_libraries():
        parts = assemble(config)
        if rounded_weights:
            round_weights(parts.method)
        return step_gradients(parts, dtype, device())


def _total(result: StepResult) -> float:
    return sum(value for name, value in result[0].items() if "loss" in name)


def _loss_apart(expected: StepResult, found: StepResult) -> float:
    apart = abs(_total(expected) - _total(found)) / (abs(_total(expected)) or 1.0)
    return apart if math.isfinite(apart) else math.inf
