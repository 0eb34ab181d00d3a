"""Compiled blocks: the same names, the same numbers, and an export that knows nothing of it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.training.compiling import compile_blocks
from benchmark.training.train import assemble


def test_names_stay(tiny_vit, tiny_decoder):
    """Compiling in place changes neither the state dict nor the modules."""
    model = nn.ModuleDict({"encoder": tiny_vit, "decoder": tiny_decoder})
    before = [(name, type(part)) for name, part in model.named_modules()], list(model.state_dict())
    compile_blocks(model)
    after = [(name, type(part)) for name, part in model.named_modules()], list(model.state_dict())
    assert before == after
    blocks = [*tiny_vit.blocks, *tiny_decoder.decoder_blocks]
    assert all(block._compiled_call_impl is not None for block in blocks)
    assert tiny_vit._compiled_call_impl is None


def test_nothing_to_compile_is_an_error():
    with pytest.raises(InputError, match="compile=True: Linear has no transformer blocks"):
        compile_blocks(nn.Linear(2, 2))


@pytest.mark.parametrize("masked", [True, False])
def test_traced_blocks_compute_the_same(tiny_vit, masked):
    """Tokens and gradients, with some patches and with all: two shapes of one trace."""
    traced = copy.deepcopy(tiny_vit)
    compile_blocks(traced, backend="aot_eager")
    images = torch.randn(2, 3, 32, 32)
    ids = torch.tensor([[3, 1, 8], [0, 15, 2]]) if masked else None
    outputs = [vit(images, ids) for vit in (tiny_vit, traced)]
    torch.testing.assert_close(outputs[1], outputs[0])
    for output in outputs:
        output.square().mean().backward()
    for (name, ours), theirs in zip(traced.named_parameters(), tiny_vit.parameters()):
        torch.testing.assert_close(ours.grad, theirs.grad, msg=name)


@pytest.mark.gpu
def test_compiled_step_is_the_same_on_the_gpu(small_config):
    """Loss and gradients of a step of MAE, compiled or not, up to the rounding of fp32."""
    options = ("method.encoder.drop_path=0.0", "micro_batch=None", "precision=fp32")
    results = []
    for compiled in (False, True):
        parts = assemble(small_config("mae", *options, f"compile={compiled}"))
        method = parts.method.cuda().train()
        method.progress = Progress(epochs=3, steps_per_epoch=3)
        parts.loader.batch_sampler.set_epoch(0)
        terms = method(**method.views(next(iter(parts.loader))))
        terms["loss_reconstruction"].backward()
        results.append((terms, {n: p.grad for n, p in method.named_parameters()}))
    (terms, gradients), (ours, compiled_gradients) = results
    torch.testing.assert_close(ours["loss_reconstruction"], terms["loss_reconstruction"])
    for name, gradient in gradients.items():
        torch.testing.assert_close(
            compiled_gradients[name], gradient, rtol=1e-3, atol=1e-5, msg=name
        )
