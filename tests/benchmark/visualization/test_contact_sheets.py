"""Contact sheets: every panel shows the pixels its title says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.data.packs import add_anatomy, build_pack
from benchmark.data.sources import open_source
from benchmark.data.tasks import TaskFolder, write_task_folder
from benchmark.errors import InputError
from benchmark.files import read_json, write_json
from benchmark.method_cards import CONFIGS
from benchmark.training.checkpoints.checkpoint import read_checkpoint, save_checkpoint
from benchmark.training.config import load_config
from benchmark.training.train import train
from benchmark.visualization import contact_sheets
from benchmark.visualization.contact_sheets import (
    draw_sheet,
    extraction_alpha,
    legend,
    overlay,
    prediction_rows,
    pretraining_rows,
)

RED, GREEN, BLUE, YELLOW = (230, 70, 70), (90, 190, 110), (70, 130, 230), (240, 190, 60)


def _source() -> Any:
    return open_source("synthetic", patients=2, videos=1, frames=5, first_frame=3, size=64)


def dark(frames: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """A vessel mask that is easy to reproduce: values below 90."""
    return frames < 90


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    path = tmp_path_factory.mktemp("sheets") / "pack"
    build_pack(_source(), path, size=64, progress=False)
    return add_anatomy(path, dark, {"rule": "dark"}, progress=False)


@pytest.fixture(scope="module")
def run(pack, tmp_path_factory):
    """One epoch of MAE at 64² on four frames."""
    options = ["epochs=1", "batch_size=4", "method.views.size=64", "method.encoder.img_size=64"]
    options += [
        "method.encoder.embed_dim=32",
        "method.encoder.num_heads=2",
        "method.encoder.depth=1",
        "method.decoder.depth=1",
    ]
    config = load_config(CONFIGS / "mae" / "pretrain.py", "tiny", options)
    config.packs = [str(pack.path)]
    folder = tmp_path_factory.mktemp("run") / "pretrain"
    train(config, folder, "MAE", resume=False, overwrite=False)
    return folder


def _run_with(data: TaskFolder, folder: Path) -> Path:
    (folder / "predictions").mkdir(parents=True, exist_ok=True)
    write_json(folder / "run.json", {"data": str(data.path)})
    return folder


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A fine-tuned run whose predictions are the ground truth, shifted by three pixels."""
    root = tmp_path_factory.mktemp("scored")
    data = write_task_folder(_source(), root / "task", "segmentation", "vessels", progress=False)
    (root / "run" / "predictions").mkdir(parents=True)
    for item in data.splits["test"]:
        truth = np.asarray(Image.open(data.mask("test", item["stem"]))) > 0
        moved = Image.fromarray(np.roll(truth, 3, axis=1))
        moved.save(root / "run" / "predictions" / f"{item['stem']}.png")
    return _run_with(data, root / "run"), data


@pytest.fixture
def drawn(monkeypatch):
    """The rows of the sheet, which is still drawn."""
    rows: list[contact_sheets.SheetRow] = []
    save = contact_sheets.save_sheet

    def spy(given: list[contact_sheets.SheetRow], out: Path, alpha: float | None) -> None:
        rows.extend(given)
        save(given, out, alpha)

    monkeypatch.setattr(contact_sheets, "save_sheet", spy)
    return rows


def tinted(gray: int, colour: tuple[int, int, int]) -> list[int]:
    return [int(0.45 * gray + 0.55 * channel) for channel in colour]


def test_overlay_tints_the_mask_and_nothing_else():
    frame = np.array([[0, 100], [200, 255]], np.uint8)
    mask = np.array([[True, False], [False, True]])
    image = overlay(frame, mask)
    assert image.dtype == np.uint8
    assert image[0, 1].tolist() == [100] * 3
    assert image[1, 0].tolist() == [200] * 3
    assert image[0, 0].tolist() == tinted(0, RED) == [126, 38, 38]
    assert image[1, 1].tolist() == tinted(255, RED) == [241, 153, 153]


