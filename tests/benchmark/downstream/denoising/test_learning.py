"""Denoising as rows of the board: one command from config to record, and that it is learnt."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from raw_layouts import MemorySource

from benchmark.data.denoising import Degradation
from benchmark.data.frame import Frame
from benchmark.data.tasks import write_task_folder
from benchmark.downstream.cell import BenchmarkCell
from benchmark.downstream.compose import compose
from benchmark.downstream.denoising.classical import NonLocalMeans
from benchmark.downstream.denoising.metrics import definitions, psnr, ssim
from benchmark.downstream.denoising.task import TASK
from benchmark.downstream.finetune import run_cell
from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS
from benchmark.results import read_record
from benchmark.training.checkpoints.checkpoint import read_checkpoint


def _scores(cell: BenchmarkCell) -> pd.DataFrame:
    return pd.read_csv(cell.record.with_suffix(".csv"))


@pytest.mark.parametrize("method", ["mae", "dncnn", "nlm"])
def test_the_record_is_what_the_trained_weights_score(
    method, denoising_cell, noisy, tmp_path, export_vit
):
    """Trained twice from one seed: the same bytes; and every score again from the prediction."""
    cells = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        export_vit(folder / "mae" / "pretrain", seed=1)
        cells.append(denoising_cell(folder, method))
        run_cell(cells[-1])
    cell, other = cells
    record = read_record(cell.record)
    assert (record.protocol, record.task, record.dataset) == (
        "aaai-demo",
        "denoising",
        "synthetic_n",
    )
    assert record.split_hash == noisy.split_hash
    assert (record.encoder is not None) == (method == "mae")
    assert {n: m.definition for n, m in record.metrics.items()} == definitions([0, 1, 2])
    assert {n for n, m in record.metrics.items() if m.headline} == {"psnr", "ssim"}
    assert all(metric.higher_is_better for metric in record.metrics.values())
    csv = cell.record.with_suffix(".csv").read_bytes()
    assert csv == other.record.with_suffix(".csv").read_bytes()

    model = TASK.build_model(cell.config, seed=0).eval()
    if method != "nlm":
        assert record.images_per_s > 0
        model.load_state_dict(read_checkpoint(cell.folder / "epoch_2.pth").model)
    rows = _scores(cell)
    assert rows["image"].tolist() == [item["stem"] for item in noisy.splits["test"]]
    for row in rows.itertuples():
        frame = np.array(Image.open(noisy.image("test", row.image)))
        clean = np.asarray(Image.open(noisy.clean("test", row.image)))
        written = np.asarray(Image.open(cell.folder / "predictions" / f"{row.image}.png"))
        assert row.psnr == pytest.approx(psnr(written, clean), rel=1e-12)
        assert row.ssim == pytest.approx(100 * ssim(written, clean), rel=1e-12)
        if method == "dncnn":  # whole, and by hand
            with torch.no_grad():
                noise = 255 * model.backbone(torch.from_numpy(frame / 255)[None, None].float())
            expected = np.rint(frame - noise[0, 0].numpy()).clip(0, 255)
            # Rounding may tip a pixel by one grey level, and no more.
            assert np.abs(written - expected).max() <= 1
            assert not np.array_equal(written, frame)
    assert record.metrics["psnr"].value == pytest.approx(rows["psnr"].mean(), rel=1e-12)


def test_nlm_is_run_with_the_settings_of_its_config(tmp_path):
    config, card = compose(CONFIGS, "nlm", "synthetic_n", "paper", [], tmp_path)
    model = TASK.build_model(config, seed=0)
    assert isinstance(model, NonLocalMeans)
    assert (model.patch_size, model.patch_distance, model.strength) == (7, 10, 0.8)
    assert (card.title, config.epochs, config.protocol) == ("NLM", 0, "aaai")


def test_the_paper_scale_is_the_protocol(tmp_path):
    config, _ = compose(CONFIGS, "dncnn", "denoising", "paper", [], tmp_path)
    assert (config.protocol, config.epochs, config.base_lr, config.lr_batch) == (
        "aaai",
        500,
        1e-4,
        None,
    )
    assert config.optimizer.weight_decay == 0.05
    model = TASK.build_model(config, seed=0)
    assert sum(parameter.numel() for parameter in model.parameters()) == 556_096


@pytest.mark.parametrize(
    ("method", "dataset", "message"),
    [
        ("frangi", "synthetic_n", "frangi: a model for segmentation, but synthetic_n is denoising"),
        ("detr", "dca1", "detr: a model for detection, but dca1 is segmentation"),
        ("unet", "synthetic_d", "unet: a model for segmentation, but synthetic_d is detection"),
        ("nlm", "synthetic_v", "nlm: a model for denoising, but synthetic_v is segmentation"),
        ("dncnn", "synthetic_d", "dncnn: a model for denoising, but synthetic_d is detection"),
    ],
)
def test_models_of_other_tasks_are_refused(tmp_path, method, dataset, message):
    with pytest.raises(InputError) as caught:
        compose(CONFIGS, method, dataset, "tiny", [], tmp_path)
    assert str(caught.value) == message


class Discs(MemorySource):
    """Smooth discs on a smooth ground, without noise of their own: easy to tell from noise."""

    forms = ("denoising",)

    def frames(self):
        for number in range(24):
            study = f"m/{number // 3}"
            split = "test" if number >= 18 else "train"
            yield Frame("memory", f"{number}.png", study, f"{study}/{number}", number, split)

    def read(self, frame: Frame) -> np.ndarray:
        rng = np.random.default_rng(int(frame.path.removesuffix(".png")))
        picture = np.full((96, 96), 170, np.uint8)
        for _ in range(4):
            x, y, radius = (int(v) for v in rng.integers((10, 10, 6), (86, 86, 22)))
            cv2.circle(picture, (x, y), radius, int(rng.integers(60, 140)), -1)
        return cv2.GaussianBlur(picture, (0, 0), 2)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "gain"), [("mae", 10.0), ("dncnn", 6.0)])
def test_unseen_frames_come_out_cleaner_than_they_went_in(
    method, gain, tmp_path, denoising_cell, export_vit
):
    """18 easy frames and an encoder of random weights: many dB above the input after seconds."""
    noise = Degradation(photons=(120.0,), electronic=0.02, blur=0.0)
    folder = write_task_folder(
        Discs([]), tmp_path / "task", "denoising", degradation=noise, progress=False
    )
    export_vit(tmp_path / "mae" / "pretrain", seed=1)
    options = (f"data.folder={folder.path}", "epochs=30", "batch_size=6", "checkpoint_interval=30")
    cell = denoising_cell(tmp_path, method, options=options)
    run_cell(cell)
    rows = _scores(cell)
    assert (rows["psnr"] > rows["psnr_input"] + gain).all()
    assert (rows["ssim"] > rows["ssim_input"]).all()
