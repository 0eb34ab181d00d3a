"""Compiled blocks: the same names, the same numbers, and an export that knows nothing of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from timm.layers import Mlp
from torch import nn

import benchmark.training.train as train_module
from benchmark.checks.contract import prepare
from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.method_cards import CONFIGS
from benchmark.nn.vit import VisionTransformer
from benchmark.training.compiling import compilation_reported, compile_blocks
from benchmark.training.config import fill_paths, load_config
from benchmark.training.train import assemble, dry_run, train

WITHOUT_BLOCKS = {"frepa", "spt", "random"}
METHODS = sorted({path.parent.name for path in CONFIGS.glob("*/pretrain.py")} - WITHOUT_BLOCKS)


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


@pytest.fixture
def limits() -> Iterator[Any]:
    """Torch's settings of the compiler, nothing compiled before; afterwards as they were."""
    torch._dynamo.reset()
    with torch._dynamo.config.patch(recompile_limit=8, accumulated_recompile_limit=256):
        yield torch._dynamo.config
    torch._dynamo.reset()


def eager(graphs: list[Any]) -> Callable[..., Any]:
    """A backend that notes graphs and computes them as they are written."""
    return lambda graph, _: graphs.append(graph) or graph.forward


@pytest.mark.usefixtures("limits")
def test_all_blocks_with_drop_path_are_compiled():
    """Nine rates make nine graphs, where torch would compile eight; numbers are the same."""
    vit = VisionTransformer(32, 8, embed_dim=8, depth=9, num_heads=2, drop_path=0.1).train()
    compiled, graphs = copy.deepcopy(vit), []
    compile_blocks(compiled, eager(graphs))
    images, outputs = torch.randn(3, 3, 32, 32), []
    for model in (vit, compiled, compiled):
        torch.manual_seed(5)
        outputs.append(model(images))
    assert len(graphs) == 9  # one without drop path; none more in the second step
    assert all(torch.equal(output, outputs[0]) for output in outputs)


@pytest.mark.usefixtures("limits")
def test_later_runs_in_a_process_are_compiled_too():
    """Their graphs come on top of those of the runs before, of other widths and rates."""
    graphs: list[Any] = []
    for number, width in enumerate((8, 16), start=1):
        vit = VisionTransformer(32, 8, embed_dim=width, depth=6, num_heads=2, drop_path=0.1)
        compile_blocks(vit, eager(graphs))
        vit.train()(torch.randn(2, 3, 32, 32))
        assert len(graphs) == 6 * number


def test_limits_grow_with_the_blocks(limits, tiny_vit):
    compile_blocks(nn.ModuleList(copy.deepcopy(tiny_vit) for _ in range(40)))
    grown = limits.recompile_limit, limits.accumulated_recompile_limit
    assert grown == (8 + 4 * 80, 256 + 4 * 80)


def test_more_graphs_than_allowed_are_an_error(limits):
    """Not a silent step without compilation."""
    vit = VisionTransformer(32, 8, embed_dim=8, depth=6, num_heads=2, drop_path=0.1).train()
    compile_blocks(vit, eager([]))
    limits.recompile_limit = 3
    message = r"compile=True: .*recompile limit exceeded"
    with pytest.raises(InputError, match=message), compilation_reported():
        vit(torch.randn(1, 3, 32, 32))


@pytest.mark.usefixtures("limits")
def test_a_block_that_is_no_single_graph_is_an_error(tiny_vit, monkeypatch):
    monkeypatch.setattr(Mlp, "forward", lambda *_: torch._dynamo.graph_break())
    compile_blocks(tiny_vit, eager([]))
    message = r"compile=True: torch cannot compile .*; set it False"
    with pytest.raises(InputError, match=message), compilation_reported():
        tiny_vit(torch.randn(1, 3, 32, 32))


def test_a_run_reports_what_cannot_be_compiled(small_config, tmp_path, monkeypatch, limits):
    """As bad input, in one line, at its first step."""
    monkeypatch.setattr(
        train_module, "compile_blocks", lambda method: compile_blocks(method, eager([]))
    )
    monkeypatch.setattr(Mlp, "forward", lambda *_: torch._dynamo.graph_break())
    config = small_config("mae", "compile=True")
    with pytest.raises(InputError, match="compile=True: torch cannot compile"):
        train(config, tmp_path / "run", "run", resume=False, overwrite=False)
    with pytest.raises(InputError, match="compile=True: torch cannot compile"):
        dry_run(config, "run")


@pytest.mark.slow
@pytest.mark.usefixtures("limits")
@pytest.mark.parametrize("method", METHODS)
def test_steps_of_all_methods_are_compiled(method, tmp_path):
    """Without a break; loss and gradients are those of the step without compilation."""
    graphs, results = [], []
    config = load_config(CONFIGS / method / "pretrain.py", "tiny")
    fill_paths(config, tmp_path)
    prepare(config, tmp_path)
    for compiled in (False, True):
        parts = assemble(config)
        model = parts.method.train()
        if compiled:
            compile_blocks(model, eager(graphs))
        model.progress = Progress(epochs=3, steps_per_epoch=3)
        parts.loader.batch_sampler.set_epoch(0)
        batch = next(iter(parts.loader))
        for _ in range(1 + compiled):
            torch.manual_seed(3)
            model.zero_grad()
            terms = model(**model.views(batch))
            sum(value for name, value in terms.items() if "loss" in name).backward()
            results.append((terms, [p.grad for p in model.parameters() if p.grad is not None]))
            counted = len(graphs)
    assert len(graphs) == counted > 0
    (terms, gradients), (ours, compiled_gradients), _ = results
    for name, value in terms.items():
        assert torch.equal(ours[name], value), name
    assert all(map(torch.equal, compiled_gradients, gradients))


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
