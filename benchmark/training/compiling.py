"""Compiling what a method spends its time in: the blocks of its transformers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from timm.models.vision_transformer import Block
from torch import nn

from benchmark.errors import InputError

_GRAPHS_PER_BLOCK = 4
"""Most graphs that torch makes of one block: one or two shapes, with gradients and without."""


def compile_blocks(method: nn.Module, backend: str = "inductor") -> None:
    """Have torch compile each transformer block of encoder, decoder and predictors, in place.

    Blocks of one width share their code, so one compilation serves a complete stack; with drop
    path, whose rate is part of the compiled code, each block has its own. A block is one graph:
    what torch cannot compile is an error when it is first called, see `compilation_reported`.
    Views, masks and objectives stay as they are, and so do modules and names of parameters. Random
    numbers of compiled code differ from those of uncompiled code, and so does drop path.

    Raises:
        InputError: there is no such block.
    """
    blocks = [module for module in method.modules() if isinstance(module, Block)]
    if not blocks:
        raise InputError(
            f"compile=True: {type(method).__name__} has no transformer blocks of timm; set it False"
        )
    # Of one function, and all blocks have the same `forward`, those of earlier runs in this process
    # too; none is compiled beyond these limits.
    limits = torch._dynamo.config
    limits.recompile_limit += _GRAPHS_PER_BLOCK * len(blocks)
    limits.accumulated_recompile_limit += _GRAPHS_PER_BLOCK * len(blocks)
    for block in blocks:
        block.compile(backend=backend, fullgraph=True)  # when it is first called


@contextmanager
def compilation_reported() -> Iterator[None]:
    """Turn torch's refusal to compile a block, within the `with` statement, into an `InputError`.

    Raises:
        InputError: a block is not one graph, or needs more graphs than expected.
    """
    from torch._dynamo.exc import FailOnRecompileLimitHit, Unsupported

    try:
        yield
    except (Unsupported, FailOnRecompileLimitHit) as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise InputError(
            f"compile=True: torch cannot compile a transformer block as one graph ({reason}); "
            "set it False"
        ) from error
