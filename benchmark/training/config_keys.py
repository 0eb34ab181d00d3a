"""Every key a config may have at its top level, which values it takes, and the sizes of scales.

The settings of the parts of a config are the arguments of their classes, whose hints say the same.
"""

from __future__ import annotations

import ast
import runpy
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from benchmark.errors import InputError, did_you_mean
from benchmark.method_cards import CONFIGS
from benchmark.type_hints import (
    Count,
    Items,
    Natural,
    Positive,
    Seed,
    Share,
    fits,
    meaning,
)

ConfigKeys = Mapping[str, Any]
"""Which values each key of a config takes, for `benchmark.type_hints.fits`."""

_RUN: dict[str, Any] = {
    "card": dict,  # who the method is: title, family, paper
    "seed": Seed,  # key of all randomness of the run
    "epochs": Count,
    "batch_size": Count,  # samples per step over all processes
    "base_lr": Positive,  # peak learning rate per `lr_batch` samples
    "lr_batch": Count | None,  # None: base_lr is absolute
    "optimizer": dict,  # of torch, without parameters and learning rate
    # Names of parameters without weight decay beside biases and 1-D ones; and whether those decay.
    "undecayed": Sequence[str],
    "decay_biases": bool,
    # Factors of weight decay and learning rate as functions of the epoch.
    "decay_schedule": dict | None,
    "schedule": dict,
    "clip_grad": dict | None,  # arguments of gradient clipping
    "load_from": str | None,  # checkpoint, exported network or folder of either; None: random
    "anatomy": bool | Literal["if present"],  # whether the loader yields vessel masks
    "num_workers": Natural,  # loader processes
    "num_threads": Natural,  # CPU threads of a process; 0: as many as torch chooses
    "precision": Literal["bf16", "fp32"],  # a CPU always runs fp32
    # Algorithms on a GPU, see `benchmark.device.choose_algorithms`.
    "env_cfg": Mapping[Literal["cudnn_benchmark", "deterministic"], bool],
    "log_interval": Count,  # steps
    "checkpoint_interval": Count,  # epochs
    "keep_checkpoints": Natural,  # 0: none once the run is done
    "default_hooks": dict,  # changes to the hooks of every run, by their names
    "custom_hooks": Sequence[dict],  # of mmengine
    "visualizer": dict,  # where mmengine sends the logged scalars
    "scales": dict,  # sizes of this config's own parts at each scale
}
_LABELS: dict[str, Any] = {
    "label_fraction": Share,  # of the training frames; smaller sets lie inside larger
    "label_count": Count | None,  # training frames, which the seed draws; in place of the share
}
PRETRAIN_KEYS: dict[str, Any] = {
    **_RUN,
    "epochs": Natural,  # 0: the encoder keeps its initial weights
    "method": dict,
    "micro_batch": Count | None,  # samples of one forward pass of a process; None: its whole share
    "packs": Sequence[str],  # folders
    "frames": Count | None,  # how many of their frames are used, complete patients; None: all
    "held_out": Share | None,  # of these frames, complete patients: not trained on, only probed
    "resident": bool | Literal["auto"],  # frames in the memory of the GPU; auto: where they fit
    "compile": bool,  # the transformer blocks, by torch
    # How long one of several processes may keep the others waiting before the run ends.
    "timeout_minutes": Positive,
}
_Names = Annotated[Sequence[str], Items(least=1)]
FINETUNE_KEYS: dict[str, Any] = {
    **_RUN,
    "task": str,
    "protocol": str,  # id under which results are compared
    "data": dict,  # folder of the prepared task
    "model": dict,  # of the library, without its backbone
    "layer_decay": Share,  # factor of the learning rate from one layer to the one below
    "lora": dict | None,  # low-rank adaptation of the encoder, frozen; None: it is trained
    **_LABELS,
    "metrics": _Names,  # columns of the board; the others are kept in the record
    "label_map": bool,  # soft-max over one label per pixel instead of a sigmoid per class
    "examples": Natural,  # predictions of the test split kept beside the record
    "export_model": bool,  # whether the fine-tuned model is written into the run folder
    "score_at": Literal["native", "network"],  # size at which masks are compared
    "train_pipeline": Sequence[dict],
    "test_pipeline": Sequence[dict],
    "method_settings": Sequence[str],  # keys whose values are the method's; set by `compose`
}
# Those of `configs/_base_/lora.py`.
LORA_KEYS = {name: FINETUNE_KEYS[name] for name in ("lora", "layer_decay", "scales")}
# Keys without which no run can start.
_NEEDED = (
    *("epochs", "batch_size", "base_lr", "lr_batch", "optimizer", "schedule", "clip_grad"),
    *("num_workers", "num_threads", "precision"),
    *("log_interval", "checkpoint_interval", "keep_checkpoints"),
)
PRETRAIN_NEEDS = (*_NEEDED, "card.title", "method", "seed", "micro_batch", "packs", "anatomy")
FINETUNE_NEEDS = (
    *(*_NEEDED, "task", "protocol", "data.folder", "model", "layer_decay", "label_fraction"),
    *("metrics", "examples", "train_pipeline", "test_pipeline"),
)
METHOD_KEYS: dict[str, Any] = {
    "card": dict,
    "scales": dict,
    "task": str,  # the one the method is a model for
    "encoder": dict,  # backbone built from an exported encoder
    "model": dict,  # parts that replace those of the dataset's model
    "training": dict,  # settings in place of the dataset's, except what is compared
    "classical": dict,  # a model without training
    "test_pipeline": Sequence[dict],
}
# Of every evaluation of a frozen encoder.
_FROZEN: dict[str, Any] = {
    "micro_batch": Count,  # frames of one forward pass
    "num_threads": Natural,
    "scales": dict,
    # Of the dataset's config:
    "task": str,
    "protocol": str,
    "data": dict,
    "model": dict,  # backbone and data preprocessor
    "test_pipeline": Sequence[dict],
}
REPRESENTATION_KEYS: dict[str, Any] = {
    **_FROZEN,
    "split": Literal["train", "val", "test"],  # whose frames are analysed
    "patches": Count,  # most that are sampled, which bounds memory and time
    "vessel_pixels": Count,  # least pixels of the mask in a vessel patch
    "projection": Literal["tsne", "umap"],
    "tsne": dict,  # settings of the projection
    "umap": dict,
    "probe": dict,  # settings of the linear probe
}
REPRESENTATION_NEEDS = (
    *("split", "patches", "vessel_pixels", "projection", "probe", "micro_batch", "num_threads"),
)
LINEAR_KEYS: dict[str, Any] = {
    **_FROZEN,
    "steps": Count,  # of the optimiser, however many frames there are
    "batch_size": Count,  # frames per step; all of them where there are fewer
    "base_lr": Positive,  # at the start; falls to 0 as a half cosine
    "optimizer": dict,  # of torch, without parameters and learning rate
    "losses": Sequence[dict],  # of mmsegmentation's decode heads; their sum
    "mirrored": bool,  # whether half of the frames of a batch are flipped
    **_LABELS,
    "metrics": _Names,  # columns of the board
    "patch": Count,  # as in KNN_KEYS
    "vessel_pixels": Count,
    "score_at": Literal["native", "network"],  # size at which masks are compared
    "examples": Natural,  # predictions of the test split kept beside the record
}
LINEAR_NEEDS = (
    *("steps", "batch_size", "base_lr", "optimizer", "losses", "mirrored", "label_fraction"),
    *("metrics", "patch", "vessel_pixels", "micro_batch", "num_threads"),
)
KNN_KEYS: dict[str, Any] = {
    **_FROZEN,
    "neighbours": Count,
    "temperature": Positive,  # of the weights exp(cosine similarity / temperature)
    "patch": Count,  # side of a patch in pixels of the network's image; maps are resized to them
    "vessel_pixels": Count,  # least pixels of the mask in a vessel patch
    "patches": Count,  # most training patches that are compared with, which bounds memory and time
    **_LABELS,
    "metrics": _Names,
}
KNN_NEEDS = (
    *("neighbours", "temperature", "patch", "vessel_pixels", "patches", "label_fraction"),
    *("metrics", "micro_batch", "num_threads"),
)

