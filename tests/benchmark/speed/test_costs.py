"""The table of costs says what the configs build, and what the papers print."""

from __future__ import annotations

import pytest

from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS, read_method_cards
from benchmark.method_costs import MethodCosts, methods_with_costs, read_costs
from benchmark.speed.costs import count_costs, count_pretraining
from benchmark.training.config import load_config

COSTS = read_costs()
CARDS = {card.method: card for card in read_method_cards()}
# The others take seconds each: networks of the libraries, several views, masks that need values.
_QUICK = ("dinov3", "frangi", "mae")


@pytest.mark.parametrize(
    "method",
    [
        method if method in _QUICK else pytest.param(method, marks=pytest.mark.slow)
        for method in methods_with_costs()
    ],
)
def test_the_table_is_what_the_configs_build(method):
    assert count_costs(method) == COSTS[method]._replace(measured=())


def test_every_system_and_analysis_has_its_line():
    missing = set(methods_with_costs()) - set(COSTS)
    assert not missing, f"run tools/list.py methods --count {' '.join(sorted(missing))}"
    assert set(COSTS) == set(methods_with_costs())
    trained_here = {method for method in CARDS if COSTS[method].trained is not None}
    pretrained = {card.method for card in CARDS.values() if card.pretrain}
    assert trained_here == pretrained - {"random"}, "which has no epochs"
    assert COSTS["frangi"] == MethodCosts()


def test_a_method_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="no_such"):
        count_costs("no_such")


def test_methods_that_look_at_values_are_counted_with_values():
    """mmpretrain initialises by values, I-JEPA draws blocks until they fit."""
    config = load_config(CONFIGS / "mmpretrain" / "byol.py", "tiny")
    byol = count_pretraining(config)
    assert byol.total > byol.trained > byol.network > 0
    assert byol.step_flops > 0
    config = load_config(CONFIGS / "ijepa" / "pretrain.py", "tiny")
    assert count_pretraining(config).step_flops > 0
