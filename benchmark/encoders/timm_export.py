"""Export of encoders in timm's layout: ``config.json`` and ``model.safetensors``.

The folder works as ``timm.create_model("local-dir:FOLDER", pretrained=True)``, and as
``"hf-hub:USER/NAME"`` once it is uploaded. The weights are those of the export, byte for byte, as
encoders use timm's names. Only networks that timm can build from a registered name and JSON-able
arguments can be written; each is loaded by timm and its features compared before it is kept. For
images of another size, timm resamples the positions of a ViT with antialiasing, which our
`VisionTransformer` does only with registers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from torch import Tensor

from benchmark.encoders.card import EncoderCard
from benchmark.encoders.encoder import load_encoder
from benchmark.errors import InputError
from benchmark.files import atomic_write, write_json
from benchmark.files.temporary import TEMPORARY
from benchmark.nn.backbones.base import Encoder

WEIGHTS, CONFIG, README = "model.safetensors", "config.json", "README.md"
WRITTEN = (WEIGHTS, CONFIG, README, TEMPORARY)
_TOLERANCE = 1e-5  # relative to the largest feature: the same arithmetic in another order

Arguments = dict[str, Any]


class TimmLayout(NamedTuple):
    """How timm names an architecture."""

    # Epsilon of the LayerNorms (None without any), which no argument sets → registered name.
    names: dict[float | None, str]
    arguments: Callable[[Arguments], Arguments]  # maps our arguments to those of timm's constructor
    # Names of these layers for timm's configuration.
    first_conv: str = "patch_embed.proj"
    classifier: str = "head"
    fixed_size: bool = False  # whether images of other sizes need ``img_size`` at construction


def _common(ours: Arguments) -> Arguments:
    names = ("img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio")
    return {**{name: ours[name] for name in names}, "in_chans": ours["in_channels"]}


def _vit(ours: Arguments) -> Arguments:
    same = ("class_token", "reg_tokens", "no_embed_class", "pre_norm", "final_norm")
    return {
        **_common(ours),
        **{name: ours[name] for name in same},
        "init_values": ours["layer_scale"],
        "qkv_bias": True,
        "act_layer": ours["activation"],
        # Otherwise the final norm would become that of the pooling.
        "fc_norm": False,
        "global_pool": "token" if ours["class_token"] else "avg",
        "dynamic_img_size": True,
    }


def _eva(ours: Arguments) -> Arguments:
    same = ("qkv_bias", "rope_temperature")
    return {
        **_common(ours),
        **{name: ours[name] for name in same},
        "init_values": ours["layer_scale"],
        "num_reg_tokens": ours["reg_tokens"],
        "use_abs_pos_emb": False,
        "use_rot_pos_emb": True,
        "rope_type": "dinov3",
        "rope_rotate_half": True,
        "use_fc_norm": False,
        "global_pool": "token",
        "dynamic_img_size": True,
    }


def _sam(ours: Arguments) -> Arguments:
    return {
        **_common(ours),
        "use_abs_pos": ours["abs_pos"],
        "use_rel_pos": ours["rel_pos"],
        "window_size": ours["window_size"],
        "global_attn_indexes": ours["global_blocks"],
        "neck_chans": ours["neck_channels"],
    }


def _beit(ours: Arguments) -> Arguments:
    return {
        **_common(ours),
        "use_abs_pos_emb": ours["abs_pos"],
        "use_rel_pos_bias": ours["rel_pos_bias"],
        "use_shared_rel_pos_bias": ours["shared_rel_pos_bias"],
        "init_values": ours["layer_scale"],
        "global_pool": "token",
    }


def _resnet(ours: Arguments) -> Arguments:
    same = ("layers", "channels")
    return {**{name: ours[name] for name in same}, "in_chans": ours["in_channels"]}


#: Registered names by architecture and epsilon; all sizes are given as arguments.
LAYOUTS: dict[str, TimmLayout] = {
    "vit": TimmLayout({1e-6: "vit_base_patch16_224", 1e-5: "vit_base_patch16_clip_224"}, _vit),
    "eva": TimmLayout({1e-5: "vit_base_patch16_dinov3", 1e-6: "eva_giant_patch14_224"}, _eva),
    "samvit": TimmLayout({1e-6: "samvit_base_patch16"}, _sam, "patch_embed.proj", "head.fc", True),
    "beit": TimmLayout(
        {1e-6: "beit_base_patch16_224"}, _beit, "patch_embed.proj", "head", fixed_size=True
    ),
    "resnet": TimmLayout({None: "resnet50"}, _resnet, "conv1", "fc"),
}
_SIZES = {192: "tiny", 384: "small", 768: "base", 1024: "large"}


def timm_name(card: EncoderCard, arguments: Arguments) -> str:
    """The registered name of the architecture; `arguments` are all of the encoder's.

    Raises:
        InputError: timm has no such network.
    """
    layout = LAYOUTS.get(card.architecture)
    if layout is None:
        known = ", ".join(LAYOUTS)
        raise InputError(
            f"architecture {card.architecture!r} is not one of timm's; architectures {known} "
            "can be exported"
        )
    epsilon = arguments.get("norm_eps")
    if epsilon not in layout.names:
        known = " or ".join(map(str, layout.names))
        raise InputError(
            f"norm_eps={epsilon}: timm has no name for a {card.architecture} with it, only for "
            f"{known}"
        )
    name = layout.names[epsilon]
    if card.architecture == "resnet":
        return name if arguments["block"] == "bottleneck" else "resnet18"
    if name == "vit_base_patch16_224":
        return name.replace("base", _SIZES.get(arguments["embed_dim"], "base"))
    return name


def timm_config(card: EncoderCard, encoder: Encoder) -> dict[str, Any]:
    """Content of ``config.json``.

    Raises:
        InputError: timm has no such network.
    """
    name = timm_name(card, encoder.arguments)
    layout = LAYOUTS[card.architecture]
    channels, side = encoder.arguments["in_channels"], encoder.img_size
    return {
        "architecture": name,
        "num_classes": 0,
        "num_features": card.widths[-1],
        "model_args": layout.arguments(encoder.arguments),
        "pretrained_cfg": {
            "tag": "angiography",
            "custom_load": False,
            "input_size": [channels, side, side],
            "fixed_input_size": layout.fixed_size,
            "interpolation": "bicubic",
            "crop_pct": 1.0,
            "crop_mode": "squash",
            "mean": card.mean,
            "std": card.std,
            "num_classes": 0,
            "pool_size": None,
            "first_conv": layout.first_conv,
            "classifier": layout.classifier,
        },
    }


@torch.no_grad()
def compare(folder: Path, encoder: Encoder) -> None:
    """Load a folder with timm and compare its features of an image with those of the encoder.

    Raises:
        InputError: timm cannot load it, or computes other features.
    """
    try:
        model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"timm {timm.__version__} cannot load this encoder ({reason})") from None
    generator = torch.Generator().manual_seed(0)
    channels = encoder.arguments["in_channels"]
    image = torch.randn(1, channels, encoder.img_size, encoder.img_size, generator=generator)
    wanted, found = encoder.eval()(image), model.forward_features(image)
    wanted = wanted if isinstance(wanted, Tensor) else wanted[-1]
    gap = float("inf")
    if wanted.shape == found.shape:
        gap = ((wanted - found).abs().max() / wanted.abs().max()).item()
    if not gap <= _TOLERANCE:
        raise InputError(
            f"timm {timm.__version__} computes other features (by {gap:.1e} of the "
            "largest); install the version in requirements.txt"
        )


def open_export(folder: Path) -> tuple[Encoder, EncoderCard]:
    """Load an exported encoder that timm can build.

    Raises:
        InputError: as `load_encoder`; or timm has no such network.
    """
    encoder, card = load_encoder(folder)
    try:
        timm_name(card, encoder.arguments)
    except InputError as error:
        raise InputError(f"{folder}: {error}") from None
    return encoder, card


def write_timm(folder: Path, source: Path, encoder: Encoder, card: EncoderCard) -> None:
    """Write weights and ``config.json`` into a folder, and check that timm computes equal features.

    Takes what `open_export` gave for `source`.

    Raises:
        InputError: timm cannot load them, or computes other features.
    """
    with atomic_write(folder / WEIGHTS) as copy:
        copy.write((source / "encoder.safetensors").read_bytes())
    write_json(folder / CONFIG, timm_config(card, encoder))
    try:
        compare(folder, encoder)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
