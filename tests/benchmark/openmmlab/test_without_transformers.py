"""What a process of its own imports of OpenMMLab, and that it leaves `transformers` alone.

One is installed that would break OpenMMLab's imports.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.method_cards import CONFIGS
from benchmark.openmmlab.without_transformers import hidden

# What fine-tuning for segmentation imports.
SEGMENTATION = """
import json, sys
from pathlib import Path
from benchmark.downstream.compose import compose
from benchmark.downstream.task import load_task
def composed(method, dataset):
    return compose(Path({configs!r}), method, dataset, "tiny", [], Path("work"))[0]
for method in ("unet", "mae"):
    composed(method, "dca1")
load_task("segmentation")
print(json.dumps([name for name in ("mmdet", "mmpretrain", "transformers") if name in sys.modules]))
"""
EVERYTHING = """
for dataset in ("synthetic_d", "stenosis", "synthetic_n"):
    load_task(composed("mae", dataset).task)
from mmdet.models.detectors import FasterRCNN
import mmpretrain.models
before = "transformers" in sys.modules
import transformers
from mmengine.optim import OPTIMIZERS
print(json.dumps([before, transformers.__version__, "Adafactor" in OPTIMIZERS]))
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Version 5, as far as its name and its metadata go."""
    package = tmp_path / "site" / "transformers"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("__version__ = '5.0.0'\n")
    metadata = tmp_path / "site" / "transformers-5.0.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: transformers\nVersion: 5.0.0\n")
    return tmp_path / "site"


def answers(code: str, site: Path) -> list:
    """What a process of its own prints, a list per line."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(CONFIGS.parent), str(site)])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_segmentation_imports_no_models_of_other_tasks(installed):
    """The models of mmdet and mmpretrain take longest to import."""
    assert answers(SEGMENTATION.format(configs=str(CONFIGS)), installed) == [[]]


@pytest.mark.slow
@pytest.mark.parametrize("first", ["", "import transformers"])
def test_nothing_here_imports_it_and_everybody_else_can(installed, first):
    code = f"{first}\n{SEGMENTATION.format(configs=str(CONFIGS))}{EVERYTHING}"
    segmentation, everything = answers(code, installed)
    assert segmentation == (["transformers"] if first else [])
    assert everything == [bool(first), "5.0.0", False]


def test_what_is_hidden_comes_back(monkeypatch):
    """Loaded packages as they were; others can be imported again, also after an error."""
    module = type(sys)("loaded_one")
    monkeypatch.setitem(sys.modules, "loaded_one", module)
    monkeypatch.delitem(sys.modules, "this", raising=False)
    for error in (None, ValueError):
        try:
            with hidden("loaded_one", "this"):
                for name in ("loaded_one", "this"):
                    with pytest.raises(ImportError):
                        __import__(name)
                if error:
                    raise error
        except ValueError:
            pass
        assert sys.modules["loaded_one"] is module
        assert "this" not in sys.modules
