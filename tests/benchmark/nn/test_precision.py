"""Nothing is narrowed."""

from __future__ import annotations

import pytest
import torch

from benchmark.nn.precision import to_float32


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_precision_is_at_least_fp32(dtype: torch.dtype, expected: torch.dtype) -> None:
    tensor = torch.tensor([1.5, -2.0], dtype=dtype)
    assert to_float32(tensor).dtype == expected
    assert to_float32(tensor).tolist() == [1.5, -2.0]