def test_pack_sheet(pack, drawn, tmp_path):
    """Every panel is found in the file, enlarged by nearest neighbour."""
    line = draw_sheet(pack.path, tmp_path / "sheet.png", count=3)
    assert line == f"{tmp_path / 'sheet.png'}: 3 frames of the pack {pack.path}"
    assert list(drawn[0]) == ["frame", "vessels B"]
    for row, index in zip(drawn, (0, 2, 3), strict=True):  # 0, 1.5 and 3, rounded to even
        frame = np.asarray(pack.frames[index])
        np.testing.assert_array_equal(row["frame"], frame)
        np.testing.assert_array_equal(row["vessels B"], overlay(frame, frame < 90))
        assert 0 < (frame < 90).mean() < 0.9
    image = (255 * matplotlib.image.imread(tmp_path / "sheet.png")[..., :3]).round().astype(int)
    painted = (image < 255).any(axis=2)
    red = (image[..., 0] - image[..., 1] > 60).any(axis=0)
    assert painted.mean() > 0.5
    assert not red[: len(red) // 2].any(), "frames are left"
    assert red[len(red) // 2 :].any(), "vessels are right"
    colours = {tuple(colour) for colour in image.reshape(-1, 3)}
    for row in drawn:
        shown = {tuple(map(int, colour)) for colour in row["vessels B"].reshape(-1, 3)}
        assert len(shown & colours) > 0.9 * len(shown)
    draw_sheet(pack.path, tmp_path / "again.png", count=3)
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "sheet.png").read_bytes()


def test_segmentation_sheet_colours(scored, tmp_path):
    folder, data = scored
    assert "frames of the fine-tuned run" in draw_sheet(folder, tmp_path / "sheet.png", count=9)
    rows = prediction_rows(folder, count=9)
    assert len(rows) == len(data.splits["test"]) == 2
    for row, item in zip(rows, data.splits["test"]):
        frame = np.asarray(Image.open(data.image("test", item["stem"])))
        truth = np.asarray(Image.open(data.mask("test", item["stem"]))) > 0
        prediction = np.roll(truth, 3, axis=1)
        np.testing.assert_array_equal(row["frame"], frame)
        np.testing.assert_array_equal(row["truth"], overlay(frame, truth))
        np.testing.assert_array_equal(row["prediction"], overlay(frame, prediction))
        expected = np.repeat(frame[..., None], 3, axis=2).astype(float)
        expected[truth & prediction] = 0.45 * expected[truth & prediction] + 0.55 * np.array(GREEN)
        expected[truth & ~prediction] = BLUE
        expected[~truth & prediction] = YELLOW
        assert np.abs(row["hit / missed / false"] - expected).max() <= 1


def test_denoising_sheet(tmp_path):
    source = open_source("synthetic", patients=2, videos=1, frames=4, first_frame=2, size=64)
    data = write_task_folder(source, tmp_path / "task", "denoising", progress=False)
    run = _run_with(data, tmp_path / "run")
    for item in data.splits["test"]:
        clean = np.asarray(Image.open(data.clean("test", item["stem"])))
        brighter = np.minimum(clean.astype(int) + 5, 255).astype(np.uint8)
        Image.fromarray(brighter).save(run / "predictions" / f"{item['stem']}.png")
    rows = prediction_rows(run, count=9)
    assert len(rows) == len(data.splits["test"]) > 0
    for row, item in zip(rows, data.splits["test"]):
        clean = np.asarray(Image.open(data.clean("test", item["stem"])))
        np.testing.assert_array_equal(row["clean"], clean)
        np.testing.assert_array_equal(row["error × 4"], 4 * np.minimum(5, 255 - clean.astype(int)))
        assert not np.array_equal(row["degraded"], clean)
    assert f"{len(rows)} frames" in draw_sheet(run, tmp_path / "sheet.png", count=9)


def test_detection_sheet_skips_low_scores(tmp_path):
    source = open_source("synthetic", patients=4, videos=1, frames=4, first_frame=3, size=128)
    data = write_task_folder(source, tmp_path / "task", "detection", progress=False)
    run = _run_with(data, tmp_path / "run")
    listed = read_json(data.coco("test"))
    detections = [
        {"image_id": image["id"], "category_id": 1, "bbox": box, "score": score}
        for image in listed["images"]
        for box, score in (([10.2, 20.4, 30, 12], 0.9), ([60, 60, 9, 9], 0.4))
    ]
    write_json(run / "predictions" / "detections.json", detections)
    rows = prediction_rows(run, count=99)
    assert len(rows) == len(listed["images"])
    outlined = 0
    for row, image in zip(rows, listed["images"], strict=True):
        expected = np.zeros((128, 128), bool)
        expected[20:32, 10:40] = True
        expected[21:31, 11:39] = False
        np.testing.assert_array_equal(row["detections"], overlay(row["frame"], expected))
        truth = [a for a in listed["annotations"] if a["image_id"] == image["id"]]
        outlined += len(truth)
        changed = (row["truth"] != overlay(row["frame"], np.zeros_like(expected))).any(axis=2)
        assert changed.any() == bool(truth)
        for annotation in truth:
            x, y, _, height = (round(value) for value in annotation["bbox"])
            assert changed[y : y + height, x].all()
    assert outlined > 0


def test_pretraining_sheet(run, drawn, tmp_path):
    """Masked patches are gray 128, visible ones show the view; 3 of 4 patches are masked."""
    draw_sheet(run, tmp_path / "sheet.png", count=2)
    assert list(drawn[0]) == ["view", "vessels B", "masked patches", "reconstruction"]
    method, config, epochs = contact_sheets.load_run(run)
    assert (epochs, config["epochs"]) == (1, 1)
    for row in drawn:
        masked, view = (
            row[name].reshape(8, 8, 8, 8).swapaxes(1, 2) for name in ("masked patches", "view")
        )
        hidden = (masked == 128).all(axis=(2, 3))
        np.testing.assert_array_equal(masked[~hidden], view[~hidden])
        assert hidden.sum() == 48
        assert set(np.unique(row["vessels B"])) == {0, 255}
        # Vessel pixels are dark in the view, up to interpolation of the crop.
        marked = row["vessels B"] == 255
        assert row["view"][marked].mean() < row["view"][~marked].mean()
        assert np.median(row["view"][marked]) < 90
    masks = [row["masked patches"] == 128 for row in drawn]
    assert not np.array_equal(*masks)
    # Another epoch gives another mask, the same epoch the same image.
    again, later = pretraining_rows(run, 2, epoch=0), pretraining_rows(run, 2, epoch=3)
    np.testing.assert_array_equal(again[0]["masked patches"], drawn[0]["masked patches"])
    assert not np.array_equal(later[0]["masked patches"], drawn[0]["masked patches"])
    assert not method.training
    weights = {name: value.clone() for name, value in method.state_dict().items()}
    assert all(
        torch.equal(weights[k], v) for k, v in contact_sheets.load_run(run)[0].state_dict().items()
    )


def test_reconstruction_is_denormalised(run, monkeypatch):
    """A zero prediction is the mean of each patch: targets are normalised per patch."""
    method, config, epochs = contact_sheets.load_run(run)
    torch.nn.init.zeros_(method.decoder.decoder_pred.weight)
    torch.nn.init.zeros_(method.decoder.decoder_pred.bias)
    monkeypatch.setattr(contact_sheets, "load_run", lambda folder: (method, config, epochs))
    mean, std = (np.array(v) * 255 for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    for row in pretraining_rows(run, 2, epoch=None):
        gray = row["view"].reshape(8, 8, 8, 8).mean(axis=(1, 3))
        normalised = ((gray[..., None] - mean) / std).mean(axis=2)
        expected = (normalised[..., None] * std + mean).mean(axis=2).clip(0, 255)
        patches = row["reconstruction"].reshape(8, 8, 8, 8).astype(float)
        assert patches.std(axis=(1, 3)).max() == 0
        # Both panels are truncated to integers.
        assert np.abs(patches[:, 0, :, 0] - expected).max() < 1.5


Break = Callable[[Path], None]


def _predictions(path: Path) -> None:
    (path / "predictions").mkdir()


def _lost(path: Path) -> None:
    _predictions(path)
    write_json(path / "run.json", {"data": str(path / "task")})
    write_task_folder(_source(), path / "task", "segmentation", "vessels", progress=False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "neither a pack, a task nor a run"),
        (_predictions, "does not say which data"),
        (lambda path: write_json(path / "run.json", {"config": {}}), "not a run of a method"),
        (_lost, "no such prediction; score the run again"),
    ],
)
def test_wrong_folders_are_one_line_errors(make, message, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    make(folder)
    with pytest.raises(InputError, match=message) as caught:
        draw_sheet(folder, tmp_path / "sheet.png")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "sheet.png").exists()


