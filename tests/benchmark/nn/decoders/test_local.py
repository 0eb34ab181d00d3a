"""LocalMIM's decoders: scales, places and errors. Their numbers are in tests/methods."""

from __future__ import annotations

import pytest
import torch

from benchmark.errors import InputError
from benchmark.nn.decoders.local import LocalDecoder


def decoder(scale: float, grid: tuple[int, int] = (4, 6)) -> LocalDecoder:
    return LocalDecoder(24, grid, 27, scale, width=16, depth=1, num_heads=2)


@torch.no_grad()
def test_cells_are_aligned_with_their_patch() -> None:
    for scale in (4, 2, 1, 0.5):
        model = LocalDecoder(24, (4, 6), 3, scale, width=16, depth=0, num_heads=2)
        latent, order = torch.randn(1, 1 + 24, 24), torch.arange(24)[None]
        before = model(latent, order)
        latent[0, 1 + 9] += 1  # patch in row 1, column 3
        changed = (model(latent, order) != before).any(dim=1)[0]
        rows, columns = torch.where(changed)
        assert set((rows / scale).floor().tolist()) <= {0, 1}
        touched = {(int(r // scale), int(c // scale)) for r, c in zip(rows, columns)}
        assert touched == ({(1, 3)} if scale >= 1 else {(0, 2)})


def test_invalid_arguments_are_refused() -> None:
    with pytest.raises(InputError, match=r"scale=3 is not 4, 2, 1 or 0\.5"):
        decoder(3)
    with pytest.raises(InputError, match=r"grid of \(5, 6\) patches cannot be halved"):
        decoder(0.5, (5, 6))
