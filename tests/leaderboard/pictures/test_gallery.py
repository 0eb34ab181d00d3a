import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmark.results import Example, StoredExamples, write_record
from leaderboard.pictures.gallery import Gallery, make_gallery

FRAME = (np.arange(12, dtype=np.uint8) * 20).reshape(3, 4)


def pixels(gallery, name):
    """A frame, or True where a mask is opaque and white."""
    picture = Image.open(io.BytesIO(gallery.pictures[name]))
    if name.endswith(".jpg"):
        return np.asarray(picture).astype(int)
    found = np.asarray(picture.convert("RGBA"))
    assert set(map(tuple, found.reshape(-1, 4))) <= {(255, 255, 255, 255), (0, 0, 0, 0)}
    return found[..., 3] == 255


@pytest.fixture
def shown(tmp_path, make_run, build_folder):
    def made(task, examples, metrics, scores=None):
        """`examples`: method → seed → list of examples."""
        for method, seeds in examples.items():
            for seed, kept in seeds.items():
                table = pd.DataFrame({"image": ["a", "b"], **(scores or {})})
                record = make_run(method, "xcav", seed, task=task, n_images=2, **metrics)
                write_record(tmp_path, record, table, kept)
        return make_gallery(*build_folder(tmp_path))

    return made


def test_masks_are_opaque_and_one_run_stands_for_a_method(shown):
    truth = np.array([[0, 1, 2, 0]] * 3, dtype=np.uint8)
    found = np.array([[0, 0, 1, 3]] * 3, dtype=np.uint8)
    kept = [Example("b", FRAME, truth, found)]
    other = [Example("b", FRAME, truth, truth)]
    gallery = shown(
        "segmentation",
        {"mae": {0: [], 1: kept, 2: other}, "vasomim": {0: other}},
        {"dsc": 80.0},
        {"dsc": [70.0, 81.5]},
    )
    assert gallery.problems == []
    (entry,) = gallery.entries
    assert (entry["board"], entry["dataset"], entry["image"]) == ("segmentation", "xcav", "b")
    np.testing.assert_allclose(pixels(gallery, entry["frame"]), FRAME, atol=8)
    assert (pixels(gallery, entry["truth"]) == [[0, 1, 1, 0]] * 3).all()
    by_row = {p["row"]: p for p in entry["predictions"]}
    assert (pixels(gallery, by_row["mae"]["mask"]) == [[0, 0, 1, 1]] * 3).all()
    # The first seed with examples, whatever its score.
    assert (by_row["mae"]["seed"], by_row["vasomim"]["seed"]) == (1, 0)
    assert by_row["mae"]["scores"] == {"dsc": 81.5}
    # What is equal is one file: the truth is the prediction of VasoMIM.
    assert by_row["vasomim"]["mask"] == entry["truth"]
    assert len(gallery.pictures) == 3


def test_a_frame_loses_about_one_grey_level(shown):
    """A smooth background with the correlated noise of a detector."""
    rng = np.random.default_rng(0)
    smooth = 120 + 60 * np.sin(np.linspace(0, 6, 128))[:, None] * np.cos(np.linspace(0, 5, 96))
    noise = rng.normal(0, 4, (129, 97))
    frame = smooth + (noise[1:, 1:] + noise[:-1, 1:] + noise[1:, :-1] + noise[:-1, :-1]) / 4
    frame = frame.astype(np.uint8)
    kept = [Example("a", frame, frame, frame)]
    gallery = shown("denoising", {"mae": {0: kept}}, {"psnr": 30.0})
    (name,) = gallery.pictures
    difference = np.abs(pixels(gallery, name) - frame)
    assert difference.mean() < 1.5
    assert difference.max() < 15
    assert len(gallery.pictures[name]) < frame.size / 4


