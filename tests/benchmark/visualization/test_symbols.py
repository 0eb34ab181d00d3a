"""The legend explains the symbols that are there, and no others."""

from __future__ import annotations

from benchmark.visualization.symbols import legend


def test_symbols_of_the_titles_are_explained():
    lines = legend(["frame", "vessels B", "guidance f(G)", "Baseline"]).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["B", "f(G)"]
    assert "α" in lines[0], "the threshold of B"
    assert legend(["frame", "truth", "prediction"]) == ""