CORRUPTION_KEYS: dict[str, Any] = {
    "seed": Seed,  # of noise, directions and choices
    "corruptions": dict,  # name → five levels, see `benchmark.data.corruptions`
}


def read_option(option: str, known: ConfigKeys) -> tuple[str, Any, str]:
    """One ``key.path=value`` of a command line: the path, the value, and its text.

    The value is a Python literal or, failing that, a text. It is checked where the path is a single
    key; only the config knows deeper ones.

    Raises:
        InputError: it is written otherwise, the key is not known, or does not take that value.
    """
    key, separator, text = option.partition("=")
    if not separator:
        raise InputError(f"--cfg-options {option}: write it as key=value")
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = text
    first, *deeper = key.split(".")
    if first not in known:
        raise InputError(
            f"--cfg-options {key}: unknown key {first!r}{did_you_mean(first, sorted(known))}"
        )
    if not deeper:
        value = fitting(value, text, known[key], f"--cfg-options {key}")
    return key, value, text


def fitting(value: Any, text: str, hint: Any, origin: str) -> Any:
    """A value, or else the text it was read from, whichever a hint takes; or an `InputError`."""
    for candidate in (value, text):
        if fits(candidate, hint):
            return candidate
    raise InputError(f"{origin}={text}: must be {meaning(hint)}")


def require_fitting(name: str, value: Any, hint: Any) -> None:
    """Raise an `InputError` that starts with `name` if a value is not what a hint asks for."""
    if not fits(value, hint):
        text = repr(value)
        text = text if len(text) <= 60 else f"{text[:59]}…"
        raise InputError(f"{name}={text} must be {meaning(hint)}")


Sizes = dict[str, Any]


def _with_sizes_of(scale: Sizes, other: Sizes) -> Sizes:
    """A scale on top of the one that it is derived from."""
    parts = {**other["parts"]}
    for name, arguments in scale["parts"].items():
        parts[name] = {**parts.get(name, {}), **arguments}
    kinds = {kind: {**other[kind], **scale[kind]} for kind in ("pretrain", "finetune")}
    return {**scale, **kinds, "parts": parts}


# Executed without importing a library, so that every tool can name the scales.
_TABLE: dict[str, Sizes] = runpy.run_path(str(CONFIGS / "_base_" / "scales.py"))["scales"]
SCALES = {
    name: _with_sizes_of(scale, _TABLE[scale["of"]]) if "of" in scale else scale
    for name, scale in _TABLE.items()
}
"""Scale → ``pretrain``, ``finetune`` and ``parts`` → what is swapped in; ``of``, another scale."""
