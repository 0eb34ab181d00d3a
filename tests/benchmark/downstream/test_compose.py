"""An exported encoder is fine-tuned without a config of its own."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.downstream.compose import compose, refuse_other_dataset
from benchmark.downstream.finetune import run_cell
from benchmark.encoders.encoder import export_encoder
from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS, card_of_encoder
from benchmark.nn.vit import VisionTransformer
from benchmark.results import config_hash
from benchmark.training.config import config_differences, to_plain

SMALL = ["epochs=1", "batch_size=2", "num_workers=0"]


def test_the_card_is_what_the_run_wrote(tmp_path):
    """Title, family and corpus from the provenance; the id from the folders of the run."""
    origin = dict(config_hash="ab", title="VasoMIM, ViT-L", family="f", pretraining="XA, 9 frames")
    export_encoder(tmp_path / "analysis" / "vit_l", VisionTransformer(32, 8, 32, 1, 2), origin)
    card = card_of_encoder(tmp_path / "analysis" / "vit_l")
    assert (card.method, card.title, card.family) == ("analysis-vit_l", "VasoMIM, ViT-L", "f")
    assert (card.pretraining, card.paper) == ("XA, 9 frames", "—")
    export_encoder(tmp_path / "my encoder", VisionTransformer(32, 8, 32, 1, 2), {})
    card = card_of_encoder(tmp_path / "my encoder")
    assert (card.method, card.family, card.pretraining) == (
        "my_encoder",
        "released weights",
        "not known",
    )
    with pytest.raises(InputError, match=r"encoder\.json"):
        card_of_encoder(tmp_path)


def test_a_folder_is_the_same_as_a_config_that_names_it(
    tmp_path, export_vit, vessels, compose_cell, sizes
):
    """Composed, trained and recorded as if a config spoke of it."""
    folder = export_vit(tmp_path / "mae" / "pretrain")
    options = [*SMALL, *sizes, f"data.folder={vessels.path}"]
    named, cell = (compose_cell(tmp_path, m, "synthetic_v", options) for m in ("mae", folder))
    assert config_differences(to_plain(named.config), to_plain(cell.config)) == []
    record = run_cell(cell)
    written = json.loads(cell.record.read_text())
    assert written["method"] == record.method == "pretrain"
    assert record.encoder.provenance["run"] == "pretrain"


def test_an_analysis_is_the_same_as_the_folder_of_its_run(tmp_path):
    """Same config, hash and record, whichever way it is named."""
    work = tmp_path / "work"
    origin = dict(config_hash="ab", title="VasoMIM, ViT-L/16", family="masked image modelling")
    folder = work / "analysis" / "vit_l"
    export_encoder(folder, VisionTransformer(32, 8, 32, 1, 2), origin)
    arguments = ("synthetic_v", "tiny", ["epochs=3"], work)
    named, card = compose(CONFIGS, "analysis-vit_l", *arguments)
    found, other = compose(CONFIGS, folder, *arguments)
    assert to_plain(named) == to_plain(found)
    assert named.model.backbone.folder == str(folder)
    assert config_hash(to_plain(named)) == config_hash(to_plain(found))
    for field in ("method", "title", "family"):
        assert getattr(card, field) == getattr(other, field)


def test_an_encoder_config_beside_the_pretraining_takes_precedence(tmp_path):
    configs = tmp_path / "configs"
    shutil.copytree(CONFIGS, configs, ignore=shutil.ignore_patterns("__pycache__"))
    usual, _ = compose(configs, "mae", "synthetic_v", "tiny", [], tmp_path)
    assert usual.model.backbone.folder == f"{tmp_path}/mae/pretrain"
    (configs / "mae" / "encoder.py").write_text(
        "from benchmark.downstream.segmentation.model import EncoderBackbone\n"
        "encoder = dict(type=EncoderBackbone, folder='{work}/mine', drop_path=0.2)\n"
    )
    changed, _ = compose(configs, "mae", "synthetic_v", "tiny", [], tmp_path)
    assert changed.model.backbone.folder == f"{tmp_path}/mine"
    assert changed.model.backbone.drop_path == 0.2


def test_the_folder_of_another_data_set_is_refused():
    """Its scores would stand in the column of this one."""
    for kind, task, refused in (
        ("segmentation", "synthetic_v", True),
        ("segmentation", "dca1", False),
        ("segmentation", "mine", False),
        ("denoising", "synthetic_v", False),
        ("detection", "synthetic_v", False),
    ):
        folder = SimpleNamespace(kind=kind, task=task, path=Path("there"))
        words = "there: prepared as synthetic_v; give --data the folder of dca1"
        with pytest.raises(InputError, match=words) if refused else nullcontext():
            refuse_other_dataset(CONFIGS, "dca1", folder)


def test_a_config_says_which_settings_are_the_methods(tmp_path):
    """The board compares the others; what the command line sets is nobody's own."""
    own = compose(CONFIGS, "detr", "stenosis", "tiny", [], tmp_path)[0]
    assert {"base_lr", "clip_grad", "optimizer"} <= set(own.method_settings)
    changed = compose(CONFIGS, "detr", "stenosis", "tiny", ["base_lr=0.1"], tmp_path)[0]
    assert set(own.method_settings) - set(changed.method_settings) == {"base_lr"}
    usual = compose(CONFIGS, "mae", "stenosis", "tiny", [], tmp_path)[0]
    assert "method_settings" not in usual
    own.pop("method_settings")
    named = compose(CONFIGS, "detr", "stenosis", "tiny", [], tmp_path)[0]
    assert config_hash(to_plain(named)) == config_hash(to_plain(own))