def test_a_denoised_frame_is_a_picture_without_truth(shown):
    kept = [Example("a", FRAME, FRAME, FRAME // 2)]
    metrics = {"psnr": 30.0, "ssim": 90.0}
    gallery = shown("denoising", {"mae": {0: kept}}, metrics, {"psnr": [31.0, 29.0]})
    (entry,) = gallery.entries
    (prediction,) = entry["predictions"]
    assert "truth" not in entry
    np.testing.assert_allclose(pixels(gallery, prediction["picture"]), FRAME // 2, atol=8)
    assert prediction["scores"] == {"psnr": 31.0}


def test_boxes_are_numbers_and_their_frame_one_picture(shown):
    frame = np.zeros((20, 30), dtype=np.uint8)
    truth = np.array([[2, 2.3, 10, 10, 0]], dtype=np.float32)
    boxes = np.array([[15, 5, 25, 15, 0, 0.9], [1, 15, 5, 19, 0, 0.1]], dtype=np.float32)
    kept = {0: [Example("a", frame, truth, boxes)]}
    gallery = shown("detection", {"mae": kept, "vasomim": kept}, {"map": 40.0})
    (entry,) = gallery.entries
    assert list(gallery.pictures) == [entry["frame"]]
    assert entry["truth_boxes"] == [[2, 2.3, 10, 10]]
    # An improbable box is not shown.
    assert [p["boxes"] for p in entry["predictions"]] == [[[15, 5, 25, 15, 0.9]]] * 2


def test_boxes_of_a_smaller_frame_are_scaled_to_the_one_shown(shown):
    """Worked by hand: of half the height and a third of the width."""
    truth = np.array([[0, 0, 1, 1, 0]], dtype=np.float32)
    boxes = np.array([[1, 2, 3, 5, 0, 0.75]], dtype=np.float32)
    large, small = (np.zeros(shape, dtype=np.uint8) for shape in ((20, 30), (10, 10)))
    kept = {name: {0: [Example("a", f, truth, boxes)]} for name, f in (("a", large), ("b", small))}
    gallery = shown("detection", kept, {"map": 40.0})
    (entry,) = gallery.entries
    found = {p["row"]: p["boxes"] for p in entry["predictions"]}
    assert found == {"a": [[1, 2, 3, 5, 0.75]], "b": [[3, 4, 9, 10, 0.75]]}


def test_only_what_the_page_shows_is_read(shown, monkeypatch):
    """One file per method, and of all methods but one neither frame nor truth."""
    read = []
    original = StoredExamples.read

    def reading(self, part, index):
        read.append((self._file.parts[-3], self._file.name, part))
        return original(self, part, index)

    monkeypatch.setattr(StoredExamples, "read", reading)
    kept = [Example("a", FRAME, FRAME, FRAME)]
    seeds = dict.fromkeys(range(3), kept)
    shown("segmentation", {"mae": seeds, "vasomim": seeds}, {"dsc": 80.0})
    first, second = sorted({method for method, *_ in read}, key=[m for m, *_ in read].index)
    name = "seed0.examples.npz"
    assert read == [
        *((first, name, part) for part in ("frame", "truth", "prediction")),
        (second, name, "prediction"),
    ]


def test_equal_examples_give_equal_bytes(shown, build_folder, tmp_path):
    kept = [Example("a", FRAME, FRAME, FRAME // 2)]
    gallery = shown("denoising", {"mae": {0: kept}}, {"psnr": 30.0})
    again = make_gallery(*build_folder(tmp_path))
    assert (again.entries, again.pictures) == (gallery.entries, gallery.pictures)


@pytest.mark.parametrize("part", ["content", "frame"])
def test_a_damaged_file_of_examples_is_skipped_and_named(shown, build_folder, tmp_path, part):
    """Also where only its frame is no image: then the next method's is shown."""
    kept = [Example("a", FRAME, FRAME, FRAME)]
    odd = [Example("a", np.dstack([FRAME] * 3), FRAME, FRAME)] if part == "frame" else kept
    shown("segmentation", {"mae": {0: odd}, "vasomim": {0: kept}}, {"dsc": 80.0})
    if part == "content":
        (tmp_path / "journal" / "mae" / "xcav" / "seed0.examples.npz").write_bytes(b"x")
    gallery = make_gallery(*build_folder(tmp_path))
    (problem,) = gallery.problems
    (entry,) = gallery.entries
    assert [p["row"] for p in entry["predictions"]] == ["vasomim"]
    assert set(gallery.pictures) == {entry["frame"], entry["truth"]}
    where = {
        "content": "journal/mae/xcav/seed0.json: key 'examples.sha256'",
        "frame": "journal/mae/xcav/seed0.examples.npz: holds no examples (the frame of a is",
    }
    assert problem.startswith(where[part])


def test_no_examples_no_pictures(shown):
    assert shown("segmentation", {"mae": {0: []}}, {"dsc": 80.0}) == Gallery()
