"""Conversion rules of the releases: the right network, with the features of other libraries."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest
import timm
import torch
from released_files import FILES, Size, dinov2, dinov3, fill
from timm.models.eva import checkpoint_filter_fn
from torch import Tensor, nn

from benchmark.encoders.conversion import convert
from benchmark.encoders.encoder import load_encoder
from benchmark.encoders.releases import RELEASES, find_release
from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS, read_method_card

SIZE = Size()
SMALL = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2)
Tensors = dict[str, Tensor]


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))


def converted(name: str, content: object, folder: Path, **arguments: object) -> nn.Module:
    folder.mkdir(exist_ok=True)
    torch.save(content, folder / "file.pth")
    convert(RELEASES[name], folder / "file.pth", folder, arguments={**SMALL, **arguments})
    return load_encoder(folder)[0].eval()


def dinov3_names_of_the_model_page(tensors: Tensors, prefix: str = "") -> Tensors:
    """The same weights as saved by the `transformers` library."""
    renamed: Tensors = {}
    tops = {
        "cls_token": "embeddings.cls_token",
        "storage_tokens": "embeddings.register_tokens",
        "mask_token": "embeddings.mask_token",
        "patch_embed.proj.weight": "embeddings.patch_embeddings.weight",
        "patch_embed.proj.bias": "embeddings.patch_embeddings.bias",
        "norm.weight": "norm.weight",
        "norm.bias": "norm.bias",
    }
    parts = {"attn.proj": "attention.o_proj", "mlp.fc1": "mlp.up_proj", "mlp.fc2": "mlp.down_proj"}
    for name, value in tensors.items():
        if name in tops:
            renamed[tops[name]] = value
        elif match := re.match(r"blocks\.(\d+)\.(.+)", name):
            layer, rest = f"{prefix}layer.{match[1]}.", match[2]
            if rest in ("attn.qkv.weight", "attn.qkv.bias"):
                for part, piece in zip("qkv", value.chunk(3)):
                    if (part, rest) != ("k", "attn.qkv.bias"):
                        renamed[f"{layer}attention.{part}_proj.{rest.split('.')[-1]}"] = piece
            elif rest.startswith("ls"):
                renamed[f"{layer}layer_scale{rest[2]}.lambda1"] = value
            elif not rest.endswith("bias_mask"):
                stem, _, end = rest.rpartition(".")
                renamed[f"{layer}{parts.get(stem, stem)}.{end}"] = value
    return renamed


@pytest.mark.parametrize("bias", ["random", "zero"])
def test_dinov3_computes_the_features_of_timm(bias, images, tmp_path):
    """timm's ViT-B/16, small, with timm's own conversion; with zero biases its variant without."""
    tensors = fill(dinov3(SIZE))
    variant = "vit_base_patch16_dinov3_qkvb"
    if bias == "zero":
        variant = "vit_base_patch16_dinov3"
        tensors |= {n: torch.zeros_like(v) for n, v in tensors.items() if n.endswith("qkv.bias")}
    theirs = timm.create_model(variant, pretrained=False, num_classes=0, **SMALL).eval()
    theirs.load_state_dict(checkpoint_filter_fn(dict(tensors), theirs), strict=True)
    ours = converted("dinov3", tensors, tmp_path, layer_scale=1.0)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs.forward_features(images))
        # The rotation spans the image at any size.
        larger = torch.nn.functional.interpolate(images, 48)
        torch.testing.assert_close(ours(larger), theirs.forward_features(larger))


def test_three_files_of_dinov3_are_one_network(images, tmp_path):
    """The repository's names, the model page's with and without prefix, and timm's."""
    tensors = fill(dinov3(SIZE))
    first = converted("dinov3", tensors, tmp_path / "a", layer_scale=1.0)
    files = [dinov3_names_of_the_model_page(tensors, prefix) for prefix in ("", "model.")]
    for number, content in enumerate([*files, dict(first.state_dict())]):
        other = converted("dinov3", content, tmp_path / f"b{number}", layer_scale=1.0)
        assert all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters()))


def test_biases_of_keys_are_masked(images, tmp_path):
    """Whatever the file says there, even not a number, as before a checkpoint is loaded."""
    tensors = fill(dinov3(SIZE))
    first = converted("dinov3", tensors, tmp_path / "a", layer_scale=1.0)
    for name in [name for name in tensors if name.endswith("qkv.bias")]:
        tensors[name] = tensors[name].clone()
        tensors[name][32:64] = float("nan")
    second = converted("dinov3", tensors, tmp_path / "b", layer_scale=1.0)
    with torch.no_grad():
        assert torch.equal(first(images), second(images))


def test_what_would_change_the_features_of_dinov3_is_refused(tmp_path):
    tensors = fill(dinov3(SIZE))
    other = {**tensors, "rope_embed.periods": 2 * tensors["rope_embed.periods"]}
    with pytest.raises(InputError, match=r"file.pth: rope_embed.periods: not those of base 100"):
        converted("dinov3", other, tmp_path)
    rounded = {**tensors, "rope_embed.periods": tensors["rope_embed.periods"].bfloat16()}
    converted("dinov3", rounded, tmp_path, layer_scale=1.0)
    other = {**tensors, "blocks.1.attn.qkv.bias_mask": torch.ones(96)}
    with pytest.raises(InputError, match=r"blocks.1.attn.qkv.bias_mask: does not hide the keys"):
        converted("dinov3", other, tmp_path)


