"""Every method of the benchmark satisfies the contract, and the contract catches broken ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from broken_methods import (
    Collapsed,
    Contrastive,
    Forgetful,
    Idle,
    Impostor,
    NotFinite,
    Stubborn,
    Unwatched,
)

from benchmark.checks.contract import CHECKS, BrokenContract, ContractTrial, check_method, prepare
from benchmark.checks.two_processes import ProcessPair
from benchmark.method_cards import CONFIGS
from benchmark.training.config import fill_paths, load_config

# A masked-image model with a frozen segmentor, an EMA teacher with predictor, a contrastive loss
# across samples: what the other methods are made of, too.
REPRESENTATIVE = ("ijepa", "moco_v3", "vasomim")
METHODS = [
    name if name in REPRESENTATIVE else pytest.param(name, marks=pytest.mark.slow)
    for name in sorted(path.parent.name for path in CONFIGS.glob("*/pretrain.py"))
]


@pytest.fixture(scope="module")
def pair() -> Iterator[ProcessPair]:
    """Two processes that serve all methods: starting them takes longer than a step."""
    with ProcessPair() as pair:
        yield pair


@pytest.fixture(scope="module")
def trial(
    tmp_path_factory: pytest.TempPathFactory, pair: ProcessPair
) -> Callable[..., ContractTrial]:
    """A trial of a method's config; with `broken`, of that class in its place."""
    work = tmp_path_factory.mktemp("contract")

    def make(method: str, broken: type | None = None) -> ContractTrial:
        config = load_config(CONFIGS / method / "pretrain.py", "tiny")
        fill_paths(config, work)
        prepare(config, work)
        if broken is not None:
            config.method.type = broken
        name = broken.__name__ if broken else method
        return ContractTrial(config, work / name, pair)

    return make


@pytest.mark.parametrize("method", METHODS)
def test_methods_satisfy_the_contract(method: str, trial: Callable[..., ContractTrial]) -> None:
    attempt = trial(method)
    for name, check in CHECKS.items():
        try:
            assert check(attempt)
        except BrokenContract as error:
            pytest.fail(f"{method}: {name}: {error}")


@pytest.mark.parametrize(
    ("broken", "check", "message"),
    [
        (NotFinite, "finite loss", "not finite: loss_reconstruction"),
        (Idle, "gradient reaches the encoder", "no gradient in forgotten.weight"),
        (Stubborn, "loss falls on one batch", "in 40 steps"),
        (Forgetful, "exact resume", "different weights after a resume"),
        (Collapsed, "collapse is visible", "features of 4 samples are all equal"),
        (Unwatched, "collapse is visible", "no feature_std in the log"),
        (Impostor, "export is the encoder", "different features"),
        (Contrastive, "two processes equal one", "gradients differ by"),
    ],
)
def test_a_violation_is_caught(
    broken: type, check: str, message: str, trial: Callable[..., ContractTrial]
) -> None:
    with pytest.raises(BrokenContract, match=message):
        CHECKS[check](trial("mae", broken))


def test_a_probed_run_satisfies_it_as_well(trial: Callable[..., ContractTrial]) -> None:
    """The line of a probe has neither losses nor the statistics of a step."""
    attempt = trial("mae")
    attempt.config.default_hooks.probe.interval = 1
    for name in ("exact resume", "collapse is visible"):
        assert CHECKS[name](attempt)
    assert "probe_ap" in (attempt.folder / "uninterrupted" / "metrics.jsonl").read_text()


def test_a_failed_check_does_not_stop_the_others(
    trial: Callable[..., ContractTrial], monkeypatch: pytest.MonkeyPatch
) -> None:

    def fails(trial: ContractTrial) -> str:
        raise KeyError("colour")

    monkeypatch.setitem(CHECKS, "finite loss", fails)
    for name in list(CHECKS)[2:]:
        monkeypatch.delitem(CHECKS, name)
    verdicts = list(check_method(trial("mae")))
    assert [verdict.passed for verdict in verdicts] == [False, True]
    assert verdicts[0].detail == "KeyError: 'colour'"


def test_missing_data_stops_the_trial(trial: Callable[..., ContractTrial]) -> None:
    attempt = trial("mae")
    attempt.config.packs = [str(Path("nowhere"))]
    with pytest.raises(Exception, match="nowhere: no such folder"):
        next(check_method(attempt))
