"""Two small packs, as training reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from raw_layouts import PICTURES, build_small

from benchmark.data.packs import PackCollection, add_anatomy, open_packs


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> PackCollection:
    """Two packs of 18 and 5 frames of 32², vessels where it is dark."""
    folder: Path = tmp_path_factory.mktemp("packs")
    for name, pictures in (("a", PICTURES), ("b", PICTURES[4:9])):
        build_small(folder / name, pictures)
        add_anatomy(folder / name, lambda frames, valid: frames < 120, {}, progress=False)
    return open_packs([folder / "a", folder / "b"])
