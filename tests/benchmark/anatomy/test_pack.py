"""Extracting the vessels of a pack, once."""

from __future__ import annotations

import pytest

from benchmark.anatomy.pack import extract
from benchmark.data.packs import build_pack, open_packs
from benchmark.data.sources import open_source
from benchmark.errors import InputError


@pytest.fixture
def pack(tmp_path):
    """Two frames of 64², of different patients."""
    source = open_source("synthetic", patients=2, videos=1, frames=4, first_frame=3, size=64)
    build_pack(source, tmp_path / "pack", size=64, progress=False)
    return str(tmp_path / "pack")


def test_second_extraction_has_nothing_to_do(pack, monkeypatch):
    first = extract(pack, border=4)
    assert first.startswith(f"{pack}: vessels of 2 frames (sato, α = 92, border 4 px) in ")
    masks = open_packs([pack]).packs[0].anatomy.copy()
    assert masks.any()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("benchmark.anatomy.pack.vessel_mask", refuse)
    for overwrite in (False, True):
        again = extract(pack, border=4, overwrite=overwrite)
        assert "border 4 px) were extracted before; nothing to do; " in again
        assert again.rpartition("; ")[2] == first.rpartition("; ")[2]
    assert (open_packs([pack]).packs[0].anatomy == masks).all()


def test_other_parameters_need_overwrite(pack):
    extract(pack, border=4)
    with pytest.raises(InputError, match="vessel masks of other parameters"):
        extract(pack, border=5)
    assert "border 5 px) in " in extract(pack, border=5, overwrite=True)


@pytest.mark.parametrize(("option", "value"), [("alpha", 101), ("border", -1)])
def test_parameters_out_of_range_are_named(pack, option, value):
    with pytest.raises(InputError, match=f"--{option} {value}: "):
        extract(pack, **{option: value})
