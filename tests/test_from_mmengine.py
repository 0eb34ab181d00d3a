"""`docs/from_mmengine.md`: its Python runs, and the names it lists are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmark import registry
from benchmark.training.config_keys import FINETUNE_KEYS, PRETRAIN_KEYS
from benchmark.training.hooks import DEFAULT_HOOKS

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "from_mmengine.md").read_text()


def rows(section: str) -> list[list[str]]:
    """The cells of the tables of a section, without their heads."""
    part = TEXT.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] not in ("in OpenMMLab", "---")]


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL))
def test_its_python_runs(block):
    exec(block, {})


def test_every_default_hook_is_listed():
    listed = [re.findall(r"`(\w+)`", row[1]) for row in rows("Hooks")]
    assert sorted(name for names in listed for name in names) == sorted(DEFAULT_HOOKS)


def test_hooks_and_registries_of_mmengine_exist():
    names = {name for row in rows("Hooks") for name in re.findall(r"`(\w+Hook)`", row[0])}
    import mmengine.hooks as hooks

    # Those of mmsegmentation and mmdetection draw predictions.
    own = {name for name in names if not name.endswith("VisualizationHook")}
    assert own
    assert all(hasattr(hooks, name) for name in own)
    for row in rows("Configs"):
        for name in re.findall(r"`([A-Z_]+)`", row[1]):
            assert hasattr(registry, name), name


def test_keys_are_those_of_configs():
    known = {**PRETRAIN_KEYS, **FINETUNE_KEYS}
    named = ("epochs", "schedule", "optimizer", "clip_grad", "batch_size", "micro_batch", "seed")
    named += ("precision", "base_lr", "lr_batch", "log_interval", "checkpoint_interval", "env_cfg")
    for name in (*named, "keep_checkpoints", "custom_hooks", "default_hooks", "visualizer"):
        assert f"`{name}" in TEXT, name
        assert name in known, name
