import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmark.results import Example, write_record
from leaderboard.gallery import gallery

FRAME = (np.arange(12, dtype=np.uint8) * 20).reshape(3, 4)


def pixels(address):
    kind, _, data = address.partition(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


@pytest.fixture
def shown(tmp_path, make_run, build_folder):
    def made(task, examples, metrics, scores=None):
        """`examples`: method → seed → list of examples."""
        for method, seeds in examples.items():
            for seed, kept in seeds.items():
                table = pd.DataFrame({"image": ["a", "b"], **(scores or {})})
                record = make_run(method, "xcav", seed, task=task, n_images=2, **metrics)
                write_record(tmp_path, record, table, kept)
        return gallery(*build_folder(tmp_path))

    return made


def test_masks_are_black_and_white_and_one_run_stands_for_a_method(shown):
    truth = np.array([[0, 1, 2, 0]] * 3, dtype=np.uint8)
    found = np.array([[0, 0, 1, 3]] * 3, dtype=np.uint8)
    kept = [Example("b", FRAME, truth, found)]
    other = [Example("b", FRAME, truth, truth)]
    entries, problems = shown(
        "segmentation",
        {"mae": {0: [], 1: kept, 2: other}, "vasomim": {0: other}},
        {"dsc": 80.0},
        {"dsc": [70.0, 81.5]},
    )
    assert problems == []
    (entry,) = entries
    assert (entry["dataset"], entry["image"]) == ("xcav", "b")
    assert (pixels(entry["frame"]) == FRAME).all()
    assert (pixels(entry["truth"]) == [[0, 255, 255, 0]] * 3).all()
    by_row = {p["row"]: p for p in entry["predictions"]}
    assert (pixels(by_row["mae"]["mask"]) == [[0, 0, 255, 255]] * 3).all()
    # The first seed with examples, whatever its score.
    assert (by_row["mae"]["seed"], by_row["vasomim"]["seed"]) == (1, 0)
    assert by_row["mae"]["scores"] == {"dsc": 81.5}


def test_a_denoised_frame_is_a_picture_without_truth(shown):
    kept = [Example("a", FRAME, FRAME, FRAME // 2)]
    metrics = {"psnr": 30.0, "ssim": 90.0}
    (entry,), _ = shown("denoising", {"mae": {0: kept}}, metrics, {"psnr": [31.0, 29.0]})
    assert entry["truth"] is None
    assert (pixels(entry["predictions"][0]["mask"]) == FRAME // 2).all()
    assert entry["predictions"][0]["scores"] == {"psnr": 31.0}


def test_boxes_are_drawn_into_the_frame(shown):
    frame = np.zeros((20, 30), dtype=np.uint8)
    truth = np.array([[2, 2, 10, 10, 0]], dtype=np.float32)
    boxes = np.array([[15, 5, 25, 15, 0, 0.9], [1, 15, 5, 19, 0, 0.1]], dtype=np.float32)
    (entry,), _ = shown(
        "detection", {"mae": {0: [Example("a", frame, truth, boxes)]}}, {"map": 40.0}
    )
    picture = pixels(entry["predictions"][0]["mask"])
    assert entry["truth"] is None
    assert picture.shape == (20, 30, 3)
    assert tuple(picture[2, 5]) == (86, 180, 233)
    assert tuple(picture[5, 20]) == (230, 159, 0)
    assert not picture[15:, :6].any(), "an improbable box is not drawn"


def test_a_damaged_file_of_examples_is_skipped_and_named(shown, build_folder, tmp_path):
    kept = [Example("a", FRAME, FRAME, FRAME)]
    shown("segmentation", {"mae": {0: kept}, "vasomim": {0: kept}}, {"dsc": 80.0})
    (tmp_path / "journal" / "mae" / "xcav" / "seed0.examples.npz").write_bytes(b"x")
    entries, (problem,) = gallery(*build_folder(tmp_path))
    assert [p["row"] for p in entries[0]["predictions"]] == ["vasomim"]
    assert problem.startswith("journal/mae/xcav/seed0.json: key 'examples.sha256'")


def test_no_examples_no_pictures(shown):
    assert shown("segmentation", {"mae": {0: []}}, {"dsc": 80.0}) == ([], [])
