"""One cell of the benchmark from its configs to its record, at the smallest size."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from child_runs import read_log
from PIL import Image
from sklearn.metrics import f1_score

from benchmark.anatomy.extraction import vessel_mask
from benchmark.data.checks.leakage import (
    check_leakage,
    open_held_out,
    report_folder,
    write_leakage_report,
)
from benchmark.data.packs import PackCollection, build_pack
from benchmark.data.sources import open_source
from benchmark.data.tasks import TaskFolder
from benchmark.downstream import finetune
from benchmark.downstream import task as task_module
from benchmark.downstream.cell import BenchmarkCell
from benchmark.downstream.finetune import run_cell
from benchmark.downstream.segmentation.metrics import centreline_dice, definitions
from benchmark.downstream.segmentation.task import build_model
from benchmark.downstream.task import load_task
from benchmark.encoders.card import read_encoder_card
from benchmark.errors import InputError
from benchmark.files import read_json, write_json
from benchmark.results import config_hash, read_record
from benchmark.training.checkpoints.checkpoint import read_checkpoint
from benchmark.training.config import to_plain

# So large a rate makes four steps enough for a prediction that is neither empty nor full.
SMALL = ("epochs=2", "batch_size=2", "base_lr=0.03", "checkpoint_interval=1", "log_interval=1")
SMALL += ("keep_checkpoints=1",)

MakeCell = Callable[..., BenchmarkCell]


@pytest.fixture(scope="module")
def make_cell(vessels: TaskFolder, compose_cell: MakeCell, sizes: tuple[str, ...]) -> MakeCell:
    """A cell at 64² and two epochs; `options` come on top."""

    def make(
        work: Path,
        method: str = "mae",
        seed: int = 0,
        options: tuple[str, ...] = (),
        protocol: str | None = None,
    ) -> BenchmarkCell:
        shown = () if method == "frangi" else sizes
        settings = [*SMALL, *shown, f"data.folder={vessels.path}", *options]
        return compose_cell(work, method, "synthetic_v", settings, seed, protocol)

    return make


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory, export_vit: Callable[..., Path]) -> Path:
    """A work folder with an encoder where the configs of MAE look for it."""
    work = tmp_path_factory.mktemp("work")
    export_vit(work / "mae" / "pretrain", seed=1)
    return work


@pytest.fixture(scope="module")
def finished(encoder: Path, make_cell: MakeCell) -> BenchmarkCell:
    """A cell that has been run."""
    cell = make_cell(encoder)
    run_cell(cell)
    return cell


def scores(cell: BenchmarkCell) -> pd.DataFrame:
    return pd.read_csv(cell.record.with_suffix(".csv"))


def weights(cell: BenchmarkCell) -> dict[str, torch.Tensor]:
    return read_checkpoint(cell.folder / "epoch_2.pth").model


def assert_same_run(one: BenchmarkCell, two: BenchmarkCell) -> None:
    """Equal to the last bit: losses of every step, weights, and the scores of every image."""
    assert read_log(one.folder) == read_log(two.folder)
    first, second = weights(one), weights(two)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert (
        one.record.with_suffix(".csv").read_bytes() == two.record.with_suffix(".csv").read_bytes()
    )
    assert read_record(one.record).metrics == read_record(two.record).metrics


def test_the_record_says_what_was_run(finished, encoder, vessels):
    record = read_record(finished.record)
    assert finished.record == encoder / "results" / "demo" / "mae" / "synthetic_v" / "seed0.json"
    assert (record.protocol, record.method, record.title) == ("demo", "mae", "MAE")
    assert (record.dataset, record.task, record.seed) == ("synthetic_v", "segmentation", 0)
    assert record.split_hash == vessels.split_hash
    assert record.corpus_hash == "c0de"
    card = read_encoder_card(encoder / "mae" / "pretrain")
    assert record.encoder.model_dump() == {
        "fingerprint": card.fingerprint,
        "weights_sha256": card.weights_sha256,
        "provenance": card.provenance,
    }
    assert record.config == to_plain(finished.config)
    assert record.config_hash == config_hash(record.config)
    assert set(record.seeds.values()) == {0}
    rows = scores(finished)
    stems = [item["stem"] for item in vessels.splits["test"]]
    assert rows["image"].tolist() == stems
    assert record.n_images == len(stems) == 2
    assert {n: m.definition for n, m in record.metrics.items()} == definitions(["vessel"])
    assert {n for n, m in record.metrics.items() if m.headline} == {"dsc", "cldice"}
    for name in ("dsc", "cldice"):
        assert record.metrics[name].value == pytest.approx(rows[name].mean(), rel=1e-12)


def test_scores_are_those_of_the_trained_weights_at_native_size(finished, vessels):
    """The whole prediction again by hand: resize, normalise, network, resize back, threshold."""
    model = build_model(finished.config, seed=0)
    model.load_state_dict(weights(finished))
    model.eval()
    mean, std = (np.array(v) * 255 for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    for row in scores(finished).itertuples():
        frame = np.asarray(Image.open(vessels.image("test", row.image)))
        assert frame.shape == (80, 80)
        small = cv2.resize(frame, (64, 64), interpolation=cv2.INTER_LINEAR)
        image = torch.from_numpy((small[..., None] - mean) / std).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            logits = model.decode_head(model.neck(model.backbone(image)))
            logits = F.interpolate(logits, (80, 80), mode="bilinear", align_corners=False)[0, 0]
        expected = logits.numpy() > 0
        predicted = np.asarray(Image.open(finished.folder / "predictions" / f"{row.image}.png"))
        assert 0.02 < expected.mean() < 0.98, "a prediction that could be wrong"
        # Rounding may tip a pixel whose logit is all but zero, and no other.
        assert np.abs(logits.numpy()[predicted != expected]).max(initial=0) < 1e-3
        truth = np.asarray(Image.open(vessels.mask("test", row.image)))
        assert row.dsc == pytest.approx(100 * f1_score(truth.ravel(), predicted.ravel()), rel=1e-12)
        assert row.cldice == pytest.approx(100 * centreline_dice(predicted, truth), rel=1e-12)


def test_every_parameter_is_trained_at_its_rate(finished):
    """Cosine per epoch on the base rate; layer decay 0.75 over two blocks; no parameter missing."""
    rates = [line["lr"] for line in read_log(finished.folder)]
    assert rates == pytest.approx([0.03, 0.03, 0.015, 0.015])
    start = build_model(finished.config, seed=0)
    trained = weights(finished)
    for name, parameter in start.named_parameters():
        assert not torch.equal(parameter, trained[name]), name
    groups = read_checkpoint(finished.folder / "epoch_2.pth").optimizer["param_groups"]
    factors = sorted({group["lr_scale"] for group in groups})
    assert factors == pytest.approx([0.75**3, 0.75**2, 0.75, 1])
    assert sum(len(group["names"]) for group in groups) == len(list(start.parameters()))


def test_a_finished_cell_is_read_back(finished, encoder, make_cell, capsys):
    before = finished.record.read_bytes()
    record = run_cell(make_cell(encoder, options=("num_workers=1", "log_interval=9")))
    assert record == read_record(finished.record)
    assert capsys.readouterr().out == "MAE · synthetic_v · seed 0: done already\n"
    assert finished.record.read_bytes() == before


def test_a_record_of_other_settings_is_not_taken_for_this_one(
    finished, encoder, make_cell, tmp_path, export_vit
):
    before = finished.record.read_bytes()
    with pytest.raises(InputError, match=r"other settings \(base_lr: 0.03 → 0.5\); --overwrite"):
        run_cell(make_cell(encoder, options=("base_lr=0.5",)))
    export_vit(tmp_path / "mae" / "pretrain", seed=2)
    other = replace(make_cell(tmp_path), results=finished.results)
    with pytest.raises(InputError, match="made with another encoder; --overwrite"):
        run_cell(other)
    # Where the encoder is gone, the record stands for itself.
    (tmp_path / "mae" / "pretrain" / "encoder.json").unlink()
    assert run_cell(other) == read_record(finished.record)
    record = read_record(finished.record)
    assert finished.record.read_bytes() == before
    write_json(finished.record, {**record.model_dump(), "split_hash": "5e1f"})
    with pytest.raises(InputError, match="made with another split"):
        run_cell(make_cell(encoder))
    finished.record.write_bytes(before)


def test_one_seed_gives_one_result_and_overwrite_makes_it_anew(
    finished, make_cell, tmp_path, export_vit
):
    export_vit(tmp_path / "mae" / "pretrain", seed=1)
    changed = make_cell(tmp_path, options=("base_lr=0.1",))
    run_cell(changed)
    assert read_log(changed.folder)[0]["loss"] == read_log(finished.folder)[0]["loss"]
    assert read_log(changed.folder)[1]["loss"] != read_log(finished.folder)[1]["loss"]
    again = make_cell(tmp_path)
    run_cell(again, "always")
    assert_same_run(again, finished)


@pytest.mark.parametrize("processes", [0, 2])
def test_loader_processes_of_the_config_feed_a_test_on_a_gpu(
    processes, finished, vessels, make_cell, tmp_path, export_vit, monkeypatch
):
    """Scores do not depend on them; on a CPU there are none."""
    export_vit(tmp_path / "mae" / "pretrain", seed=1)
    cell = make_cell(tmp_path, options=(f"num_workers={processes}",))
    task = load_task("segmentation")
    assert finetune.assemble(cell, task, vessels).test_loader.num_workers == 0
    monkeypatch.setattr(task_module, "uses_gpu", lambda: True)
    assert finetune.assemble(cell, task, vessels).test_loader.num_workers == processes
    run_cell(cell)
    assert_same_run(cell, finished)


def test_cudnn_chooses_by_time_unless_the_config_says_otherwise(
    finished, make_cell, tmp_path, export_vit, before_step
):
    """For segmentation. In this cell only, whose hash is the same; on a CPU all its numbers are."""
    chosen: list[bool] = []
    for options in ((), ("env_cfg={}",)):
        work = tmp_path / str(len(options))
        export_vit(work / "mae" / "pretrain", seed=1)
        cell = make_cell(work, options=options)
        with before_step(3, lambda: chosen.append(torch.backends.cudnn.benchmark)):
            run_cell(cell)
        assert not torch.backends.cudnn.benchmark
    assert chosen == [True, False]
    assert read_record(cell.record).config_hash == read_record(finished.record).config_hash
    assert_same_run(cell, finished)


def test_an_interrupted_run_goes_on_as_if_nothing_had_been(
    finished, make_cell, tmp_path, export_vit, before_step, capsys
):
    """Also years later: the time in between does not count."""

    def kill() -> None:
        raise KeyboardInterrupt

    export_vit(tmp_path / "mae" / "pretrain", seed=1)
    cell = make_cell(tmp_path)
    # In the middle of the second epoch.
    with before_step(4, kill), pytest.raises(KeyboardInterrupt):
        run_cell(cell)
    assert not cell.record.exists()
    assert [path.name for path in cell.folder.glob("*.pth")] == ["epoch_1.pth"]
    assert len(read_log(cell.folder)) == 3
    description = {**read_json(cell.folder / "run.json"), "started": "2020-01-01T00:00:00+00:00"}
    write_json(cell.folder / "run.json", description)
    record = run_cell(make_cell(tmp_path))
    assert record.started == "2020-01-01T00:00:00+00:00"
    assert record.wall_time_s < 600
    assert "resuming after epoch 1" in capsys.readouterr().out
    assert_same_run(cell, finished)


def _batches(cell: BenchmarkCell, vessels: TaskFolder) -> list[dict[str, Any]]:
    cell.config.seed = cell.seed
    loader = finetune.assemble(cell, load_task("segmentation"), vessels).loader
    loader.batch_sampler.set_epoch(1)
    return list(loader)


def test_encoders_meet_the_same_frames_and_the_same_head(
    encoder, make_cell, vessels, tmp_path, export_vit
):
    """The seed decides order, augmentation and new weights; the encoder has no say in them."""
    # Another patch size draws other numbers while it is built, which must not reach the head.
    export_vit(tmp_path / "vasomim" / "pretrain", seed=8, patch_size=8)
    one, two = make_cell(encoder, seed=5), make_cell(tmp_path, "vasomim", seed=5)
    other = make_cell(encoder, seed=6)
    first, second, third = (_batches(cell, vessels) for cell in (one, two, other))
    for a, b in zip(first, second, strict=True):
        assert [s.img_path for s in a["data_samples"]] == [s.img_path for s in b["data_samples"]]
        assert all(torch.equal(x, y) for x, y in zip(a["inputs"], b["inputs"], strict=True))
    assert not all(torch.equal(a["inputs"][0], b["inputs"][0]) for a, b in zip(first, third))

    torch.manual_seed(77)  # what was drawn before must not matter
    states = [build_model(cell.config, cell.seed).state_dict() for cell in (one, two, other)]
    for name, value in states[0].items():
        if name.startswith("backbone."):
            continue
        assert torch.equal(value, states[1][name]), name
        if name.endswith("weight") and value.ndim > 1:
            assert not torch.equal(value, states[2][name]), name
    patches = "backbone.encoder.patch_embed.proj.weight"
    assert torch.equal(states[0][patches], states[2][patches]), "the encoder is the encoder"
    assert states[0][patches].shape != states[1][patches].shape


def test_the_record_takes_up_what_the_leakage_check_found(
    make_cell, tmp_path, export_vit, vessels, finished
):
    """The test frames themselves as the corpus: all are found, and the hash of the run stays."""
    source = open_source("synthetic", patients=3, videos=1, frames=5, first_frame=3, size=80)
    pack = build_pack(source, tmp_path / "pack", size=64, splits=["test"], progress=False)
    corpus, held_out = PackCollection([pack]), open_held_out(vessels.path)
    (report,) = check_leakage(corpus, [held_out], progress=False)
    folder = report_folder(vessels.path, corpus.corpus_hash)
    export_vit(tmp_path / "mae" / "pretrain", seed=1, corpus_hash=corpus.corpus_hash)
    cell = make_cell(tmp_path, options=("epochs=1",))
    write_leakage_report(folder, report, corpus, held_out)
    try:
        run_cell(cell)
    finally:
        shutil.rmtree(folder.parent)
    record = read_record(cell.record)
    assert record.leakage.model_dump() == {
        "report_hash": report["report_hash"],
        "exact": 2,
        "similar": 0,
        "groups": 1,
    }
    assert record.config_hash == config_hash(to_plain(cell.config))
    assert read_record(finished.record).leakage is None, "a corpus nobody has compared"


def test_frangi_needs_no_training(make_cell, tmp_path, vessels):
    threads = torch.get_num_threads()
    cell = make_cell(tmp_path, "frangi", options=(f"num_threads={threads + 1}",))
    record = run_cell(cell)
    assert torch.get_num_threads() == threads, "those that were taken are given back"
    assert (record.encoder, record.corpus_hash, record.pretraining) == (None, None, "—")
    assert (record.images_per_s, record.precision, record.skipped_steps) == (None, None, None)
    assert read_json(cell.folder / "run.json")["started"] == record.started
    patients = {item["stem"]: item["group"] for item in vessels.splits["test"]}
    assert dict(scores(cell)[["image", "patient"]].to_numpy()) == patients
    assert not (cell.folder / "metrics.jsonl").exists()
    assert list(cell.folder.glob("*.pth")) == []
    for row in scores(cell).itertuples():
        frame = torch.from_numpy(np.array(Image.open(vessels.image("test", row.image))))
        mask = vessel_mask(frame[None], kind="sato", alpha=92.0, border=20)[0].numpy()
        truth = np.asarray(Image.open(vessels.mask("test", row.image)))
        assert mask.any()
        assert row.dsc == pytest.approx(100 * f1_score(truth.ravel(), mask.ravel()), rel=1e-12)
        assert row.cldice == pytest.approx(100 * centreline_dice(mask, truth), rel=1e-12)


def test_a_network_from_scratch_is_a_row_too(make_cell, tmp_path):
    cell = make_cell(tmp_path, "unet", options=("epochs=1",))
    record = run_cell(cell)
    assert (record.encoder, record.family, record.pretraining) == (None, "from scratch", "—")
    assert record.metrics["dsc"].value == pytest.approx(scores(cell)["dsc"].mean())
    torch.manual_seed(3)
    states = [build_model(cell.config, seed).state_dict() for seed in (0, 0, 1)]
    assert not any(name.startswith("neck") for name in states[0])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    convolutions = [name for name in states[0] if states[0][name].ndim == 4]
    assert len(convolutions) > 20
    assert not any(torch.equal(states[0][name], states[2][name]) for name in convolutions)


@pytest.mark.parametrize("protocol", [None, pytest.param("aaai", marks=pytest.mark.slow)])
def test_two_frames_are_learnt_by_heart(protocol, encoder, make_cell, vessels):
    """The loss on one batch goes to nearly nothing through either head."""
    options = ("model.backbone.drop_path=0.0",)
    cell = make_cell(encoder, options=options, protocol=protocol)
    batch = _batches(cell, vessels)[0]
    model = build_model(cell.config, seed=0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    data = model.data_preprocessor(batch, training=True)
    losses = []
    for _ in range(160):
        terms = model(**data, mode="loss")
        loss = terms["decode.loss_bce"] + terms["decode.loss_dice"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if losses[-1] < 0.1 * losses[0]:
            return
    pytest.fail(f"loss {losses[0]} → {losses[-1]}")
