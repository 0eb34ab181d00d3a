"""Renaming the tensors of an official checkpoint to our state-dict names, by rules."""

from __future__ import annotations

import re
from collections.abc import Sequence

from benchmark.errors import InputError

# Prefix of a name (a regular expression) and its replacement; None for tensors to ignore.
Rules = Sequence[tuple[str, str | None]]

# A timm ViT at the top level of the checkpoint, as in MAE and most of its descendants.
ENCODER_NAMES: Rules = ((r"(cls_token|pos_embed|patch_embed\.|blocks\.|norm\.)", r"encoder.\1"),)


def translate(name: str, rules: Rules) -> str | None:
    """Our name of a tensor of an official checkpoint by the first matching rule; None: ignore it.

    Raises:
        InputError: no rule matches.
    """
    for pattern, replacement in rules:
        if match := re.match(pattern, name):
            return None if replacement is None else match.expand(replacement) + name[match.end() :]
    raise InputError(f"checkpoint: no rule for the name {name!r}")
