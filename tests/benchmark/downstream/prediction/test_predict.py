"""tools/predict.py: what it writes is what was scored, and what goes wrong is one line."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmark.data.synthetic.raw.containers import dicom_bytes, npz_bytes
from benchmark.data.tasks import TaskFolder
from benchmark.downstream.overlays import VESSEL
from benchmark.downstream.prediction.frames import InputFrame
from benchmark.downstream.prediction.outputs import Outputs
from benchmark.downstream.prediction.writing import PredictionWriter
from benchmark.downstream.task import Prediction
from benchmark.method_cards import CONFIGS

TOOL = CONFIGS.parent / "tools" / "predict.py"


@pytest.fixture
def tool(run_tool: Callable[..., Any]) -> Callable[..., Any]:
    return partial(run_tool, TOOL)


def table(out: Path) -> dict[str, dict[str, str]]:
    with (out / "predictions.csv").open(newline="") as stream:
        return {row["frame"]: row for row in csv.DictReader(stream)}


def picture(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.fixture
def held_out(vessels: TaskFolder) -> Path:
    return vessels.path / "images" / "test"


def test_predictions_of_the_test_split_are_those_of_the_record(
    tool, trained, vessels, held_out, tmp_path
):
    """Masks, their DSC, shares, regions and overlays."""
    done = tool(trained.folder, held_out, "--out", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path / 'out'}: 2 frames predicted by MAE\n"
    scores = pd.read_csv(trained.record.with_suffix(".csv"), index_col="image")
    rows = table(tmp_path / "out")
    assert list(rows) == [f"{stem}.png" for stem in scores.index]
    for stem in scores.index:
        frame, row = picture(held_out / f"{stem}.png"), rows[f"{stem}.png"]
        mask = picture(tmp_path / "out" / row["output"])
        kept = picture(trained.folder / "predictions" / f"{stem}.png")
        np.testing.assert_array_equal(mask, 255 * kept.astype(np.uint8))
        mask, truth = mask > 0, vessels.channels("test", stem)[0]
        dice = 100 * 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
        assert dice == pytest.approx(scores.loc[stem, "dsc"], rel=1e-12)
        assert (row["error"], int(row["height"]), int(row["width"])) == ("", 80, 80)
        assert float(row["vessel_share"]) == pytest.approx(mask.mean(), rel=1e-5)
        assert int(row["vessel_regions"]) >= 1
        drawn = picture(tmp_path / "out" / "overlays" / f"{stem}.png")
        assert drawn.shape == (80, 80, 3)
        np.testing.assert_array_equal(drawn[~mask], np.repeat(frame[~mask][:, None], 3, axis=1))
        tint = 0.45 * frame[mask][:, None].astype(float) + 0.55 * np.array(VESSEL)
        assert (np.abs(drawn[mask] - tint) <= 1).all()


def test_batches_do_not_change_what_is_predicted(tool, trained, held_out, tmp_path):
    for size in (1, 2, 7):
        options = ("--out", tmp_path / str(size), "--batch-size", size, "--probabilities")
        assert tool(trained.folder, held_out, *options, "--no-overlays").returncode == 0
        assert not (tmp_path / str(size) / "overlays").exists()
    one, *others = (files(tmp_path / str(size)) for size in (1, 2, 7))
    for other in others:
        assert one.keys() == other.keys()
        for name in (name for name in one if not name.endswith(".npz")):
            assert one[name] == other[name], name
    for name in (name for name in one if name.endswith(".npz")):
        maps = [np.load(tmp_path / str(size) / name) for size in (1, 2, 7)]
        assert maps[0]["classes"].tolist() == ["vessel"]
        assert (maps[0]["probabilities"].shape, maps[0]["probabilities"].dtype) == (
            (1, 80, 80),
            np.float16,
        )
        for other in maps[1:]:
            np.testing.assert_allclose(maps[0]["probabilities"], other["probabilities"], atol=1e-3)


def test_all_formats_and_sizes_in_one_call_and_what_cannot_be_read(
    tool, trained, held_out, tmp_path
):
    """An image, a DICOM video, an array and a damaged file; the rest goes on, exit code 1."""
    image = picture(next(held_out.iterdir()))
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    Image.fromarray(image[:50]).save(folder / "deep" / "a.png")
    Image.fromarray(image).save(folder / "b.tif")
    (folder / "run.dcm").write_bytes(dicom_bytes(np.stack([image, image.T])))
    (folder / "run.npz").write_bytes(npz_bytes(pixel_array=image[None]))
    height, width = image.shape
    codec = cv2.VideoWriter_fourcc(*"FFV1")
    path, size = str(folder / "video.avi"), (width, height)
    writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, codec, 15, size, False)
    for _ in range(2):
        writer.write(image)
    writer.release()
    (folder / "e.mp4").write_bytes(b"no video")
    (folder / "c.png").write_bytes(b"no image")
    (folder / "d.npz").write_bytes(b"no array")
    out = tmp_path / "out"
    done = tool(trained.folder, folder, "--out", out, "--batch-size", 2)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "c.png: not an image; skipped",
        "d.npz: not an npz file; skipped",
        "e.mp4: not an avi, mp4 or mov file; skipped",
    ]
    assert done.stdout == f"{out}: 7 of 10 frames predicted by MAE\n"
    rows = table(out)
    assert {name: row["output"] for name, row in rows.items()} == {
        "b.tif": "masks/b.png",
        "c.png": "",
        "d.npz": "",
        "deep/a.png": "masks/deep/a.png",
        "e.mp4": "",
        "video.avi#00000": "masks/video/00000.png",
        "video.avi#00001": "masks/video/00001.png",
        "run.dcm#00000": "masks/run/00000.png",
        "run.dcm#00001": "masks/run/00001.png",
        "run.npz#00000": "masks/run.png",
    }
    assert [row["error"] for row in rows.values() if row["error"]] == [
        "not an image",
        "not an npz file",
        "not an avi, mp4 or mov file",
    ]
    assert picture(out / "masks" / "deep" / "a.png").shape == (50, 80)
    alike = ("b.png", "run.png", "run/00000.png", "video/00000.png", "video/00001.png")
    same = [picture(out / "masks" / name) for name in alike]
    assert all((same[0] == other).all() for other in same[1:])
    assert not list(out.rglob("*.tmp"))
    assert not (out / ".lock").exists()


def test_existing_files_are_replaced_only_when_asked(tool, trained, held_out, tmp_path):
    out = tmp_path / "out"
    call = partial(tool, trained.folder, held_out, "--out", out, "--no-overlays")
    assert call().returncode == 0
    first = files(out)
    (out / "mine.txt").write_text("mine")
    assert "predictions.csv: there already; --overwrite replaces it" in call().refusal
    assert call("--overwrite").returncode == 0
    assert files(out) == {**first, "mine.txt": b"mine"}
    (out / "predictions.csv").unlink()
    assert "masks/" in call().refusal


def test_the_run_and_its_encoder_may_be_gone(tool, trained, held_out, tmp_path):
    """A copy of the two files; the frames as files of another folder."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.json", "model.safetensors"):
        shutil.copy(trained.folder / name, folder)
    file = next(held_out.iterdir())
    done = tool(folder / "model.json", file, "--out", tmp_path / "out", "--device", "cpu")
    assert done.returncode == 0
    kept = picture(trained.folder / "predictions" / file.name)
    np.testing.assert_array_equal(picture(tmp_path / "out" / "masks" / file.name) > 0, kept > 0)


