"""CLIP's image encoder: the features of the official network and of timm's, from every file."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
from released_files import FILES, Size, clip, fill
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmark.encoders.conversion import convert
from benchmark.encoders.encoder import load_encoder
from benchmark.encoders.frozen_encoder import FrozenEncoder
from benchmark.encoders.releases import RELEASES
from benchmark.nn.vit import VisionTransformer

SIZE = Size()
SMALL = FILES["clip"].small
PART = "visual."


@pytest.fixture
def tensors() -> dict[str, Tensor]:
    return fill(clip(SIZE))


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))


def converted(path: Path, folder: Path) -> VisionTransformer:
    convert(RELEASES["clip"], path, folder, arguments=SMALL)
    return load_encoder(folder)[0].eval()


class Script(nn.Module):
    """A module with these tensors under these names, beside settings and a forward pass."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.size, self.sizes, self.title = 32, [1, 2], "clip"
        for name, value in tensors.items():
            *parents, last = name.split(".")
            place: nn.Module = self
            for part in parents:
                if not hasattr(place, part):
                    place.add_module(part, nn.Module())
                place = getattr(place, part)
            place.register_parameter(last, nn.Parameter(value.clone()))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.size


def save_script(tensors: dict[str, Tensor], path: Path) -> None:
    """As `torch.jit.save` writes it; the weights of the layers in half precision, as published."""
    half = {
        name: value.half() if value.ndim == 2 and "embedding" not in name else value
        for name, value in tensors.items()
    }
    torch.jit.save(torch.jit.trace(Script(half), torch.ones(1)), path)


def official_features(tensors: dict[str, Tensor], images: Tensor, heads: int) -> Tensor:
    """The network of Radford et al., layer by layer, without its pooling and projection."""

    def weights(name: str) -> tuple[Tensor, Tensor]:
        return tensors[f"{PART}{name}.weight"], tensors[f"{PART}{name}.bias"]

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], *weights(name))

    x = F.conv2d(images, tensors[f"{PART}conv1.weight"], stride=SIZE.patch).flatten(2).mT
    first = tensors[f"{PART}class_embedding"].expand(len(x), 1, -1)
    x = norm(torch.cat([first, x], 1) + tensors[f"{PART}positional_embedding"], "ln_pre")
    for number in range(SIZE.depth):
        name = f"transformer.resblocks.{number}"
        attention = nn.MultiheadAttention(x.shape[-1], heads, batch_first=True)
        own = f"{PART}{name}.attn."
        attention.load_state_dict(
            {n.removeprefix(own): value for n, value in tensors.items() if n.startswith(own)}
        )
        normed = norm(x, f"{name}.ln_1")
        x = x + attention(normed, normed, normed, need_weights=False)[0]
        hidden = F.linear(norm(x, f"{name}.ln_2"), *weights(f"{name}.mlp.c_fc"))
        x = x + F.linear(hidden * torch.sigmoid(1.702 * hidden), *weights(f"{name}.mlp.c_proj"))
    return norm(x, "ln_post")


@torch.no_grad()
def test_features_are_those_of_the_official_network(tensors, images, tmp_path):
    torch.save(tensors, tmp_path / "clip.pth")
    ours = converted(tmp_path / "clip.pth", tmp_path / "out")
    wanted = official_features(tensors, images, SIZE.heads)
    torch.testing.assert_close(ours(images), wanted, rtol=0, atol=1e-5)


@torch.no_grad()
def test_features_are_those_of_timm(images, tmp_path):
    """From timm's own file, and of its own network with these weights."""
    theirs = timm.create_model(
        "vit_base_patch16_clip_quickgelu_224", pretrained=False, num_classes=16, **SMALL
    ).eval()
    generator = torch.Generator().manual_seed(3)
    for parameter in theirs.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    ours = converted(tmp_path / "model.safetensors", tmp_path / "out")
    torch.testing.assert_close(ours(images), theirs.forward_features(images), rtol=0, atol=1e-5)


def test_all_files_are_one_network(tensors, tmp_path):
    """The official TorchScript program, its state dict, and the names of `transformers`."""
    torch.save(tensors, tmp_path / "a.pth")
    first = converted(tmp_path / "a.pth", tmp_path / "a").state_dict()
    save_script(tensors, tmp_path / "b.pt")
    second = converted(tmp_path / "b.pt", tmp_path / "b").state_dict()
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert second[name].dtype == torch.float32
        torch.testing.assert_close(second[name], value, rtol=1e-3, atol=1e-6)  # half precision
    page = {
        name.replace(PART, "vision_model.")
        .replace("class_embedding", "embeddings.class_embedding")
        .replace("positional_embedding", "embeddings.position_embedding.weight")
        .replace("conv1", "embeddings.patch_embedding")
        .replace("ln_pre", "pre_layrnorm")
        .replace("ln_post", "post_layernorm")
        .replace("transformer.resblocks", "encoder.layers")
        .replace("ln_", "layer_norm")
        .replace("attn", "self_attn")
        .replace("c_fc", "fc1")
        .replace("c_proj", "fc2"): value
        for name, value in tensors.items()
        if name.startswith(PART) and not name.endswith("visual.proj")
    }
    for name in [name for name in page if "in_proj_" in name]:
        for part, piece in zip("qkv", page.pop(name).chunk(3)):
            page[name.replace("in_proj_", f"{part}_proj.")] = piece
    assert page.keys() <= FILES["clip/model page"].shapes(SIZE).keys()
    torch.save(page, tmp_path / "c.pth")
    third = converted(tmp_path / "c.pth", tmp_path / "c").state_dict()
    assert all(torch.equal(third[name], value) for name, value in first.items())


@torch.no_grad()
def test_as_a_teacher_it_sees_its_own_normalisation(tensors, images, tmp_path):
    """The views normalise with ImageNet's statistics; CLIP was trained with others."""
    torch.save(tensors, tmp_path / "clip.pth")
    ours = converted(tmp_path / "clip.pth", tmp_path / "out")
    mean, std = (
        torch.tensor(v)[:, None, None] for v in (RELEASES["clip"].mean, RELEASES["clip"].std)
    )
    found = FrozenEncoder(str(tmp_path / "out" / "encoder.safetensors")).feature_maps(images)[0]
    imagenet = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    wanted = ours.feature_maps((images * imagenet[1] + imagenet[0] - mean) / std)[0]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