def test_missing_checkpoint_and_zero_count(run, pack, tmp_path):
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "run.json").write_bytes((run / "run.json").read_bytes())
    with pytest.raises(InputError, match="holds no checkpoint yet"):
        draw_sheet(tmp_path / "begun", tmp_path / "sheet.png")
    with pytest.raises(InputError, match="--count 0"):
        draw_sheet(pack.path, tmp_path / "sheet.png", count=0)


def test_checkpoint_of_another_run_is_skipped(run, tmp_path, capsys):
    """It is named, with the checkpoint that is used instead."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for name in ("run.json", "epoch_1.pth"):
        (folder / name).write_bytes((run / name).read_bytes())
    own = read_checkpoint(folder / "epoch_1.pth")
    other = own.model_copy(update={"epoch": 2, "identity": {**own.identity, "seed": 7}})
    save_checkpoint(folder, other, keep=2)
    method, _, epochs = contact_sheets.load_run(folder)
    assert epochs == 1
    assert "epoch_2.pth: of another run (seed 7 instead of 0)" in capsys.readouterr().err
    weights = method.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in own.model.items())


def test_symbols_of_the_titles_are_explained():
    lines = legend(["frame", "vessels B", "guidance f(G)", "Baseline"]).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["B", "f(G)"]
    assert "α" in lines[0], "the threshold of B"
    assert legend(["frame", "truth", "prediction"]) == ""
    assert "vesselness above its percentile α = 92, connected" in legend(["vessels B"], 92.0)


@pytest.mark.parametrize(
    ("entries", "alpha"),
    [
        ([{"parameters": {"alpha": 92.0}}], 92.0),
        ([{"parameters": {"alpha": 92.0}}, {"parameters": {"alpha": 92.0}}], 92.0),
        ([{"parameters": {"alpha": 92.0}}, {"parameters": {"alpha": 80.0}}], None),
        ([{"parameters": {"alpha": 92.0}}, None], None),
        ([{"parameters": {"alpha": "high"}}], None),
        ([{"parameters": "by hand"}], None),
        ([], None),
    ],
)
def test_alpha_is_that_of_all_packs(tmp_path, entries, alpha):
    packs = [tmp_path / str(number) for number in range(len(entries))]
    for pack, entry in zip(packs, entries):
        pack.mkdir()
        (pack / "manifest.json").write_text(json.dumps({"anatomy": entry}))
    assert extraction_alpha(packs) == alpha