def test_the_python_of_the_document_runs(trained, held_out, tmp_path, monkeypatch):
    text = (CONFIGS.parent / "docs" / "use_a_model.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    folder = tmp_path / "work_dirs" / "mae" / "finetune" / "arcade_v" / "seed0"
    shutil.copytree(trained.folder, folder)
    shutil.copy(next(held_out.iterdir()), tmp_path / "frame.png")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(block, names)
    assert names["prediction"].masks.shape == (1, 80, 80)


def test_a_filter_predicts_masks_and_has_no_probabilities(
    tool, vessels, held_out, compose_cell, score_cell, tmp_path
):
    settings = (f"data.folder={vessels.path}",)
    cell = score_cell(compose_cell(tmp_path / "work", "frangi", "synthetic_v", settings))
    call = partial(tool, cell.folder, held_out, "--out", tmp_path / "out")
    assert "--probabilities: a filter without training has none" in call("--probabilities").refusal
    assert call("--overwrite").returncode == 0
    assert len(list((tmp_path / "out" / "masks").iterdir())) == 2


def test_bad_input_is_one_line_before_anything_heavy(light_answers, trained, held_out, tmp_path):
    out, model = ("--out", str(tmp_path / "out")), str(trained.folder)
    frames = str(held_out)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "model.json").write_text("{}")
    (damaged / "model.safetensors").write_bytes(b"")
    changed = shutil.copytree(trained.folder, tmp_path / "changed")
    with (changed / "model.safetensors").open("ab") as stream:
        stream.write(b"\0")
    (tmp_path / "file").touch()
    blocked = f"{tmp_path}/file/out"
    commands = {
        ("predict.py", model, frames, "--out", blocked): "file: a file stands where a folder is",
        ("predict.py", str(tmp_path), frames, *out): "no fine-tuned model (model.json is missing)",
        ("predict.py", str(damaged), frames, *out): "key 'schema' is missing",
        ("predict.py", str(changed), frames, *out): "damaged, or not the weights model.json desc",
        ("predict.py", model, str(tmp_path / "none"), *out): "no such file or folder",
        ("predict.py", model, frames, "--out", f"{frames}/out"): "which is read; choose another",
        ("predict.py", model, frames, *out, "--batch-size", "0"): "'0' is not an integer of 1",
        ("predict.py", model, frames, *out, "--min-score", "2"): "'2' is not a number from 0 to 1",
    }
    for answer, message in zip(light_answers(*commands), commands.values(), strict=True):
        assert (answer.returncode, answer.stdout) == (2, "")
        assert message in answer.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def writer_of(out: Path, task: str, classes: list[str], **options: Any) -> PredictionWriter:
    foreground = classes[1:] if task == "segmentation" else classes
    description = SimpleNamespace(task=task, classes=classes, foreground=foreground)
    return PredictionWriter(Outputs(out, description, **options))


