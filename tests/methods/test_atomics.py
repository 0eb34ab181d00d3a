"""Pre-trainings with CUDA kernels that add in no fixed order: `docs/training.md` names them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from operator_calls import OperatorCalls

from benchmark.checks.contract import prepare
from benchmark.method import Progress
from benchmark.method_cards import CONFIGS, read_method_card
from benchmark.training.config import fill_paths, load_config
from benchmark.training.train import assemble

# Random weights take no step.
METHODS = sorted({path.parent.name for path in CONFIGS.glob("*/pretrain.py")} - {"random"})
# As torch documents for `use_deterministic_algorithms`. Scattering and indexing are left out: here
# no place is written twice. So are convolutions, of which all methods have some.
ATOMIC = re.compile(
    r"upsample_(linear1d|bilinear2d|bicubic2d|trilinear3d)_backward|_upsample_\w+_aa_backward|"
    r"_?adaptive_(avg|max)_pool\dd_backward|(avg|max)_pool3d\w*_backward|grid_sampler_\dd_backward|"
    r"reflection_pad\dd_backward|nll_loss2d_forward|histc|ctc_loss"
)


def documented() -> set[str]:
    """The table of the document but for fine-tuning, as one text."""
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    section = text.partition("### Exactness on a GPU")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| ")]
    return set(re.findall(r"[\w-]+", " ".join(rows)))


@pytest.mark.parametrize("method", METHODS)
def test_methods_with_atomics_are_named(method: str, tmp_path: Path) -> None:
    config = load_config(CONFIGS / method / "pretrain.py", "tiny")
    fill_paths(config, tmp_path)
    prepare(config, tmp_path)
    parts = assemble(config)
    model, batch = parts.method.train(), next(iter(parts.loader))
    model.progress = Progress(seed=0, epoch=1, epochs=4, step=4, steps_per_epoch=3)
    with OperatorCalls() as recorded:
        terms = model(**model.views(batch))
        sum(value for name, value in terms.items() if "loss" in name).backward()
    found = {name for name in recorded.counts if ATOMIC.fullmatch(name)}
    assert bool(found) == (read_method_card(method, CONFIGS).title in documented()), found
    assert any(name.endswith("backward") for name in recorded.counts)


def test_the_record_has_what_a_backward_pass_calls() -> None:
    image = torch.zeros(1, 1, 4, 4, requires_grad=True)
    for mode in ("bilinear", "bicubic", "nearest"):
        with OperatorCalls() as recorded:
            torch.nn.functional.interpolate(image, scale_factor=2, mode=mode).sum().backward()
        assert any(map(ATOMIC.fullmatch, recorded.counts)) == (mode != "nearest")
