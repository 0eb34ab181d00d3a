"""From the names of an official checkpoint to ours, as data."""

from __future__ import annotations

import re
from collections.abc import Sequence

from benchmark.errors import InputError

# What a name starts with (a regular expression), and what takes its place; None: not a weight.
Rules = Sequence[tuple[str, str | None]]

# A timm ViT at the top level of the checkpoint, as MAE and most of its descendants save it.
ENCODER_NAMES: Rules = ((r"(cls_token|pos_embed|patch_embed\.|blocks\.|norm\.)", r"encoder.\1"),)


def translate(name: str, rules: Rules) -> str | None:
    """Our name of a tensor of an official checkpoint, by the first rule that matches.

    Returns:
        None for what is no weight here (constants that the official code saves).

    Raises:
        InputError: no rule matches.
    """
    for pattern, replacement in rules:
        if match := re.match(pattern, name):
            return None if replacement is None else match.expand(replacement) + name[match.end() :]
    raise InputError(f"checkpoint: no rule for the name {name!r}")
