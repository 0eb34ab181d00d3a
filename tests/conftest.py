"""Shared small models and views, tools run in process, and seeding."""

from __future__ import annotations

import gc
import json
import os
import random
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.device import VARIABLE, hide_gpus
from benchmark.nn.decoders.mae import MAEDecoder
from benchmark.nn.vit import VisionTransformer
from benchmark.openmmlab.mmcv_ops import install_mmcv_ops

# Before a test imports mmpretrain, which may import parts of mmdet.
install_mmcv_ops()
# The models are too small for several threads.
torch.set_num_threads(1)
# No test cuts the power: syncing to the disk would take a twentieth of the time.
os.fsync = lambda handle: None

IMAGE, PATCH, DIM = 32, 8, 32
ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / "tools"


def randomise(module: nn.Module, seed: int) -> nn.Module:
    """Perturb every parameter: initial zeros and ones would hide wrong terms."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return module


def pytest_configure(config: pytest.Config) -> None:
    # pytest-randomly shuffles the tests; we seed them ourselves, independently of the order.
    config.option.randomly_reset_seed = False
    os.environ[VARIABLE] = "auto" if _on_gpu(config) else "cpu"
    hide_gpus()


def _on_gpu(config: pytest.Config) -> bool:
    """Whether GPU tests are selected (-m gpu); all others run on the CPU."""
    return config.option.markexpr.startswith("gpu")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if _on_gpu(config) and torch.cuda.is_available():
        return
    reason = "needs a CUDA device" if _on_gpu(config) else "run with -m gpu"
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish() -> None:
    """Leave libraries and collected tests out of garbage collections, which some of them force."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    seed = getattr(config.option, "randomly_seed", None)  # None under -p no:randomly
    if seed is not None:
        terminalreporter.write_line(f"same order again: --randomly-seed={seed}")


def _seed_all() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  # used by libraries
    if torch.cuda.is_available():
        torch.manual_seed(0)
    else:  # as `seed_torch`: a stack trace for every test would take a millisecond
        torch.default_generator.manual_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef) -> None:
    """Seed shared fixtures, so that they do not depend on the order of the tests."""
    if fixturedef.scope != "function":
        _seed_all()


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Seed every test, so that initial weights do not depend on the order."""
    _seed_all()


@pytest.fixture(name="randomise")
def _randomise() -> Callable[[nn.Module, int], nn.Module]:
    return randomise


class Result(NamedTuple):
    """Exit code and output of a command."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def refusal(self) -> str:
        """The one-line error of a refused command, which must print nothing else."""
        assert (self.returncode, self.stdout) == (2, ""), self
        assert self.stderr.startswith("error: ")
        assert self.stderr.count("\n") == 1
        return self.stderr


_ANSWERS = """
import contextlib, io, json, runpy, sys
sys.path.insert(0, "tools")
for tool, *arguments in json.load(sys.stdin):
    sys.argv, out, err = [tool, *arguments], io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_path(f"tools/{tool}", run_name="__main__")
        except SystemExit as end:
            code = end.code
    heavy = {"torch", "mmengine", "mmseg", "timm", "pandas", "pyarrow", "scipy", "matplotlib"}
    assert not heavy & sys.modules.keys(), (tool, arguments, heavy & sys.modules.keys())
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


@pytest.fixture(scope="session")
def light_answers() -> Callable[..., list[Result]]:
    """Run tools in turn, in one process that must not import heavy packages such as torch."""

    def answers(*commands: tuple[str, ...]) -> list[Result]:
        start = [sys.executable, "-c", _ANSWERS]
        text = json.dumps(commands)
        done = subprocess.run(start, input=text, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [Result(*json.loads(line)) for line in done.stdout.splitlines()]

    return answers


@pytest.fixture
def run_tool(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Run a tool (its name in ``tools/``, or a path) in this process, with libraries loaded."""

    def run(tool: str | Path, *arguments: str | Path | float) -> Result:
        path = TOOLS / f"{tool}.py" if isinstance(tool, str) else tool
        monkeypatch.syspath_prepend(path.parent)
        # As `_cli` does when it is first imported: `leaderboard` is the package, not the tool.
        monkeypatch.syspath_prepend(path.parent.parent)
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(path), run_name="__main__")
        return Result(end.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def tiny_vit() -> VisionTransformer:
    """ViT for 32² pixels: 4×4 patches of 8², width 32, two blocks, randomised parameters."""
    vit = VisionTransformer(img_size=IMAGE, patch_size=PATCH, embed_dim=DIM, depth=2, num_heads=4)
    return randomise(vit, 1)


@pytest.fixture
def tiny_decoder() -> MAEDecoder:
    """Decoder for `tiny_vit`, of width 16."""
    decoder = MAEDecoder(DIM, (4, 4), PATCH, width=16, depth=2, num_heads=2)
    return randomise(decoder, 2)


@pytest.fixture
def tiny_views() -> dict[str, Tensor]:
    """Four views of 32², with vessels in some patches and none in the last view."""
    rng = np.random.default_rng(3)
    anatomy = np.zeros((4, 1, IMAGE, IMAGE))
    anatomy[0, 0, :, 9:13] = 1
    anatomy[1, 0, 3, :] = 1
    anatomy[2, 0, 16:, 16:] = rng.random((16, 16)) < 0.3
    return {
        "image": torch.from_numpy(rng.normal(0, 1, (4, 3, IMAGE, IMAGE))).float(),
        "anatomy": torch.from_numpy(anatomy).float(),
        "index": torch.tensor([11, 5, 170_000, 0]),
        "mask_noise": torch.from_numpy(rng.uniform(0.001, 0.999, (4, 16))).float(),
        "guide_noise": torch.from_numpy(rng.uniform(0.001, 0.999, (4, 16))).float(),
    }
