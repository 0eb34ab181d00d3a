"""A resume repeats nothing: what is read before its first step does not depend on the epoch."""

from __future__ import annotations

import pytest

from benchmark.data.packs import FramePack
from benchmark.data.packs.loader import PackDataset
from benchmark.errors import InputError
from benchmark.randomness import permutation
from benchmark.speed import resume
from benchmark.speed.packs import CORPUS


def test_one_batch_is_read_wherever_a_run_goes_on(tmp_path, monkeypatch):
    """At epoch 400 of 800 of the full index, which has 2,679 batches of 64 in an epoch."""
    pack = resume.write_noise_pack(tmp_path / "pack", CORPUS)
    config = resume.long_config(pack, 800, "tiny")
    assert len(FramePack.open(pack)) == CORPUS
    resume.write_middle(config, tmp_path / "middle", 400)
    reads: list[list[int]] = []
    usual = PackDataset.__getitems__

    def counted(self: PackDataset, indices: list[int]) -> dict:
        reads.append(indices)
        return usual(self, indices)

    monkeypatch.setattr(PackDataset, "__getitems__", counted)
    assert resume.take_first_step(config, tmp_path / "new") == 0
    assert resume.take_first_step(config, tmp_path / "middle") == 400 * 2679
    assert reads == [permutation(0, epoch, CORPUS)[:64].tolist() for epoch in (0, 400)]


@pytest.mark.slow
def test_both_sides_are_timed(tmp_path, written, capsys):
    rows = resume.bench_resume(1, tmp_path, frames=200, epochs=4, at=2)
    assert written("resume-cpu-1core") == rows
    assert "epoch 2 of 4, 200 frames" in rows[0]["what"]
    assert "first step after" in capsys.readouterr().out
    with pytest.raises(InputError, match="epoch 4 of 4: nothing left to resume"):
        resume.bench_resume(1, frames=200, epochs=4, at=4)
