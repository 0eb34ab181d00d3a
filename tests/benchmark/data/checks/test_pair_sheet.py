"""The contact sheet: every pair in its cell, whatever its size and name."""

from __future__ import annotations

import numpy as np
from PIL import Image

from benchmark.data.checks.pair_sheet import draw_pair_sheet


def test_pairs_lie_in_rows_of_four_and_keep_their_aspect(tmp_path):
    tall, wide = np.full((60, 30), 200, np.uint8), np.full((10, 40), 90, np.uint8)
    pairs = [("identical", ("ü/日本.png", tall), ("x" * 300, wide))] * 5
    draw_pair_sheet(tmp_path / "a.png", iter(pairs), 5)
    draw_pair_sheet(tmp_path / "b.png", iter(pairs), 5)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        sheet = np.asarray(image)
    # Cells of 2·192 + 16 by 192 + 48 pixels, with a margin of 8.
    assert sheet.shape == (2 * 240 + 8, 4 * 400 + 8)
    for left, top in ((8, 8), (1208, 8), (8, 248)):
        first = sheet[top : top + 192, left : left + 192]
        second = sheet[top : top + 192, left + 192 : left + 384]
        assert (first == 200).sum() == 192 * 96
        assert (second == 90).sum() == 192 * 48
        assert (sheet[top + 192 : top + 240, left : left + 384] < 128).any(), "the names"
    assert (sheet[248:, 408:] == 255).all(), "no sixth pair"
    draw_pair_sheet(tmp_path / "one.png", pairs[:1], 1)
    with Image.open(tmp_path / "one.png") as image:
        assert image.size == (408, 248)
