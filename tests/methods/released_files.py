"""What the files of released encoders hold: names and shapes, at any size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from official_shapes import Shapes, block, encoder, linear, mae_decoder, norm
from torch import Tensor


@dataclass(frozen=True)
class Size:
    """Sizes of a ViT; the defaults are small."""

    width: int = 32
    depth: int = 2
    heads: int = 2
    patch: int = 8
    image: int = 32
    neck: int = 16
    window: int = 3
    globals: tuple[int, ...] = (1,)

    @property
    def patches(self) -> int:
        return (self.image // self.patch) ** 2


FULL = Size(768, 12, 12, 16, 224, 256, 14, (2, 5, 8, 11))


def prefixed(prefix: str, shapes: Shapes) -> Shapes:
    return {prefix + name: shape for name, shape in shapes.items()}


def patches(name: str, s: Size) -> Shapes:
    return {f"{name}.weight": (s.width, 3, s.patch, s.patch), f"{name}.bias": (s.width,)}


def vit(s: Size, cls: bool = True, final_norm: bool = True) -> Shapes:
    """timm's names."""
    shapes = encoder(s.width, s.depth, s.patches, s.patch, final_norm)
    if not cls:
        del shapes["cls_token"]
        shapes["pos_embed"] = (1, s.patches, s.width)
    return shapes


def decoder(s: Size) -> Shapes:
    return mae_decoder(s.width, 16, 1, s.patches, s.patch)


def hpm(s: Size) -> Shapes:
    predictor = block("decoder_blocks_losspred.0", 16) | norm("decoder_norm_losspred", 16)
    predictor |= linear("decoder_pred_losspred", 16, 3 * s.patch**2)
    return prefixed("module.", vit(s) | decoder(s) | predictor)


