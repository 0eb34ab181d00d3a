"""Encoders as ONNX files: ONNX Runtime finds their features, for batches of any number."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from benchmark.encoders import onnx_export
from benchmark.encoders.encoder import export_encoder, load_encoder
from benchmark.encoders.onnx_export import random_frames, write_encoder_onnx, write_onnx
from benchmark.errors import InputError

QUICK = "vit+registers"
SLOW = (
    *("vit", "vit+clip", "vit+without norm", "eva", "eva+biases", "samvit", "samvit+norm"),
    *("beit", "beit+tables", "resnet", "resnet+basic", "unet"),
)


def frames(count: int, side: int) -> np.ndarray:
    """Gradients of varied slope, not the noise of the export's own comparison."""
    ramp = np.linspace(0, 255, side)
    slopes = np.linspace(0.2, 1, count)[:, None, None]
    return (slopes * (ramp[:, None] + ramp[None]) / 2).astype(np.uint8)[:, None]


@pytest.mark.parametrize(
    "kind", [QUICK, *(pytest.param(kind, marks=pytest.mark.slow) for kind in SLOW)]
)
def test_features_are_those_of_the_encoder(make_encoder, tmp_path, kind):
    mean, std = [0.4, 0.45, 0.5], [0.2, 0.25, 0.3]
    export_encoder(tmp_path, make_encoder(kind), {"run": "r"}, mean, std)
    encoder, card = load_encoder(tmp_path)
    report = write_encoder_onnx(tmp_path / "encoder.onnx", encoder, card)
    assert report.runtime == onnxruntime.__version__
    assert report.difference < 1e-5

    model = onnx.load(tmp_path / "encoder.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 18)]
    session = onnxruntime.InferenceSession(tmp_path / "encoder.onnx")
    (given,) = session.get_inputs()
    assert (given.name, given.type) == ("frames", "tensor(uint8)")
    assert given.shape == ["batch", 1, 64, 64]
    told = session.get_modelmeta().custom_metadata_map
    assert (json.loads(told["mean"]), json.loads(told["std"])) == (mean, std)
    assert told["weights_sha256"] == card.weights_sha256

    original = make_encoder(kind).eval()  # with fused attention
    for count in (1, 5):
        shown = frames(count, 64)
        images = (np.repeat(shown, 3, axis=1) / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(
            std, (3, 1, 1)
        )
        with torch.no_grad():
            images = torch.from_numpy(images).float()
            wanted = dict(
                zip((f"features_{s}" for s in original.strides), original.feature_maps(images))
            )
            if original.num_prefix_tokens:
                wanted["prefix_tokens"] = original(images)[:, : original.num_prefix_tokens]
        found = session.run(None, {"frames": shown})
        assert [one.name for one in session.get_outputs()] == list(wanted)
        for values, expected in zip(found, wanted.values(), strict=True):
            limit = 1e-4 * expected.abs().max().item()
            np.testing.assert_allclose(values, expected.numpy(), rtol=0, atol=limit)


@pytest.mark.slow
def test_the_size_of_the_frames_is_a_choice(make_encoder, tmp_path):
    export_encoder(tmp_path, make_encoder("vit"), {})
    encoder, card = load_encoder(tmp_path)
    report = write_encoder_onnx(tmp_path / "encoder.onnx", encoder, card, 96)
    assert report.outputs == {"features_8": ["B", 32, 12, 12], "prefix_tokens": ["B", 1, 32]}
    session = onnxruntime.InferenceSession(tmp_path / "encoder.onnx")
    images = torch.from_numpy(frames(2, 96)).float() / 255
    images = (images - torch.tensor(card.mean)[:, None, None]) / torch.tensor(card.std)[
        :, None, None
    ]
    with torch.no_grad():
        wanted = make_encoder("vit").eval().feature_maps(images)[0].numpy()
    found = session.run(["features_8"], {"frames": frames(2, 96)})[0]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


class Scale(nn.Module):
    """Its output is a multiple of the frames."""

    def __init__(self, factor: float = 2.0) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.factor * frames.float(),)


class OfOneNumber(Scale):
    """Its graph depends on the number of frames."""

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (super().forward(frames)[0] + torch.zeros(1, 1, 4, 4).expand(len(frames), 1, 4, 4),)


class Branches(Scale):
    """Its operations depend on the values of the frames."""

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return super().forward(frames) if frames.sum() > 0 else (frames.float(),)


@pytest.mark.parametrize(
    ("graph", "factor", "message"),
    [
        (Scale(), 2.001, r"ONNX Runtime .* computes something else \(by 5.0e-04 of"),
        (Scale(), float("nan"), r"computes something else"),
        (
            OfOneNumber(),
            2,
            r"torch cannot write this network as ONNX \(for batches of any number\)",
        ),
        (Branches(), 2, "torch cannot write this network as ONNX"),
    ],
)
def test_what_fails_is_one_line_and_leaves_no_file(graph, factor, message, tmp_path, capfd):
    shown = random_frames(4, 4)
    expected = [factor * shown.float()]
    with pytest.raises(InputError, match=message) as caught:
        write_onnx(tmp_path / "a.onnx", graph.eval(), ["out"], shown, expected, {})
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


def test_a_file_is_written_silently_and_names_no_path_of_this_machine(tmp_path, capfd):
    shown = random_frames(4, 4)
    path = tmp_path / "a.onnx"
    about = {"classes": ["background", "vessel"], "title": "MAE"}
    report = write_onnx(path, Scale().eval(), ["out"], shown, [2 * shown.float()], about)
    assert (report.outputs, report.difference) == ({"out": ["B", 1, 4, 4]}, 0)
    assert capfd.readouterr() == ("", "")
    assert b".py" not in path.read_bytes()
    told = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    assert told == {"classes": '["background", "vessel"]', "title": "MAE"}


def test_without_onnx_runtime_the_file_is_not_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None)
    shown = random_frames(4, 4)
    report = write_onnx(tmp_path / "a.onnx", Scale().eval(), ["out"], shown, [shown.float()], {})
    assert report.runtime is None
    assert (tmp_path / "a.onnx").is_file()


def test_weights_beyond_the_limit_of_a_file_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "_MOST_BYTES", 3)
    shown = random_frames(4, 4)
    with pytest.raises(InputError, match=r"0\.0 GB of weights exceed the 2 GB of an ONNX file"):
        write_onnx(tmp_path / "a.onnx", Scale().eval(), ["out"], shown, [shown], {})
