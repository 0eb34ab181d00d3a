"""The legend explains the symbols that are there, and no others."""

from __future__ import annotations

import json

import pytest

from benchmark.visualization.contact_sheets import extraction_alpha, legend


def test_symbols_of_the_titles_are_explained():
    lines = legend(["frame", "vessels B", "guidance f(G)", "Baseline"]).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["B", "f(G)"]
    assert "α" in lines[0], "the threshold of B"
    assert legend(["frame", "truth", "prediction"]) == ""
    assert "vesselness above its percentile α = 92, connected" in legend(["vessels B"], 92.0)


@pytest.mark.parametrize(
    ("entries", "alpha"),
    [
        ([{"parameters": {"alpha": 92.0}}], 92.0),
        ([{"parameters": {"alpha": 92.0}}, {"parameters": {"alpha": 92.0}}], 92.0),
        ([{"parameters": {"alpha": 92.0}}, {"parameters": {"alpha": 80.0}}], None),
        ([{"parameters": {"alpha": 92.0}}, None], None),
        ([{"parameters": {"alpha": "high"}}], None),
        ([{"parameters": "by hand"}], None),
        ([], None),
    ],
)
def test_alpha_is_that_of_all_packs(tmp_path, entries, alpha):
    packs = [tmp_path / str(number) for number in range(len(entries))]
    for pack, entry in zip(packs, entries):
        pack.mkdir()
        (pack / "manifest.json").write_text(json.dumps({"anatomy": entry}))
    assert extraction_alpha(packs) == alpha
