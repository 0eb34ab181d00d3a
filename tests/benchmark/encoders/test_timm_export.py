"""Exports for timm load strictly in timm alone and compute the same features."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import timm
import torch
from safetensors.torch import load_file
from timm.layers import resample_abs_pos_embed

from benchmark.encoders.encoder import export_encoder, load_encoder
from benchmark.encoders.timm_export import compare, open_export, timm_name, write_timm
from benchmark.errors import InputError
from benchmark.nn.backbones.sam import SAMEncoder
from benchmark.nn.vit import VisionTransformer

SIDE = 64
KINDS = (
    *("vit", "vit+registers", "vit+clip", "vit+without norm", "eva", "eva+biases"),
    *("samvit", "samvit+norm", "beit", "beit+tables", "resnet", "resnet+basic"),
)


def image(size: int = SIDE) -> torch.Tensor:
    """A fixed image, not that of the export's own comparison."""
    ramp = torch.linspace(-2, 2, size)
    return torch.sin(3 * ramp[:, None] + ramp[None] ** 2).expand(2, 3, -1, -1)


def last(output: torch.Tensor | list[torch.Tensor]) -> torch.Tensor:
    return output if isinstance(output, torch.Tensor) else output[-1]


def written(tmp_path: Path, encoder: torch.nn.Module) -> Path:
    export_encoder(tmp_path / "run", encoder, {"run": "r"}, mean=[0.5] * 3, std=[0.25] * 3)
    found, card = open_export(tmp_path / "run")
    out = tmp_path / "out"
    out.mkdir()
    write_timm(out, tmp_path / "run", found, card)
    return out


def assert_equal(found: torch.Tensor, wanted: torch.Tensor) -> None:
    """Equal but for the order of the arithmetic, relative to the largest feature."""
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * wanted.abs().max().item())


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_timm_computes_the_features_of_the_encoder(make_encoder, tmp_path, kind):
    """From the folder by `local-dir`, and by hand: registered name, arguments, strict load."""
    encoder = make_encoder(kind).eval()
    out = written(tmp_path, encoder)
    wanted = last(encoder(image()))
    model = timm.create_model(f"local-dir:{out}", pretrained=True).eval()
    assert_equal(model.forward_features(image()), wanted)

    config = json.loads((out / "config.json").read_text())
    # Not by `create_model`, which takes an argument of None for one that was not given.
    make = timm.models.model_entrypoint(config["architecture"])
    other = make(num_classes=0, **config["model_args"]).eval()
    assert not torch.allclose(other.forward_features(image()), wanted, atol=1e-2)
    other.load_state_dict(load_file(out / "model.safetensors"), strict=True)
    assert_equal(other.forward_features(image()), wanted)


