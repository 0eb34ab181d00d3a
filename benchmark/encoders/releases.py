"""The supported released encoders and the tensor names of their files.

Listing them must not import torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmark.data.views.imagenet import IMAGENET_MEAN, IMAGENET_STD
from benchmark.encoders.weight_layouts import Tensors, WeightLayout
from benchmark.errors import InputError
from benchmark.nn.state_dict_names import Rules

# ViT-B/16. Every release states what tensors do not show: number of heads, epsilon of the norms.
VIT_B: dict[str, Any] = dict(
    img_size=224, patch_size=16, embed_dim=768, depth=12, num_heads=12, norm_eps=1e-6
)
PLAIN_VIT_B: dict[str, Any] = {**VIT_B, "activation": "gelu"}  # of the architecture `vit`


@dataclass(frozen=True, kw_only=True)
class Release:
    """A released encoder, a ViT-B/16 unless it says otherwise."""

    name: str  # id; the name of its folder in `configs/` if it has one
    title: str
    pretraining: str
    source: str  # repository or model page, and file
    layouts: tuple[WeightLayout, ...]  # of its files, tried in this order
    architecture: str = "vit"  # key of `benchmark.encoders.encoder.ARCHITECTURES`
    # Constructor arguments, including all that cannot be inferred from tensors (`unproven`).
    arguments: dict[str, Any] = field(default_factory=lambda: PLAIN_VIT_B)
    # Normalisation of intensities in [0, 1] it was trained with, per channel.
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    notes: str = ""  # for users


# RoPE of DINOv3; bf16 keeps three digits of the periods.
_ROPE_BASE, _ROPE_TOLERANCE = 100.0, 0.01


def join_qkv(tensors: Tensors) -> dict[str, Any]:
    """Join ``….attn.query``, ``key`` and ``value`` into ``….attn.qkv``, in place.

    Incomplete triples are kept and reported later as not fitting.
    """
    import torch

    for name in [name for name in tensors if ".attn.query." in name]:
        parts = [name.replace(".query.", f".{part}.") for part in ("query", "key", "value")]
        if all(part in tensors for part in parts):
            joined = torch.cat([tensors.pop(part) for part in parts])
            tensors[name.replace(".query.", ".qkv.")] = joined
    return {}


def finish_dinov3(tensors: Tensors) -> dict[str, Any]:
    """Convert the tensors of DINOv3 that timm's `Eva` does not have, in place.

    The joint bias is split into query, key and value; that of the keys is masked to zero. RoPE
    periods are not weights: they are compared with those of the network.

    Returns:
        ``qkv_bias``: whether the file has such biases; ``num_heads``, from the number of periods.

    Raises:
        InputError: other periods, or a mask that does not cover exactly the keys.
    """
    import torch

    join_qkv(tensors)
    found: dict[str, Any] = {}
    periods = tensors.pop("rope_embed.periods", None)
    if periods is not None:
        count = len(periods)
        if "cls_token" in tensors:
            found["num_heads"] = tensors["cls_token"].shape[-1] // (4 * count)
        expected = _ROPE_BASE ** (torch.arange(count) / count)
        if not torch.allclose(periods.float(), expected, rtol=_ROPE_TOLERANCE, atol=0):
            raise InputError(
                f"rope_embed.periods: not those of base {_ROPE_BASE:g} (from {periods[0]:g} to "
                f"{periods[-1]:g}); this is another network"
            )
    for name in [name for name in tensors if name.endswith(".attn.qkv.bias")]:
        block = name.removesuffix("qkv.bias")
        query, _, value = tensors.pop(name).chunk(3)
        mask = tensors.pop(f"{block}qkv.bias_mask", None)
        if mask is not None:
            part = torch.ones(len(query))
            if not torch.equal(mask.float(), torch.cat([part, 0 * part, part])):
                raise InputError(f"{name}_mask: does not hide the keys alone")
        tensors[f"{block}q_bias"], tensors[f"{block}v_bias"] = query, value
    return {**found, "qkv_bias": any(name.endswith(".attn.q_bias") for name in tensors)}


def finish_clip(tensors: Tensors) -> dict[str, Any]:
    """Give CLIP's CLS token and positions timm's shapes, 1×tokens×D, in place; all in float32.

    The official file is in half precision except for the norms and embeddings.
    """
    join_qkv(tensors)
    for name, value in tensors.items():
        value = value.float()
        flat = name in ("cls_token", "pos_embed") and value.ndim < 3
        tensors[name] = value.reshape(1, -1, value.shape[-1]) if flat else value
    return {"pre_norm": "norm_pre.weight" in tensors}


def finish_sam(tensors: Tensors) -> dict[str, Any]:
    """``num_heads``, from the width of a relative position table."""
    table, kernel = tensors.get("blocks.0.attn.rel_pos_h"), tensors.get("patch_embed.proj.weight")
    return {} if table is None or kernel is None else {"num_heads": len(kernel) // table.shape[1]}


def _dropped(*patterns: str) -> Rules:
    return tuple((pattern, None) for pattern in patterns)


# A ViT with timm's names, as saved by most repositories.
_VIT: Rules = ((r"(cls_token|pos_embed|patch_embed\.|blocks\.|norm\.)", r"\1"),)
_MAE: Rules = (*_dropped("mask_token", "decoder_"), *_VIT)
_FLAT = r"patch_embed\.proj\.weight$"

_DINOV2_NAMES: Rules = (*_dropped("mask_token"), *_VIT)
_DINOV2_HF_NAMES: Rules = (
    *_dropped(r"embeddings\.mask_token"),
    (r"embeddings\.cls_token", "cls_token"),
    (r"embeddings\.position_embeddings", "pos_embed"),
    (r"embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"encoder\.layer\.(\d+)\.norm(\d)\.", r"blocks.\1.norm\2."),
    (r"encoder\.layer\.(\d+)\.attention\.attention\.(query|key|value)\.", r"blocks.\1.attn.\2."),
    (r"encoder\.layer\.(\d+)\.attention\.output\.dense\.", r"blocks.\1.attn.proj."),
    (r"encoder\.layer\.(\d+)\.layer_scale(\d)\.lambda1", r"blocks.\1.ls\2.gamma"),
    (r"encoder\.layer\.(\d+)\.mlp\.", r"blocks.\1.mlp."),
    (r"layernorm\.", "norm."),
)

_DINOV3_NAMES: Rules = (
    *_dropped("mask_token"),
    ("storage_tokens", "reg_token"),
    (r"blocks\.(\d+)\.ls(\d)\.gamma", r"blocks.\1.gamma_\2"),
    (r"(cls_token|patch_embed\.|rope_embed\.periods|blocks\.|norm\.)", r"\1"),
)
_EVA_NAMES: Rules = ((r"(cls_token|reg_token|patch_embed\.|blocks\.|norm\.)", r"\1"),)
_DINOV3_HF_NAMES: Rules = (
    *_dropped(r"embeddings\.mask_token"),
    (r"embeddings\.cls_token", "cls_token"),
    (r"embeddings\.register_tokens", "reg_token"),
    (r"embeddings\.patch_embeddings\.", "patch_embed.proj."),
    (r"(?:model\.)?layer\.(\d+)\.norm(\d)\.", r"blocks.\1.norm\2."),
    (r"(?:model\.)?layer\.(\d+)\.attention\.q_proj\.bias", r"blocks.\1.attn.q_bias"),
    (r"(?:model\.)?layer\.(\d+)\.attention\.v_proj\.bias", r"blocks.\1.attn.v_bias"),
    (r"(?:model\.)?layer\.(\d+)\.attention\.q_proj\.", r"blocks.\1.attn.query."),
    (r"(?:model\.)?layer\.(\d+)\.attention\.k_proj\.", r"blocks.\1.attn.key."),
    (r"(?:model\.)?layer\.(\d+)\.attention\.v_proj\.", r"blocks.\1.attn.value."),
    (r"(?:model\.)?layer\.(\d+)\.attention\.o_proj\.", r"blocks.\1.attn.proj."),
    (r"(?:model\.)?layer\.(\d+)\.layer_scale(\d)\.lambda1", r"blocks.\1.gamma_\2"),
    (r"(?:model\.)?layer\.(\d+)\.mlp\.up_proj\.", r"blocks.\1.mlp.fc1."),
    (r"(?:model\.)?layer\.(\d+)\.mlp\.down_proj\.", r"blocks.\1.mlp.fc2."),
    (r"norm\.", "norm."),
)

_CLIP_NAMES: Rules = (
    ("class_embedding", "cls_token"),
    ("positional_embedding", "pos_embed"),
    (r"conv1\.", "patch_embed.proj."),
    (r"ln_pre\.", "norm_pre."),
    (r"transformer\.resblocks\.(\d+)\.ln_(\d)\.", r"blocks.\1.norm\2."),
    (r"transformer\.resblocks\.(\d+)\.attn\.in_proj_", r"blocks.\1.attn.qkv."),
    (r"transformer\.resblocks\.(\d+)\.attn\.out_proj\.", r"blocks.\1.attn.proj."),
    (r"transformer\.resblocks\.(\d+)\.mlp\.c_fc\.", r"blocks.\1.mlp.fc1."),
    (r"transformer\.resblocks\.(\d+)\.mlp\.c_proj\.", r"blocks.\1.mlp.fc2."),
    (r"ln_post\.", "norm."),
    *_dropped("proj"),
)
_CLIP_HF_NAMES: Rules = (
    *_dropped(r"embeddings\.position_ids"),
    (r"embeddings\.class_embedding", "cls_token"),
    (r"embeddings\.position_embedding\.weight", "pos_embed"),
    (r"embeddings\.patch_embedding\.", "patch_embed.proj."),
    (r"pre_layrnorm\.", "norm_pre."),
    (r"encoder\.layers\.(\d+)\.layer_norm(\d)\.", r"blocks.\1.norm\2."),
    (r"encoder\.layers\.(\d+)\.self_attn\.q_proj\.", r"blocks.\1.attn.query."),
    (r"encoder\.layers\.(\d+)\.self_attn\.k_proj\.", r"blocks.\1.attn.key."),
    (r"encoder\.layers\.(\d+)\.self_attn\.v_proj\.", r"blocks.\1.attn.value."),
    (r"encoder\.layers\.(\d+)\.self_attn\.out_proj\.", r"blocks.\1.attn.proj."),
    (r"encoder\.layers\.(\d+)\.mlp\.", r"blocks.\1.mlp."),
    (r"post_layernorm\.", "norm."),
)
_CLIP_TIMM_NAMES: Rules = (*_dropped(r"head\."), (r"norm_pre\.", "norm_pre."), *_VIT)

_MAE_FILE = WeightLayout(_FLAT, _MAE)
_TEACHER_FILES = (WeightLayout(_FLAT, _VIT), WeightLayout(_FLAT, _VIT, "teacher.backbone."))

_RELEASES = (
    Release(
        name="dinov3",
        title="DINOv3",
        pretraining="LVD-1689M",
        source="facebookresearch/dinov3 @ 6876159, dinov3_vitb16_pretrain_lvd1689m-73cec8be.pth",
        architecture="eva",
        arguments={**VIT_B, "norm_eps": 1e-5, "qkv_bias": True, "rope_temperature": _ROPE_BASE},
        layouts=(
            WeightLayout("storage_tokens$", _DINOV3_NAMES, finish=finish_dinov3),
            WeightLayout(r"embeddings\.register_tokens$", _DINOV3_HF_NAMES, finish=finish_dinov3),
            WeightLayout("reg_token$", _EVA_NAMES, finish=finish_dinov3),
        ),
        notes="gated, DINOv3 licence; the file of the repository, of its model page or of timm",
    ),
    Release(
        name="rad_dino",
        title="RAD-DINO",
        pretraining="chest X-rays",
        source="microsoft/rad-dino, model.safetensors or backbone_compatible.safetensors",
        arguments={**PLAIN_VIT_B, "img_size": 518, "patch_size": 14, "layer_scale": 1.0},
        layouts=(
            WeightLayout(r"embeddings\.cls_token$", _DINOV2_HF_NAMES, finish=join_qkv),
            WeightLayout(_FLAT, _DINOV2_NAMES),
        ),
        mean=(0.5307,) * 3,
        std=(0.2583,) * 3,
        notes="patches of 14²: image sizes are multiples of 14; intensity statistics of MIMIC-CXR",
    ),
    Release(
        name="lvm_med",
        title="LVM-Med",
        pretraining="1.3 M medical images",
        source="duyhominhnguyen/LVM-Med @ ad6f68b, lvmmed_vit.pth",
        architecture="samvit",
        arguments={
            **VIT_B,
            "img_size": 1024,
            "abs_pos": False,
            "window_size": 14,
            "global_blocks": (2, 5, 8, 11),
        },
        layouts=(
            WeightLayout(
                _FLAT,
                (
                    (r"(blocks\.\d+\.mlp)\.lin", r"\1.fc"),
                    (r"(patch_embed\.|blocks\.|neck\.)", r"\1"),
                ),
                finish=finish_sam,
            ),
        ),
        notes="SAM's encoder without absolute positions; the map is that of the neck",
    ),
    Release(
        name="med_dinov3",
        title="MedDINOv3",
        pretraining="CT-3M",
        source="ricklisz/MedDINOv3 @ a2460c2, model.pth",
        architecture="eva",
        arguments={**VIT_B, "qkv_bias": False, "rope_temperature": _ROPE_BASE},
        layouts=(
            WeightLayout("storage_tokens$", _DINOV3_NAMES, "teacher.backbone.", finish_dinov3),
        ),
        notes="trained on CT in Hounsfield units; frames are normalised with ImageNet's statistics",
    ),
    Release(
        name="mae_imagenet",
        title="MAE, ImageNet",
        pretraining="ImageNet-1K",
        source="facebookresearch/mae @ efb2a80, mae_pretrain_vit_base.pth",
        layouts=(_MAE_FILE,),
        notes="with or without its decoder",
    ),
    Release(
        name="localmim_imagenet",
        title="LocalMIM, ImageNet",
        pretraining="ImageNet-1K",
        source="Haoqing-Wang/LocalMIM @ 314a6e5, ViT-B",
        layouts=(
            WeightLayout(
                _FLAT,
                (
                    # Four norms of four layers; the last one is the final norm.
                    (r"norm\.3\.", "norm."),
                    *_dropped(r"norm\.\d+\.", r"decoder\.", r"hog_enc\."),
                    *_VIT,
                ),
            ),
        ),
        notes="the last of its four norms becomes the final norm",
    ),
    Release(
        name="hpm_imagenet",
        title="HPM, ImageNet",
        pretraining="ImageNet-1K",
        source="Haochen-Wang409/HPM @ c15ae90, ViT-B",
        layouts=(_MAE_FILE,),
        notes="the student",
    ),
    Release(
        name="deblurring_us280k",
        title="DeblurringMIM, US-Esaote-280K",
        pretraining="US-Esaote-280K",
        source="openmedlab/DeblurringMIM @ 658b59d, ViT-B",
        layouts=(_MAE_FILE,),
        notes="its authors blur the images of downstream tasks as well",
    ),
    Release(
        name="chexworld_cxr500k",
        title="CheXWorld, X-rays-500K",
        pretraining="X-rays-500K",
        source="LeapLabTHU/CheXWorld @ 0901027, ViT-B",
        arguments={**PLAIN_VIT_B, "class_token": False},
        layouts=(WeightLayout(_FLAT, _VIT, "target_encoder."),),
        notes="the target encoder",
    ),
    Release(
        name="moco_v3",
        title="MoCo v3, ImageNet",
        pretraining="ImageNet-1K",
        source="facebookresearch/moco-v3 @ c349e6e, vit-b-300ep.pth.tar",
        layouts=(WeightLayout(_FLAT, (*_dropped(r"head\."), *_VIT), "base_encoder."),),
    ),
    Release(
        name="dino",
        title="DINO, ImageNet",
        pretraining="ImageNet-1K",
        source="facebookresearch/dino @ 7c446df, dino_vitbase16_pretrain.pth or a full checkpoint",
        layouts=_TEACHER_FILES,
        notes="the teacher",
    ),
    Release(
        name="ibot",
        title="iBOT, ImageNet",
        pretraining="ImageNet-1K",
        source="bytedance/ibot @ da316d8, checkpoint_teacher.pth or a full checkpoint",
        layouts=_TEACHER_FILES,
        notes="the teacher",
    ),
    Release(
        name="clip",
        title="CLIP",
        pretraining="WIT-400M",
        source="openai/CLIP, ViT-B-16.pt; or the file of openai/clip-vit-base-patch16, or timm's",
        arguments={**VIT_B, "norm_eps": 1e-5, "pre_norm": True, "activation": "quick_gelu"},
        layouts=(
            WeightLayout("class_embedding$", _CLIP_NAMES, "visual.", finish_clip),
            WeightLayout(
                r"embeddings\.class_embedding$", _CLIP_HF_NAMES, "vision_model.", finish_clip
            ),
            WeightLayout(r"norm_pre\.weight$", _CLIP_TIMM_NAMES, finish=finish_clip),
        ),
        mean=(0.48145466, 0.4578275, 0.40821073),
        std=(0.26862954, 0.26130258, 0.27577711),
        notes="the image encoder, without its projection",
    ),
)
RELEASES: dict[str, Release] = {release.name: release for release in _RELEASES}


def find_release(name: str) -> Release:
    """The release of that name.

    Raises:
        InputError: there is none.
    """
    if name not in RELEASES:
        raise InputError(f"{name}: no released encoder; known: {', '.join(RELEASES)}")
    return RELEASES[name]
