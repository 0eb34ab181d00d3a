"""The denoiser: residual learning, the encoder under it, and frames of any size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from benchmark.data.tasks import TaskFolder
from benchmark.downstream.denoising.dataset import DenoisingDataset
from benchmark.downstream.denoising.model import Denoiser
from benchmark.downstream.denoising.task import TASK
from benchmark.downstream.denoising.windows import in_windows
from benchmark.errors import InputError


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, export_vit: Callable[..., Path]) -> Path:
    """A work folder with an encoder where the configs of MAE look for it."""
    folder = tmp_path_factory.mktemp("work")
    export_vit(folder / "mae" / "pretrain", seed=1)
    return folder


def batch(folder: TaskFolder, config: Config, count: int = 2) -> dict[str, Any]:
    dataset = DenoisingDataset(folder, "train", config.train_pipeline)
    return pseudo_collate([dataset[0, index] for index in range(count)])


class Constant(nn.Module):
    """Sees a tenth of full white in every pixel."""

    def forward(self, frames: Tensor) -> Tensor:
        return torch.full_like(frames[:, :1], 0.1)


def test_noise_is_taken_off_rounded_and_kept_in_range():
    model = Denoiser(Constant(), nn.MSELoss())
    frame = torch.tensor([[[0, 20, 26, 255]]], dtype=torch.uint8)
    clean = torch.tensor([[[0, 0, 1, 200]]], dtype=torch.uint8)
    data = {"inputs": [frame], "clean": [clean], "data_samples": [BaseDataElement()]}
    with torch.no_grad():
        (sample,) = model.test_step(data)
        # 0.1 of 255 are 25.5; 26 − 25.5 is rounded to the even neighbour.
        assert sample.denoised.tolist() == [[[0, 0, 0, 230]]]
        assert sample.denoised.dtype == torch.uint8
        losses = model(**model.data_preprocessor(data, training=True), mode="loss")
    errors = [-25.5, -5.5, 0.5 - 1, 229.5 - 200]
    expected = sum(error**2 for error in errors) / 4
    assert losses["loss_pixel"].item() == pytest.approx(expected, rel=1e-6)
    with pytest.raises(ValueError, match="no mode 'draw'"):
        model(data["inputs"], mode="draw")


def test_the_encoder_sees_frames_as_in_pre_training(work, denoising_config, randomise):
    """The prediction written out: three normalised channels, encoder, pyramid, decoder."""
    model = TASK.build_model(denoising_config(work), seed=0)
    randomise(model.decode_head, 3)
    model.eval()
    frames = torch.randint(0, 256, (2, 1, 64, 64)).float()
    mean, std = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    colour = torch.cat([(frames / 255 - m) / s for m, s in zip(mean, std)], dim=1)
    with torch.no_grad():
        tokens = model.backbone.encoder(colour)[:, 1:]
        features = tokens.transpose(1, 2).reshape(2, 32, 4, 4)
        maps = model.decode_head(model.neck((colour, features)))
        noise = model(frames, mode="tensor")
    assert maps.shape == (2, 1, 64, 64)
    assert noise.std() > 1
    torch.testing.assert_close(noise, 255 * maps, rtol=1e-4, atol=1e-2)


def test_every_network_starts_from_the_frame_as_it_is(work, denoising_config):
    frame = torch.randint(0, 256, (1, 70, 90), dtype=torch.uint8)
    for method in ("mae", "dncnn"):
        model = TASK.build_model(denoising_config(work, method), seed=0).eval()
        data = {"inputs": [frame], "clean": [frame], "data_samples": [BaseDataElement()]}
        with torch.no_grad():
            (sample,) = model.test_step(data)
        assert torch.equal(sample.denoised, frame), method


def test_native_frames_go_through_in_windows_of_the_encoder(work, denoising_config, randomise):
    """A frame larger than the encoder, and one smaller, together in one batch."""
    model = TASK.build_model(denoising_config(work), seed=0)
    randomise(model.decode_head, 4)
    model.eval()
    frames = [
        torch.randint(0, 256, (1, *size), dtype=torch.uint8) for size in ((80, 100), (50, 64))
    ]
    samples = [BaseDataElement(), BaseDataElement()]
    with torch.no_grad():
        model.test_step({"inputs": frames, "clean": frames, "data_samples": samples})
        for frame, sample in zip(frames, samples):
            assert sample.denoised.shape == frame.shape
            noise = in_windows(model.noise, frame.float(), 64, 0.25)
            expected = (frame - noise).round().clamp(0, 255)
            assert torch.equal(sample.denoised, expected.to(torch.uint8))
            assert not torch.equal(sample.denoised, frame)


def test_equal_seeds_give_every_encoder_the_same_head(work, tmp_path, export_vit, denoising_config):
    # Another patch size draws other numbers while it is built, which must not reach the head.
    export_vit(tmp_path / "mae" / "pretrain", seed=8, patch_size=8)
    configs = [denoising_config(work), denoising_config(tmp_path), denoising_config(work)]
    torch.manual_seed(77)  # what was drawn before must not matter
    models = [TASK.build_model(config, seed) for config, seed in zip(configs, (5, 5, 6))]
    one, two, other = (model.state_dict() for model in models)
    heads = [name for name in one if not name.startswith("backbone.")]
    assert len(heads) > 50
    assert all(torch.equal(one[name], two[name]) for name in heads)
    drawn = [n for n in heads if one[n].ndim == 4 and n != "decode_head.conv_seg.weight"]
    assert len(drawn) > 15
    assert not any(torch.equal(one[name], other[name]) for name in drawn)
    patches = "backbone.encoder.patch_embed.proj.weight"
    assert torch.equal(one[patches], other[patches]), "the encoder is the encoder"
    assert one[patches].shape != two[patches].shape
    scratch = [TASK.build_model(denoising_config(work, "dncnn"), s).state_dict() for s in (0, 0, 1)]
    convolution = "backbone.layers.2.weight"
    assert torch.equal(scratch[0][convolution], scratch[1][convolution])
    assert not torch.equal(scratch[0][convolution], scratch[2][convolution])


def test_gradient_reaches_the_whole_network(work, noisy, denoising_config):
    for method in ("mae", "dncnn"):
        config = denoising_config(work, method)
        model = TASK.build_model(config, seed=0).train()
        data = model.data_preprocessor(batch(noisy, config), training=True)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
        for _ in range(2):  # the last layer starts at zero: it moves first and lets the others move
            optimizer.zero_grad()
            model(**data, mode="loss")["loss_pixel"].backward()
            optimizer.step()
        silent = [
            name
            for name, parameter in model.named_parameters()
            if parameter.grad is None or not parameter.grad.abs().sum() > 0
        ]
        assert silent == [], method


@pytest.mark.parametrize(
    ("method", "count", "side", "steps"), [("mae", 2, 32, 100), ("dncnn", 1, 12, 250)]
)
def test_a_batch_can_be_learnt_by_heart(method, count, side, steps, work, noisy, denoising_config):
    """Almost all of the error goes, which no denoiser of unseen frames could do."""
    options = ("model.backbone.drop_path=0.0",) if method == "mae" else ()
    config = denoising_config(work, method, *options)
    model = TASK.build_model(config, seed=0).train()
    data = model.data_preprocessor(batch(noisy, config, count), training=True)
    crop = {name: data[name][..., :side, :side] for name in ("inputs", "clean")}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1 - step / steps)
        loss = model(**crop, mode="loss")["loss_pixel"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if losses[-1] < 0.06 * losses[0]:
            break
    assert losses[0] == pytest.approx(float(F.mse_loss(crop["inputs"], crop["clean"])))
    assert losses[-1] < 0.06 * losses[0], (losses[0], losses[-1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("model.window=72",), "image size 72 is no multiple of .* patch size"),
        (("train_pipeline.0.size=40",), "image size 40 is no multiple"),
        (("model.window=None",), "model.window: an encoder takes windows of one size; set it"),
        (("model.overlap=1.0",), "model.overlap=1.0: must be at least 0 and below 1"),
    ],
)
def test_windows_that_do_not_fit_are_one_line(work, denoising_config, options, message):
    with pytest.raises(InputError, match=message):
        TASK.build_model(denoising_config(work, "mae", *options), seed=0)