@pytest.mark.parametrize("class_token", [True, False])
@pytest.mark.parametrize("final_norm", [True, False])
@pytest.mark.parametrize("norm_eps", [1e-6, 1e-5])
@torch.no_grad()
def test_pooled_features_are_cls_or_the_mean_of_the_patches(
    randomise, tmp_path, class_token, final_norm, norm_eps
):
    """What ``model(images)`` gives is pooled after the final norm, where there is one."""
    encoder = VisionTransformer(
        *(SIDE, 8, 32, 2, 4), class_token=class_token, final_norm=final_norm, norm_eps=norm_eps
    )
    encoder = randomise(encoder, 3).eval()
    # Activations of the size of epsilon, so that the wrong one shows.
    encoder.patch_embed.proj.weight.mul_(1e-3)
    encoder.pos_embed.mul_(1e-3)
    model = timm.create_model(f"local-dir:{written(tmp_path, encoder)}", pretrained=True).eval()
    tokens = encoder(image())
    pooled = tokens[:, 0] if class_token else tokens.mean(dim=1)
    torch.testing.assert_close(model(image()), pooled, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_images_of_other_sizes_resample_positions_alike(make_encoder, tmp_path):
    """Except for a ViT without registers, whose positions only timm resamples with antialiasing."""
    for kind in ("vit", "vit+registers", "eva"):
        encoder = make_encoder(kind).eval()
        (tmp_path / kind).mkdir()
        out = written(tmp_path / kind, encoder)
        model = timm.create_model(f"local-dir:{out}", pretrained=True).eval()
        found = model.forward_features(image(96))
        if kind == "vit":
            table = resample_abs_pos_embed(encoder.pos_embed, (12, 12), antialias=False)
            model.pos_embed.data, model.patch_embed.grid_size = table, (12, 12)
            found = model.forward_features(image(96))
        assert_equal(found, encoder(image(96)))


def test_new_head_and_transform_come_from_the_folder(make_encoder, tmp_path):
    """A head can be added, and timm's transform normalises as the encoder was trained."""
    out = written(tmp_path, make_encoder("vit"))
    model = timm.create_model(f"local-dir:{out}", pretrained=True, num_classes=3).eval()
    assert model(image()).shape == (2, 3)
    data = timm.data.resolve_model_data_config(model)
    assert data["input_size"] == (3, SIDE, SIDE)
    assert (list(data["mean"]), list(data["std"])) == ([0.5] * 3, [0.25] * 3)


def test_weights_are_the_exported_file(make_encoder, tmp_path):
    """Byte for byte, so that the hash in its provenance stays true."""
    out = written(tmp_path, make_encoder("vit"))
    exported = tmp_path / "run" / "encoder.safetensors"
    assert (out / "model.safetensors").read_bytes() == exported.read_bytes()


@pytest.mark.parametrize(
    ("dim", "name"),
    [
        (192, "vit_tiny_patch16_224"),
        (384, "vit_small_patch16_224"),
        (768, "vit_base_patch16_224"),
        (1024, "vit_large_patch16_224"),
        (96, "vit_base_patch16_224"),
    ],
)
def test_names_of_standard_sizes(dim, name):
    card = SimpleNamespace(architecture="vit")
    assert timm_name(card, {"embed_dim": dim, "norm_eps": 1e-6}) == name
    assert timm.is_model(name)


def test_architectures_timm_lacks_are_refused_in_one_line(make_encoder, tmp_path):
    export_encoder(tmp_path / "unet", make_encoder("unet"), {})
    words = "unet: architecture 'unet' is not one of timm's; architectures vit, eva"
    with pytest.raises(InputError, match=words):
        open_export(tmp_path / "unet")
    sam = SAMEncoder(SIDE, 8, 32, 2, 4, global_blocks=(1,), norm_eps=1e-5)
    export_encoder(tmp_path / "sam", sam, {})
    with pytest.raises(InputError, match="norm_eps=1e-05: timm has no name for a samvit"):
        open_export(tmp_path / "sam")


def test_differing_features_are_detected(make_encoder, tmp_path):
    """A folder whose arguments are not those of the weights loads, and is refused."""
    encoder = make_encoder("vit")
    out = written(tmp_path, encoder)
    compare(out, encoder)
    config = json.loads((out / "config.json").read_text())
    config["model_args"]["num_heads"] = 2
    (out / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="computes other features"):
        compare(out, encoder)
    config["model_args"]["depth"] = 3
    (out / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="cannot load this encoder"):
        compare(out, encoder)


def test_arguments_a_card_omits_have_their_defaults(make_encoder, tmp_path):
    export_encoder(tmp_path / "run", make_encoder("vit"), {})
    path = tmp_path / "run" / "encoder.json"
    content = json.loads(path.read_text())
    for name in ("layer_scale", "final_norm", "reg_tokens", "no_embed_class", "norm_eps"):
        del content["arguments"][name]
    path.write_text(json.dumps(content))
    encoder, card = open_export(tmp_path / "run")
    (tmp_path / "out").mkdir()
    write_timm(tmp_path / "out", tmp_path / "run", encoder, card)
    assert load_encoder(tmp_path / "run")[1] == card
