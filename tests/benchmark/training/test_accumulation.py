"""A step over parts equals a step over the whole batch, by hand and in the trainer."""

from __future__ import annotations

import pytest
import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.training.accumulation import AccumulatingOptimWrapper, count_parts, training_step


class Regression(BaseModel):
    """Mean squared error of w·x, with one random number per forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))
        self.progress = Progress(seed=3, step=5)
        self.drawn: list[float] = []

    def forward(self, x: Tensor, y: Tensor, mode: str) -> dict[str, Tensor]:
        self.drawn.append(torch.rand(()).item())
        return {"loss_square": ((self.weight * x - y) ** 2).mean()}


BATCH = {"x": torch.tensor([1.0, 2.0, 3.0, 4.0]), "y": torch.tensor([1.0, 1.0, 0.0, 2.0])}


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_parts_take_the_step_of_the_whole_batch(parts):
    """Residuals 1, 3, 6, 6: loss 82/4, gradient 2·(1·1 + 2·3 + 3·6 + 4·6)/4 = 24.5."""
    model = Regression()
    optimizer = AccumulatingOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), parts=parts)
    # What mmengine's loop announces; the wrapper must not take parts for iterations.
    optimizer.initialize_count_status(model, 0, 1)
    for _ in range(3):
        model.weight.data.fill_(2.0)
        terms = training_step(model, BATCH, optimizer)
        assert terms["loss_square"].item() == pytest.approx(82 / 4)
        assert terms["loss"].item() == pytest.approx(82 / 4)
        assert model.weight.item() == pytest.approx(2.0 - 0.1 * 24.5)
        assert model.weight.grad is None


def test_every_part_has_randomness_of_its_own():
    """The same numbers at a repeated step, others for another part or step."""
    model = Regression()
    optimizer = AccumulatingOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), parts=2)
    training_step(model, BATCH, optimizer)
    training_step(model, BATCH, optimizer)
    model.progress = Progress(seed=3, step=6)
    training_step(model, BATCH, optimizer)
    first, second, again, again_second, *later = model.drawn
    assert (first, second) == (again, again_second)
    assert len({first, second, *later}) == 4


def test_parts_of_a_share():
    """One part where the share fits; a remainder would give a part too much weight."""
    assert count_parts(32, None) == count_parts(32, 32) == count_parts(32, 256) == 1
    assert count_parts(2048, 256) == 8
    for wrong in (12, 0, -4):
        with pytest.raises(InputError, match=rf"micro_batch={wrong}: .* 32 samples"):
            count_parts(32, wrong)
