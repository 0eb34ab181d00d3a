"""The table of parameters says what the configs build, and what the papers print."""

from __future__ import annotations

import pytest

from benchmark.downstream.parameters import count_parameters
from benchmark.errors import InputError
from benchmark.method_cards import (
    ParameterCounts,
    read_method_cards,
    read_parameter_counts,
    write_parameter_counts,
)

# Networks of the libraries, which take seconds each to initialise.
_LARGE = {"detr", "faster_rcnn", "rwkv_unet", "transunet", "vm_unet", "unet"}
CARDS = {card.method: card for card in read_method_cards()}


def test_every_system_has_its_line():
    assert list(read_parameter_counts()) == sorted(CARDS)


@pytest.mark.parametrize(
    "method", [pytest.param(m, marks=pytest.mark.slow) if m in _LARGE else m for m in sorted(CARDS)]
)
def test_the_table_is_what_the_configs_build(method):
    assert count_parameters(method) == read_parameter_counts()[method]


def test_published_counts():
    """MAE ViT-B/16 with its decoder and without it, counted by hand, and DETR."""
    counts = read_parameter_counts()
    assert round(counts["mae"].trained / 1e6, 2) == 111.66
    vit_b = 12 * (12 * 768**2 + 13 * 768) + 2 * 768  # blocks, and the last norm
    patches_and_cls = (16 * 16 * 3 + 1) * 768 + 768
    positions = 197 * 768
    assert counts["mae"].network == vit_b + patches_and_cls + positions
    assert round(counts["detr"].network / 1e6, 1) == 41.6  # Carion et al.: 41 M for R50
    assert counts["frangi"] == ParameterCounts(None, None)
    trained_here = {method for method in CARDS if counts[method].trained is not None}
    assert trained_here == {card.method for card in CARDS.values() if card.pretrain}


def test_a_table_is_read_back(tmp_path):
    counts = {
        "b": ParameterCounts(7, None),
        "a": ParameterCounts(None, None),
        "c": ParameterCounts(7, 9),
    }
    write_parameter_counts(counts, tmp_path)
    assert read_parameter_counts(tmp_path) == counts
    assert (tmp_path / "parameters.csv").read_text() == "method,network,trained\na,,\nb,7,\nc,7,9\n"


def test_configs_without_a_table_have_no_counts(tmp_path):
    assert read_parameter_counts(tmp_path) == {}


def test_another_table_is_refused(tmp_path):
    (tmp_path / "parameters.csv").write_text("method,network\nmae,many\n")
    with pytest.raises(InputError, match=r"parameters\.csv: not a table of parameters"):
        read_parameter_counts(tmp_path)