def dinov3(s: Size, bias: bool = True) -> Shapes:
    """The names of the DINOv3 repository."""
    shapes: Shapes = {
        "cls_token": (1, 1, s.width),
        "storage_tokens": (1, 4, s.width),
        "mask_token": (1, s.width),
        "rope_embed.periods": (s.width // s.heads // 4,),
        **patches("patch_embed.proj", s),
        **norm("norm", s.width),
    }
    for number in range(s.depth):
        name = f"blocks.{number}"
        shapes |= block(name, s.width) | {f"{name}.attn.qkv.bias_mask": (3 * s.width,)}
        shapes |= {f"{name}.ls1.gamma": (s.width,), f"{name}.ls2.gamma": (s.width,)}
    return {name: shape for name, shape in shapes.items() if bias or "attn.qkv.bias" not in name}


def dinov2(s: Size) -> Shapes:
    shapes = vit(s) | {"mask_token": (1, s.width)}
    for number in range(s.depth):
        shapes |= {f"blocks.{number}.ls{k}.gamma": (s.width,) for k in (1, 2)}
    return shapes


def sam(s: Size) -> Shapes:
    shapes = patches("patch_embed.proj", s)
    for number in range(s.depth):
        layers = block(f"blocks.{number}", s.width)
        shapes |= {name.replace("mlp.fc", "mlp.lin"): shape for name, shape in layers.items()}
        side = s.image // s.patch if number in s.globals else s.window
        for axis in "hw":
            table = f"blocks.{number}.attn.rel_pos_{axis}"
            shapes[table] = (2 * side - 1, s.width // s.heads)
    return shapes | {
        "neck.0.weight": (s.neck, s.width, 1, 1),
        **norm("neck.1", s.neck),
        "neck.2.weight": (s.neck, s.neck, 3, 3),
        **norm("neck.3", s.neck),
    }


def localmim(s: Size) -> Shapes:
    shapes = vit(s, final_norm=False)
    for number in range(4):
        shapes |= norm(f"norm.{number}", s.width) | linear(f"decoder.{number}.embed", s.width, 8)
        shapes |= {f"hog_enc.{number}.conv.weight": (6, 1, 3, 3)}
    return shapes


def clip(s: Size) -> Shapes:
    """The names of CLIP's repository, with some of the text encoder."""
    image: Shapes = {
        "class_embedding": (s.width,),
        "positional_embedding": (1 + s.patches, s.width),
        "proj": (s.width, 16),
        "conv1.weight": (s.width, 3, s.patch, s.patch),
        **norm("ln_pre", s.width),
        **norm("ln_post", s.width),
    }
    names = {"norm": "ln_", "attn.qkv.": "attn.in_proj_", "attn.proj": "attn.out_proj"}
    names |= {"mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    for number in range(s.depth):
        for name, shape in block("", s.width).items():
            name = name.removeprefix(".")
            old = next(old for old in names if name.startswith(old))
            place = f"transformer.resblocks.{number}"
            image[f"{place}.{name.replace(old, names[old])}"] = shape
    text = {"positional_embedding": (7, 16), "logit_scale": (), "text_projection": (16, 16)}
    text |= {"transformer.resblocks.0.ln_1.weight": (16,), "token_embedding.weight": (9, 16)}
    return prefixed("visual.", image) | text


def clip_of_timm(s: Size) -> Shapes:
    shapes = vit(s) | norm("norm_pre", s.width) | linear("head", s.width, 16)
    del shapes["patch_embed.proj.bias"]
    return shapes


def clip_of_the_model_page(s: Size) -> Shapes:
    """The names of the `transformers` library."""
    image: Shapes = {
        "embeddings.class_embedding": (s.width,),
        "embeddings.position_embedding.weight": (1 + s.patches, s.width),
        "embeddings.patch_embedding.weight": (s.width, 3, s.patch, s.patch),
        "embeddings.position_ids": (1, 1 + s.patches),
        **norm("pre_layrnorm", s.width),
        **norm("post_layernorm", s.width),
    }
    for number in range(s.depth):
        layer = f"encoder.layers.{number}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            image |= linear(f"{layer}.self_attn.{part}", s.width, s.width)
        image |= norm(f"{layer}.layer_norm1", s.width) | norm(f"{layer}.layer_norm2", s.width)
        image |= linear(f"{layer}.mlp.fc1", s.width, 4 * s.width)
        image |= linear(f"{layer}.mlp.fc2", 4 * s.width, s.width)
    text = {"logit_scale": (), "text_model.embeddings.token_embedding.weight": (9, 16)}
    return prefixed("vision_model.", image) | text | {"visual_projection.weight": (16, s.width)}


def fill(shapes: Shapes, seed: int = 0, device: str = "cpu") -> dict[str, Tensor]:
    """Tensors of these shapes: random but for the constants, which are what they have to be."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes.items():
        if name.endswith("rope_embed.periods"):
            tensors[name] = 100 ** (torch.arange(shape[0]) / shape[0])
        elif name.endswith("bias_mask"):
            third = torch.ones(shape[0] // 3)
            tensors[name] = torch.cat([third, 0 * third, third])
        elif device == "meta":
            tensors[name] = torch.empty(shape, device=device)
        else:
            tensors[name] = 0.3 * torch.randn(shape, generator=generator)
    return tensors


@dataclass(frozen=True)
class File:
    """How a release is saved.

    Attributes:
        shapes: of the tensors, at a size.
        wrap: from tensors to the content of the file.
        full: size of the released network.
        small: arguments of the network at `small_size`.
        prefix: behind which the network lies.
    """

    shapes: Callable[[Size], Shapes]
    wrap: Callable[[dict[str, Tensor]], Any]
    full: Size = FULL
    small_size: Size = Size()
    extra: dict[str, Any] | None = None
    prefix: str = ""

    @property
    def small(self) -> dict[str, Any]:
        s = self.small_size
        sizes = dict(img_size=s.image, patch_size=s.patch, embed_dim=s.width, depth=s.depth)
        return {**sizes, "num_heads": s.heads, **(self.extra or {})}


def _beside(key: str, **others: Any) -> Callable[[dict[str, Tensor]], Any]:
    return lambda tensors: {key: tensors, **others}


def _joint(s: Size) -> Shapes:
    shapes = vit(s, cls=False)
    predictor = linear("predictor.embed", s.width, 16)
    return prefixed("target_encoder.", shapes) | prefixed("encoder.", shapes) | predictor


def _moco(s: Size) -> Shapes:
    shapes = vit(s) | {"head.0.weight": (16, s.width)}
    shapes = prefixed("base_encoder.", shapes) | prefixed("momentum_encoder.", shapes)
    return prefixed("module.", shapes | {"predictor.0.weight": (16, 16)})


def _teacher(s: Size) -> Shapes:
    return prefixed("backbone.", vit(s)) | linear("head.mlp.0", s.width, 16)


def _med_dinov3(s: Size) -> Shapes:
    heads = linear("dino_head.mlp.0", s.width, 16) | linear("ibot_head.mlp.0", s.width, 16)
    return prefixed("backbone.", dinov3(s, bias=False)) | heads


def _patch14(image: int) -> Size:
    return Size(768, 12, 12, 14, image)


# By release and, after a stroke, the variant of its file.
FILES: dict[str, File] = {
    "dinov3": File(dinov3, dict, extra=dict(layer_scale=1.0)),
    "rad_dino": File(dinov2, dict, _patch14(518), Size(patch=7, image=35)),
    "lvm_med": File(
        sam,
        dict,
        Size(768, 12, 12, 16, 1024, 256, 14, (2, 5, 8, 11)),
        extra=dict(neck_channels=16, window_size=3, global_blocks=(1,)),
    ),
    "med_dinov3": File(_med_dinov3, _beside("teacher", iteration=3), prefix="teacher.backbone."),
    "mae_imagenet": File(vit, _beside("model"), prefix="model."),
    "mae_imagenet/decoder": File(
        lambda s: vit(s) | decoder(s), _beside("model", epoch=3), prefix="model."
    ),
    "mae_imagenet/plain": File(vit, dict),
    "localmim_imagenet": File(localmim, _beside("model"), prefix="model."),
    "hpm_imagenet": File(
        hpm,
        # The arch is a name; the average of the weights has its own place.
        lambda tensors: {
            "model": "mae_vit_base_patch16",
            "state_dict": tensors,
            "ema_state_dict": {name[7:]: 2 * value for name, value in tensors.items()},
        },
        prefix="state_dict.module.",
    ),
    "deblurring_us280k": File(
        lambda s: vit(s) | decoder(s), _beside("model", epoch=799), prefix="model."
    ),
    "chexworld_cxr500k": File(_joint, _beside("model"), prefix="model.target_encoder."),
    "moco_v3": File(
        _moco,
        _beside("state_dict", epoch=300, arch="vit_base"),
        prefix="state_dict.module.base_encoder.",
    ),
    "dino": File(vit, dict),
    "dino/full": File(
        _teacher,
        lambda tensors: {
            "teacher": tensors,
            "student": {f"module.{name}": 2 * value for name, value in tensors.items()},
            "epoch": 400,
        },
        prefix="teacher.backbone.",
    ),
    "ibot": File(vit, _beside("state_dict"), prefix="state_dict."),
    "ibot/full": File(_teacher, _beside("teacher", epoch=400), prefix="teacher.backbone."),
    "clip": File(clip, dict, prefix="visual."),
    "clip/model page": File(clip_of_the_model_page, dict, prefix="vision_model."),
    "clip/timm": File(clip_of_timm, dict),
}
