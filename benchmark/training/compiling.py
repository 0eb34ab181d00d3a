"""Compiling what a method spends its time in: the blocks of its transformers."""

from __future__ import annotations

from timm.models.vision_transformer import Block
from torch import nn

from benchmark.errors import InputError


def compile_blocks(method: nn.Module, backend: str = "inductor") -> None:
    """Have torch compile each transformer block of encoder, decoder and predictors, in place.

    Blocks of one width share their code, so one compilation serves a complete stack. Views, masks
    and objectives stay as they are, and so do modules and names of parameters. Random numbers of
    compiled code differ from those of the same step without: drop path takes other turns.

    Raises:
        InputError: there is no such block.
    """
    blocks = [module for module in method.modules() if isinstance(module, Block)]
    if not blocks:
        raise InputError(
            f"compile=True: {type(method).__name__} has no transformer blocks of timm; set it False"
        )
    for block in blocks:
        block.compile(backend=backend)  # when it is first called