def test_boxes_become_coco_and_lesions(tmp_path):
    """Two frames, three boxes of which one is too faint to count."""
    writer = writer_of(tmp_path, "detection", ["stenosis", "catheter"])
    frames = [InputFrame("a/x.png", "a/x"), InputFrame("y.npz#00003", "y/00003")]
    boxes = np.array([[2.0, 3.0, 12.0, 9.0], [1.0, 1.0, 4.0, 5.0]])
    found = Prediction(boxes=boxes, scores=np.array([0.9, 0.5]), labels=np.array([0, 1]))
    faint = Prediction(boxes=boxes[:1], scores=np.array([0.25]), labels=np.array([0]))
    pixels = np.full((20, 30), 50, np.uint8)
    writer.add(frames[0], pixels, found)
    writer.add(frames[1], pixels, faint)
    lost = InputFrame("z.png", "z", error="not an image")
    writer.refuse(lost, "not an image")
    writer.finish([*frames, lost])
    content = json.loads((tmp_path / "boxes.json").read_text())
    assert content["categories"] == [{"id": 1, "name": "stenosis"}, {"id": 2, "name": "catheter"}]
    assert content["images"] == [
        {"id": 1, "file_name": "a/x.png", "height": 20, "width": 30},
        {"id": 2, "file_name": "y.npz#00003", "height": 20, "width": 30},
    ]
    shown = [
        (a["image_id"], a["category_id"], a["bbox"], a["area"], a["score"])
        for a in content["annotations"]
    ]
    assert shown == [
        (1, 1, [2.0, 3.0, 10.0, 6.0], 60.0, 0.9),
        (1, 2, [1.0, 1.0, 3.0, 4.0], 12.0, 0.5),
        (2, 1, [2.0, 3.0, 10.0, 6.0], 60.0, 0.25),
    ]
    rows = table(tmp_path)
    assert [(row["lesions"], row["best_score"]) for row in rows.values()] == [
        ("2", "0.9"),
        ("0", "0.25"),
        ("", ""),
    ]
    assert rows["z.png"]["error"] == "not an image"
    drawn = picture(tmp_path / "overlays" / "a" / "x.png")
    assert (drawn != 50).any()
    assert (picture(tmp_path / "overlays" / "y" / "00003.png") == 50).all()


def test_classes_have_labels_shares_and_lesions(tmp_path):
    writer = writer_of(tmp_path, "segmentation", ["background", "vessel", "stenosis"])
    masks = np.zeros((2, 10, 10), bool)
    masks[0, :4] = True
    masks[1, 2, 2:4] = masks[1, 3, 4] = True  # one region, its pixels share a corner
    masks[1, 9, 9] = True
    frame = InputFrame("f.png", "f")
    writer.add(frame, np.zeros((10, 10), np.uint8), Prediction(masks=masks))
    writer.finish([frame])
    (row,) = table(tmp_path).values()
    assert (row["all_share"], row["vessel_share"], row["stenosis_share"]) == ("0.41", "0.4", "0.04")
    assert (row["vessel_regions"], row["lesions"]) == ("1", "2")
    labels = picture(tmp_path / "masks" / "f.png")
    assert [(labels == label).sum() for label in (0, 1, 2)] == [59, 37, 4]


def test_denoised_frames_are_written_and_nothing_else(tmp_path):
    writer = writer_of(tmp_path, "denoising", [])
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    frame = InputFrame("f.png", "f")
    writer.add(frame, pixels, Prediction(denoised=pixels + 1))
    writer.finish([frame])
    assert set(files(tmp_path)) == {"denoised/f.png", "predictions.csv"}
    np.testing.assert_array_equal(picture(tmp_path / "denoised" / "f.png"), pixels + 1)
