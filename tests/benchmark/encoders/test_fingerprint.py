"""Features of a fixed image: equal on every device, compared with a tolerance for rounding."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.encoders import encoder as exports
from benchmark.encoders.encoder import export_encoder, load_encoder
from benchmark.encoders.fingerprint import TOLERANCE, Features, take_features
from benchmark.errors import InputError
from benchmark.files import read_json
from benchmark.nn.backbones.base import Encoder
from benchmark.training.train import train

Make = Callable[..., Encoder]


def features(*maps: list[float]) -> Features:
    return Features(tuple(np.array(values, np.float32) for values in maps))


def tf32(value: Tensor) -> Tensor:
    """Rounded to 10 bits of mantissa, as tensor cores read single precision."""
    bits = value.detach().contiguous().view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


@contextmanager
def convolutions_on_a_gpu(module: nn.Module) -> Iterator[None]:
    """Those of this module, not of copies, which are elsewhere, round as on a GPU."""
    there = {id(part) for part in module.modules()}
    plain = nn.Conv2d._conv_forward

    def rounded(part: nn.Conv2d, image: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if id(part) in there:
            image, weight = tf32(image), tf32(weight)
        return plain(part, image, weight, bias)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.Conv2d, "_conv_forward", rounded)
        yield


def test_an_export_from_a_gpu_loads_on_a_cpu(tmp_path, kind, make_encoder):
    encoder = make_encoder(kind)
    expected = take_features(encoder)
    image = torch.linspace(-1, 1, 3 * 64 * 64).sin().view(1, 3, 64, 64)
    with torch.no_grad():
        exact = encoder.eval().feature_maps(image)[-1]
        with convolutions_on_a_gpu(encoder):
            there = encoder.feature_maps(image)[-1]
            card = export_encoder(tmp_path, encoder, {})
            loaded, _ = load_encoder(tmp_path)
    rounding = (there - exact).abs().max() / exact.abs().max()
    assert kind.startswith("vit") or rounding > 1e-4, "a plain ViT has no convolution"
    assert card.features == expected.texts()
    assert take_features(loaded).texts() == card.features


def test_taking_features_does_not_change_the_encoder(tiny_vit):
    """Mode, precision, what is compiled and who listens; a compiler may not be there."""
    seen: list[nn.Module] = []
    tiny_vit.double().train()
    tiny_vit.blocks[0].compile(backend=lambda *_: 1 / 0)
    tiny_vit.norm.register_forward_hook(lambda module, *_: seen.append(module))
    with torch.autocast("cpu", torch.bfloat16):
        found = take_features(tiny_vit).fingerprint
    torch.set_float32_matmul_precision("medium")
    try:
        assert take_features(tiny_vit).fingerprint == found
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert tiny_vit.training
    assert tiny_vit.norm.weight.dtype == torch.float64
    assert tiny_vit.norm not in seen


def test_the_copy_takes_no_device_memory(make_encoder, monkeypatch):
    """No tensor is copied but to the CPU: the GPU may be full."""
    encoder = make_encoder("resnet")
    state = {id(value): name for name, value in encoder.state_dict(keep_vars=True).items()}
    copied: list[str] = []
    plain = torch.Tensor.__deepcopy__

    def note(value: Tensor, memo: dict[int, object]) -> Tensor:
        if id(value) not in memo and id(value) in state:
            copied.append(state[id(value)])
        return plain(value, memo)

    monkeypatch.setattr(torch.Tensor, "__deepcopy__", note)
    monkeypatch.setattr(nn.Parameter, "__deepcopy__", note)
    take_features(encoder)
    assert copied == []


def test_distance_is_relative_to_the_largest_value_of_the_map():
    stored = features([1, -4, 0], [100, 50])
    assert stored.distance(stored) == 0
    assert stored.distance(features([1, -4, 0.5], [100, 50])) == 0.5 / 4
    assert stored.distance(features([1, -3, 0], [100, 90])) == 40 / 100
    assert stored.distance(features([1, -4], [100, 50])) == np.inf
    assert stored.distance(features([1, -4, 0])) == np.inf
    assert stored.distance(features([1, np.nan, 0], [100, 50])) == np.inf
    assert features([0, 0]).distance(features([0, 0])) == 0


def test_texts_round_trip_exactly():
    stored = features([1 / 3, -1e-30], [7])
    texts = stored.texts()
    assert texts[1] == "AADgQA=="  # 7 is 0x40e00000
    again = Features.from_texts(texts)
    assert [part.tolist() for part in again.maps] == [part.tolist() for part in stored.maps]


def _rewrite(folder: Path, **changes: object) -> None:
    path = folder / "encoder.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(("share", "loads"), [(0.5, True), (1.5, False)])
def test_rounding_of_another_machine_is_tolerated(tiny_vit, tmp_path, share, loads):
    """One value is moved by a share of the tolerance."""
    export_encoder(tmp_path, tiny_vit, {})
    (values,) = take_features(tiny_vit).maps
    moved = values.copy()
    moved[3] += share * TOLERANCE * np.abs(values).max()
    other = Features((moved,))
    _rewrite(tmp_path, features=other.texts(), fingerprint=other.fingerprint)
    if loads:
        load_encoder(tmp_path)
        return
    message = "features differ from when it was exported .by 0.001 of the largest value, where"
    with pytest.raises(InputError, match=message.replace("0.001", "0.00[12]")):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (
            "vit",
            ("pos_embed", "patch_embed.proj.weight", "blocks.1.mlp.fc2.weight", "norm.weight"),
        ),
        ("resnet", ("conv1.weight", "layer2.0.bn2.running_var", "layer4.0.downsample.1.weight")),
    ],
)
def test_a_change_of_any_value_exceeds_the_tolerance(kind, names, make_encoder):
    """In every stage, and of the statistics; undone, the features are those from before."""
    encoder = make_encoder(kind)
    first = take_features(encoder)
    for name in names:
        value = encoder.state_dict()[name]
        original = value.clone()
        value.mul_(1.5)
        found = take_features(encoder)
        assert first.distance(found) > 10 * TOLERANCE, name
        assert found.fingerprint != first.fingerprint, name
        value.copy_(original)
    torch.manual_seed(99)
    assert take_features(encoder).fingerprint == first.fingerprint


def test_a_finished_training_does_not_fail_because_of_its_features(
    small_config, tmp_path, monkeypatch
):
    """Its weights are written, and what is wrong with them is on record."""
    folder = tmp_path / "run"

    def differ(_: object) -> None:
        raise InputError("encoder.safetensors: features differ from when it was exported")

    monkeypatch.setattr(exports, "load_encoder", differ)
    train(small_config("mae", "epochs=1"), folder, "test", resume=False, overwrite=False)
    monkeypatch.undo()
    finished = read_json(folder / "run.json")["finished"]
    assert finished["warnings"] == [
        "encoder.safetensors: features differ from when it was exported"
    ]
    encoder, card = load_encoder(folder)
    assert finished["exports"] == {"encoder": card.weights_sha256}
    assert take_features(encoder).fingerprint == card.fingerprint
