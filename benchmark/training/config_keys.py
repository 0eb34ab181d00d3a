"""Every key a config may have at its top level: what it is for, and which values it takes.

The settings of the parts of a config are the arguments of their classes, whose hints say the same.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmark.errors import InputError, did_you_mean
from benchmark.type_hints import Count, Natural, Positive, Seed, Share, fits, meaning


@dataclass(frozen=True)
class ConfigKey:
    """A key of a config.

    Attributes:
        use: what it is for.
        hint: which values it takes, for `benchmark.type_hints.fits`.
    """

    use: str
    hint: Any


ConfigKeys = Mapping[str, ConfigKey]

_CARD = ConfigKey("who the method is: title, family, paper", dict)
_SCALES = ConfigKey("sizes of this config's own parts at each scale", dict)

_RUN = {
    "card": _CARD,
    "seed": ConfigKey("key of all randomness of the run", Seed),
    "epochs": ConfigKey("length of the run", Count),
    "batch_size": ConfigKey("samples per step over all processes", Count),
    "base_lr": ConfigKey("peak learning rate per `lr_batch` samples", Positive),
    "lr_batch": ConfigKey(
        "batch the base learning rate is quoted for; None: base_lr is absolute", Count | None
    ),
    "optimizer": ConfigKey("torch optimiser without parameters and learning rate", dict),
    "undecayed": ConfigKey(
        "names of parameters without weight decay beside biases and 1-D ones", Sequence[str]
    ),
    "decay_biases": ConfigKey("whether weight decay is for biases and 1-D parameters, too", bool),
    "decay_schedule": ConfigKey("weight-decay factor as a function of the epoch", dict | None),
    "schedule": ConfigKey("learning-rate factor as a function of the epoch", dict),
    "clip_grad": ConfigKey("arguments of gradient clipping, or None", dict | None),
    "load_from": ConfigKey(
        "checkpoint, exported network or folder of either to start from; None: random",
        str | None,
    ),
    "anatomy": ConfigKey(
        "whether the loader yields vessel masks: True, False or 'if present'",
        bool | Literal["if present"],
    ),
    "num_workers": ConfigKey("loader processes", Natural),
    "num_threads": ConfigKey("CPU threads of a process; 0: as many as torch chooses", Natural),
    "precision": ConfigKey("bf16 or fp32; a CPU always runs fp32", Literal["bf16", "fp32"]),
    "log_interval": ConfigKey("steps between two lines of the log", Count),
    "checkpoint_interval": ConfigKey("epochs between two checkpoints", Count),
    "keep_checkpoints": ConfigKey(
        "checkpoints that are kept; 0: none once the run is done", Natural
    ),
    "default_hooks": ConfigKey("changes to the hooks of every run, by their names", dict),
    "custom_hooks": ConfigKey("further hooks of mmengine", Sequence[dict]),
    "visualizer": ConfigKey("where mmengine sends the logged scalars", dict),
    "scales": _SCALES,
}
PRETRAIN_KEYS: dict[str, ConfigKey] = {
    **_RUN,
    "method": ConfigKey("the method and its parts", dict),
    "micro_batch": ConfigKey(
        "samples of one forward pass of one process; None: its complete share of the batch",
        Count | None,
    ),
    "packs": ConfigKey("folders of the frame packs", Sequence[str]),
    "frames": ConfigKey(
        "how many of their frames are used, complete patients; None: all", Count | None
    ),
    "resident": ConfigKey(
        "frames in the memory of the GPU: True, False or 'auto' (where they fit)",
        bool | Literal["auto"],
    ),
    "compile": ConfigKey("whether the transformer blocks are compiled by torch", bool),
    "timeout_minutes": ConfigKey(
        "how long one of several processes may keep the others waiting before the run ends",
        Positive,
    ),
}
FINETUNE_KEYS: dict[str, ConfigKey] = {
    **_RUN,
    "task": ConfigKey("what is predicted", str),
    "protocol": ConfigKey("id under which results are compared", str),
    "data": ConfigKey("folder of the prepared task", dict),
    "model": ConfigKey("model of the library, without its backbone", dict),
    "layer_decay": ConfigKey("factor of the learning rate from one layer to the one below", Share),
    "label_fraction": ConfigKey(
        "share of the training frames that is used; smaller sets lie inside larger", Share
    ),
    "metrics": ConfigKey(
        "metrics that make a column of the board; the others are kept in the record",
        Sequence[str],
    ),
    "label_map": ConfigKey(
        "several classes: soft-max over one label per pixel instead of a sigmoid for each", bool
    ),
    "examples": ConfigKey(
        "predictions of the test split kept beside the record, to be looked at", Natural
    ),
    "score_at": ConfigKey(
        "size at which masks are compared: native or network", Literal["native", "network"]
    ),
    "train_pipeline": ConfigKey("transforms in training", Sequence[dict]),
    "test_pipeline": ConfigKey("transforms in testing", Sequence[dict]),
}
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
METHOD_KEYS: dict[str, ConfigKey] = {
    "card": _CARD,
    "scales": _SCALES,
    "task": ConfigKey("the one task the method is a model for", str),
    "encoder": ConfigKey("backbone built from an exported encoder", dict),
    "model": ConfigKey("parts that replace those of the dataset's model", dict),
    "training": ConfigKey(
        "settings of a recipe of its own: any of the dataset's, but for what is compared", dict
    ),
    "classical": ConfigKey("a model without training", dict),
    "test_pipeline": ConfigKey("transforms in testing, where they differ", Sequence[dict]),
}


def read_option(option: str, known: ConfigKeys) -> tuple[str, Any, str]:
    """One ``key.path=value`` of a command line: the path, the value, and its text.

    The value is a Python literal or, failing that, a text. It is checked where the path is a single
    key; what lies deeper only the config knows.

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
        value = fitting(value, text, known[key].hint, f"--cfg-options {key}")
    return key, value, text


def fitting(value: Any, text: str, hint: Any, origin: str) -> Any:
    """A value, or else the text it was read from, whichever a hint takes.

    Raises:
        InputError: it takes neither.
    """
    for candidate in (value, text):
        if fits(candidate, hint):
            return candidate
    raise InputError(f"{origin}={text}: must be {meaning(hint)}")


def require_fitting(name: str, value: Any, hint: Any) -> None:
    """Refuse a value that is not what a hint asks for.

    Raises:
        InputError: it is not; the message starts with `name`.
    """
    if not fits(value, hint):
        text = repr(value)
        text = text if len(text) <= 60 else f"{text[:59]}…"
        raise InputError(f"{name}={text} must be {meaning(hint)}")