def test_med_dinov3_has_no_biases_and_another_epsilon(images, tmp_path):
    """timm's network without biases, with ε = 1e-6, under the teacher's names."""
    file = FILES["med_dinov3"]
    tensors = fill(file.shapes(SIZE))
    theirs = timm.create_model(
        "vit_base_patch16_dinov3",
        pretrained=False,
        num_classes=0,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        **SMALL,
    ).eval()
    backbone = {n.removeprefix("backbone."): v for n, v in tensors.items() if "head" not in n}
    theirs.load_state_dict(checkpoint_filter_fn(backbone, theirs), strict=True)
    ours = converted("med_dinov3", file.wrap(tensors), tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs.forward_features(images))


def test_both_files_of_rad_dino_are_the_vit_of_timm(tmp_path):
    """Names of the DINOv2 repository and of `transformers`; patches of 7² in place of 14²."""
    size = dict(img_size=35, patch_size=7)
    s = Size(patch=7, image=35)
    tensors = fill(dinov2(s))
    theirs = timm.create_model(
        "vit_base_patch14_dinov2", pretrained=False, num_classes=0, **{**SMALL, **size}
    ).eval()
    missing = theirs.load_state_dict(tensors, strict=False)
    assert (missing.missing_keys, missing.unexpected_keys) == ([], ["mask_token"])

    tops = {
        "cls_token": "embeddings.cls_token",
        "mask_token": "embeddings.mask_token",
        "pos_embed": "embeddings.position_embeddings",
    }
    parts = {"attn.proj": "attention.output.dense"}
    page: Tensors = {}
    for name, value in tensors.items():
        stem, _, end = name.rpartition(".")
        if match := re.match(r"blocks\.(\d+)\.(.+)", name):
            layer = f"encoder.layer.{match[1]}."
            stem, _, end = match[2].rpartition(".")
            if stem == "attn.qkv":
                for part, piece in zip(("query", "key", "value"), value.chunk(3)):
                    page[f"{layer}attention.attention.{part}.{end}"] = piece
            elif stem in ("ls1", "ls2"):
                page[f"{layer}layer_scale{stem[2]}.lambda1"] = value
            else:
                page[f"{layer}{parts.get(stem, stem)}.{end}"] = value
        elif stem == "patch_embed.proj":
            page[f"embeddings.patch_embeddings.projection.{end}"] = value
        elif stem == "norm":
            page[f"layernorm.{end}"] = value
        else:
            page[tops[name]] = value

    images = torch.randn(2, 3, 35, 35, generator=torch.Generator().manual_seed(5))
    for number, content in enumerate((tensors, page)):
        ours = converted("rad_dino", content, tmp_path / str(number), **size)
        with torch.no_grad():
            torch.testing.assert_close(ours(images), theirs.forward_features(images))


@pytest.mark.parametrize(
    ("case", "ours", "source"),
    [
        ("chexworld_cxr500k", "blocks.1.mlp.fc1.weight", "target_encoder.blocks.1.mlp.fc1.weight"),
        ("moco_v3", "patch_embed.proj.weight", "module.base_encoder.patch_embed.proj.weight"),
        ("hpm_imagenet", "blocks.0.norm1.weight", "module.blocks.0.norm1.weight"),
        ("localmim_imagenet", "norm.weight", "norm.3.weight"),
        ("dino/full", "cls_token", "backbone.cls_token"),
        ("lvm_med", "blocks.1.mlp.fc2.bias", "blocks.1.mlp.lin2.bias"),
        ("med_dinov3", "reg_token", "backbone.storage_tokens"),
    ],
)
def test_the_right_one_of_several_networks_is_selected(case, ours, source, tmp_path):
    """Target, base encoder, student or teacher, and of four norms the last."""
    file = FILES[case]
    tensors = fill(file.shapes(file.small_size))
    name = case.partition("/")[0]
    encoder = converted(name, file.wrap(tensors), tmp_path, **file.small)
    assert torch.equal(encoder.state_dict()[ours], tensors[source])


def test_features_are_those_of_the_plain_network(images, tmp_path):
    """MAE's file against timm's ViT with the same weights."""
    file = FILES["mae_imagenet/decoder"]
    tensors = fill(file.shapes(SIZE))
    theirs = timm.create_model("vit_base_patch16_224", pretrained=False, num_classes=0, **SMALL)
    found = theirs.eval().load_state_dict(tensors, strict=False)
    assert not found.missing_keys
    assert all(re.match("mask_token|decoder_", name) for name in found.unexpected_keys)
    ours = converted("mae_imagenet", file.wrap(tensors), tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs.forward_features(images))


def test_rows_of_the_board_name_their_release():
    """Configs without a pre-training of their own take the folder the converter writes."""
    rows = {
        path.parent.name
        for path in CONFIGS.glob("*/encoder.py")
        if "{work}/released/" in path.read_text()
    }
    assert {"dinov3", "rad_dino", "lvm_med", "med_dinov3", "mae_imagenet"} < rows <= set(RELEASES)
    for name in rows:
        text = (CONFIGS / name / "encoder.py").read_text()
        assert f'folder="{{work}}/released/{name}"' in text
        assert f"tools/convert_checkpoint.py {name} FILE" in text
        card, release = read_method_card(name), RELEASES[name]
        assert (card.title, card.pretraining) == (release.title, release.pretraining)


def test_an_unknown_release_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="dinov4: no released encoder; known: dinov3, rad_dino"):
        find_release("dinov4")
