"""Protocols and recipes: what another one changes, and that it changes nothing else."""

from __future__ import annotations

import pytest
import torch

from benchmark.downstream.compose import compose
from benchmark.downstream.finetune import run_cell
from benchmark.downstream.preview import find_dataset
from benchmark.downstream.segmentation.plain import PatchMap, PlainUNetDecoder
from benchmark.downstream.segmentation.task import build_model
from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS
from benchmark.training.config import config_differences, to_plain

AAAI = sorted(path.stem for path in (CONFIGS / "downstream" / "aaai").glob("*.py"))
SMALL = ["epochs=1", "batch_size=2", "base_lr=0.01", "num_workers=0", "keep_checkpoints=1"]


def test_data_sets_of_the_aaai_paper_have_a_config():
    assert {"arcade_v", "caxf", "xcav"} <= set(AAAI)


@pytest.mark.parametrize("dataset", AAAI)
def test_aaai_is_the_papers_recipe(dataset, tmp_path):
    """lr 1e-4, weight decay 0.05, 500 epochs, no SimpleFPN; what is not stated is the journal's."""
    ours, _ = compose(CONFIGS, "mae", dataset, "paper", [], tmp_path, "aaai")
    assert (ours.protocol, ours.epochs, ours.base_lr) == ("aaai", 500, 1e-4)
    assert ours.optimizer.weight_decay == 0.05
    assert (ours.model.neck.type, ours.model.decode_head.type) == (PatchMap, PlainUNetDecoder)
    journal, _ = compose(CONFIGS, "mae", dataset, "paper", [], tmp_path)
    changed = {line.split(":")[0] for line in config_differences(to_plain(journal), to_plain(ours))}
    allowed = {"protocol", "epochs", "base_lr", "data.folder", "model.decode_head.type"}
    assert {name for name in changed if not name.startswith("model.neck.")} <= allowed


@pytest.mark.parametrize("scale", ["tiny", "small"])
def test_protocols_do_not_mix_at_any_scale(scale, tmp_path):
    ids = {
        compose(CONFIGS, "mae", "synthetic_v", scale, [], tmp_path, protocol)[0].protocol
        for protocol in (None, "aaai")
    }
    assert len(ids) == 2


def test_an_aaai_cell_is_recorded_under_its_protocol(
    vessels, tmp_path, export_vit, compose_cell, sizes
):
    """Trained, scored, recorded; the head depends on the seed and not on the encoder."""
    states = []
    for method, patch in (("mae", 16), ("vasomim", 8)):
        export_vit(tmp_path / method / "pretrain", seed=patch, patch_size=patch)
        options = [*SMALL, *sizes, f"data.folder={vessels.path}"]
        cell = compose_cell(tmp_path, method, "synthetic_v", options, protocol="aaai")
        states.append(build_model(cell.config, seed=3).state_dict())
    for name, value in states[0].items():
        if not name.startswith("backbone."):
            assert torch.equal(value, states[1][name]), name
    record = run_cell(cell)
    assert cell.record == tmp_path / "results/aaai-demo/vasomim/synthetic_v/seed0.json"
    assert record.metrics["dsc"].value >= 0
    state = torch.load(cell.folder / "epoch_1.pth", weights_only=True)["model"]
    assert not torch.equal(state["neck.project.0.weight"], states[1]["neck.project.0.weight"])


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(InputError, match=r"--protocol aai: no folder .*; known: .*aaai"):
        find_dataset(CONFIGS, "xcav", "aai")
    with pytest.raises(InputError, match=r"arcade_vs: no such dataset in .*aaai; known: arcade_v"):
        find_dataset(CONFIGS, "arcade_vs", "aaai")


def test_a_data_set_of_one_protocol_is_found_under_its_name():
    usual = CONFIGS / "downstream" / "denoising.py"
    assert find_dataset(CONFIGS, "denoising", "aaai") == usual
    assert find_dataset(CONFIGS, "denoising") == usual


def test_a_method_brings_its_own_recipe_but_not_its_own_test(tmp_path):
    """DETR clips, decays and steps as in its paper; Faster R-CNN keeps the dataset's recipe."""
    detr, _ = compose(CONFIGS, "detr", "stenosis", "paper", [], tmp_path)
    rcnn, _ = compose(CONFIGS, "faster_rcnn", "stenosis", "paper", [], tmp_path)
    assert (detr.base_lr / detr.lr_batch, detr.optimizer.weight_decay) == (1e-4 / 16, 1e-4)
    assert detr.clip_grad == {"max_norm": 0.1, "norm_type": 2}
    assert detr.schedule.milestones == (2 / 3,)
    assert (rcnn.base_lr / rcnn.lr_batch, rcnn.clip_grad) == (1e-4 / 64, None)
    assert (detr.epochs, detr.test_pipeline) == (rcnn.epochs, rcnn.test_pipeline)

    folder = tmp_path / "configs"
    (folder / "mine").mkdir(parents=True)
    (folder / "downstream").symlink_to(CONFIGS / "downstream")
    (folder / "_base_").symlink_to(CONFIGS / "_base_")
    text = 'card = dict(title="T", family="f", paper="p", pretraining="—")\n'
    (folder / "mine" / "encoder.py").write_text(text + "training = dict(epochs=3)\n")
    with pytest.raises(InputError, match="unknown mine: training 'epochs'"):
        compose(folder, "mine", "stenosis", "paper", [], tmp_path)


def test_classical_rows_of_table_x_differ_in_alpha_only(tmp_path):
    rows = {
        alpha: to_plain(compose(CONFIGS, name, "arcade_v", "paper", [], tmp_path)[0])
        for alpha, name in ((92.0, "frangi"), (80.0, "frangi_80"), (50.0, "frangi_50"))
    }
    for alpha in (80.0, 50.0):
        assert config_differences(rows[92.0], rows[alpha]) == [f"model.alpha: 92.0 → {alpha}"]


def test_a_file_whose_name_is_an_id_of_another_dataset_is_refused(tmp_path):
    """Its records would stand in that one's table of frozen features."""
    (tmp_path / "downstream").mkdir()
    (tmp_path / "downstream" / "mine-linear.py").write_text("task = 'segmentation'\n")
    with pytest.raises(InputError, match=r"mine-linear.py: this name is an id of mine in records"):
        find_dataset(tmp_path, "mine-linear")
