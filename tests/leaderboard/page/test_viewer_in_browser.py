"""The viewer of example pictures: what is drawn, from where, and what it says if it cannot be."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from example_board import PICTURES, keep
from PIL import Image

from leaderboard.page import render
from leaderboard.pictures.files import Picture, mask_picture, name_of, write_pictures

pytestmark = pytest.mark.page
Data = dict[str, Any]

HIT, EXTRA, MISSED = (86, 180, 233), (213, 94, 0), (240, 228, 66)
FOUND = (230, 159, 0)


def grey(values: list[list[int]]) -> str:
    """A grey frame of exactly these pixels."""
    stream = io.BytesIO()
    Image.fromarray(np.array(values, np.uint8)).save(stream, "PNG")
    return keep(Picture(name_of(stream.getvalue(), ".png"), stream.getvalue()))


def mask(values: list[list[int]]) -> str:
    return keep(mask_picture(np.array(values)))


def pixels(page: Any, tile: str) -> list[list[int]]:
    """RGB of every pixel of a tile of the viewer."""
    found = page.evaluate(
        "key => { const c = document.querySelector(`[data-tile='${key}']`);"
        " return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]; }",
        tile,
    )
    return [found[at : at + 3] for at in range(0, len(found), 4)]


def set_overlay(page: Any, percent: int) -> None:
    slider = page.locator("[name=overlay]:visible")
    slider.fill(str(percent))


def with_gallery(example: Data, *entries: dict[str, Any]) -> dict[str, Any]:
    return {**example, "gallery": list(entries)}


@pytest.fixture
def four_pixels(example: Data) -> dict[str, Any]:
    """Found, missed, found without a vessel, nothing: every case once, on a frame of four greys."""
    found = {"vasomim": [[1, 0], [1, 0]], "mae": [[0, 0], [0, 1]]}
    entry = {
        **{"board": "segmentation", "dataset": "arcade_v"},
        **{"frame": grey([[10, 50], [100, 200]]), "truth": mask([[1, 1], [0, 0]])},
        "predictions": [
            {"row": row, "seed": 0, "mask": mask(values), "scores": {"dsc": 50.0}}
            for row, values in found.items()
        ],
    }
    return with_gallery(example, *({**entry, "image": f"frame {index}"} for index in range(3)))


def test_difference_has_a_colour_for_every_case(visit, four_pixels):
    page = visit().open(four_pixels)
    page.locator("[data-tile=difference-0]").wait_for()
    set_overlay(page, 100)
    assert pixels(page, "difference-0") == [[*HIT], [*MISSED], [*EXTRA], [200, 200, 200]]
    assert pixels(page, "truth") == [[*HIT], [*HIT], [100, 100, 100], [200, 200, 200]]
    assert pixels(page, "prediction-0") == [[*HIT], [50, 50, 50], [*HIT], [200, 200, 200]]
    assert pixels(page, "frame") == [[grey] * 3 for grey in (10, 50, 100, 200)]
    set_overlay(page, 50)
    blend = [(grey + channel) / 2 for grey, channel in zip((10, 10, 10), HIT)]
    np.testing.assert_allclose(pixels(page, "difference-0")[0], blend, atol=0.5)
    caption = page.locator("figure:has([data-tile=prediction-0])").inner_text()
    assert caption.strip() == "VasoMIM DSC 50.00"


def test_two_methods_stand_side_by_side(visit, four_pixels):
    page = visit().open(four_pixels)
    page.locator("#segmentation-viewer [name=b]").select_option("mae:0")
    page.locator("[data-tile=difference-1]").wait_for()
    set_overlay(page, 100)
    assert page.locator("#segmentation-viewer canvas").count() == 6
    assert pixels(page, "difference-1") == [[*MISSED], [*MISSED], [100, 100, 100], [*EXTRA]]


def test_a_smaller_mask_covers_the_whole_frame(visit, four_pixels):
    entry = four_pixels["gallery"][0]
    frame = grey([[0] * 4] * 4)
    page = visit().open(with_gallery(four_pixels, {**entry, "frame": frame}))
    page.locator("[data-tile=truth]").wait_for()
    set_overlay(page, 100)
    assert pixels(page, "truth") == [[*HIT]] * 8 + [[0, 0, 0]] * 8


def test_viewer_follows_the_arrow_keys(visit, four_pixels):
    page = visit().open(four_pixels)
    page.locator("[data-tile=frame]").wait_for()
    name = page.locator("#segmentation-viewer .image-name")
    page.locator(".tile").nth(3).focus()
    for key, words in (("ArrowRight", "2 of 3 · frame 1"), ("ArrowLeft", "1 of 3 · frame 0")):
        page.keyboard.press(key)
        assert name.inner_text() == words
    page.keyboard.press("ArrowLeft")
    assert name.inner_text() == "3 of 3 · frame 2"
    page.keyboard.press("ArrowDown")
    assert page.locator("#segmentation-viewer [name=a]").input_value() == "mae:0"
    page.locator(".tile:focus").wait_for()
    page.keyboard.press("Enter")
    lightbox = page.locator("#lightbox")
    assert "Difference MAE" in lightbox.inner_text()
    page.keyboard.press("ArrowRight")
    lightbox.get_by_text("1 of 3").wait_for()
    page.keyboard.press("Escape")
    assert lightbox.is_hidden()


def test_a_denoised_frame_is_shown_as_it_is(visit, four_pixels):
    prediction = {"row": "mae", "seed": 0, "picture": grey([[255, 0], [255, 0]]), "scores": {}}
    entry = {"board": "denoising", "dataset": "denoising", "image": "a"}
    entry |= {"frame": grey([[10, 50], [100, 200]]), "predictions": [prediction]}
    page = visit().open(with_gallery(four_pixels, entry), "board=denoising")
    page.locator("[data-tile=prediction-0]").wait_for()
    viewer = page.locator("#denoising-viewer")
    assert viewer.locator("canvas").count() == 2
    assert pixels(page, "prediction-0") == [[v] * 3 for v in (255, 0, 255, 0)]
    assert viewer.locator(".legend:visible").count() == 0


def test_boxes_are_drawn_by_the_page(visit, four_pixels):
    """True boxes in blue, those found dashed in orange, at the place they have in the frame."""
    prediction = {"row": "mae", "seed": 0, "boxes": [[30, 10, 50, 20, 0.93]], "scores": {}}
    entry = {"board": "detection", "dataset": "stenosis", "image": "a"}
    entry |= {"frame": grey([[0] * 60] * 40), "truth_boxes": [[5, 20, 25, 35]]}
    page = visit().open(
        with_gallery(four_pixels, {**entry, "predictions": [prediction]}), "board=detection"
    )
    page.locator("[data-tile=prediction-0]").wait_for()
    legend = page.locator("#detection-viewer .legend:visible li").all_inner_texts()
    assert [text.split(" (")[0].strip() for text in legend] == ["true box", "predicted box"]
    scale = page.evaluate("BOX_SCALE")
    drawn = np.array(pixels(page, "prediction-0")).reshape(40 * scale, 60 * scale, 3)

    def edges(colour):
        """Left, top, right, bottom of what has this colour, in pixels of the frame."""
        rows, columns = np.nonzero((np.abs(drawn - colour) < 40).all(axis=2))
        places = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        return np.array(places) / scale

    np.testing.assert_allclose(edges(HIT), [5, 20, 25, 35], atol=1)
    # Its score stands below the upper edge.
    np.testing.assert_allclose(edges(FOUND), [30, 10, 50, 20], atol=1.1)
    solid = (np.abs(drawn[20 * scale, 5 * scale : 25 * scale] - HIT) < 40).all(axis=1)
    dashed = (np.abs(drawn[20 * scale, 30 * scale : 50 * scale] - FOUND) < 40).all(axis=1)
    assert solid.mean() > 0.95
    assert 0.2 < dashed.mean() < 0.9


def test_a_damaged_picture_is_reported(visit, four_pixels):
    name = keep(Picture("0" * 20 + ".png", b"\0\0"))
    entry = {**four_pixels["gallery"][0], "frame": name}
    page = visit().open(with_gallery(four_pixels, entry))
    page.get_by_text(f"This picture cannot be read: {name}").wait_for()


def test_pictures_beside_the_page_are_loaded_when_they_are_shown(visit, example):
    visitor = visit()
    write_pictures(visitor.folder / "board_pictures", PICTURES)
    page = visitor.open({**example, "pictures": "board_pictures"})
    page.locator("[data-tile=difference-0]").wait_for()
    entry = example["gallery"][0]
    shown = {entry["frame"], entry["truth"], entry["predictions"][0]["mask"]}
    loaded = {url.rpartition("/")[2] for url in visitor.requests if "board_pictures" in url}
    assert loaded == shown
    with page.expect_request(f"**/{example['gallery'][1]['frame']}"):
        page.get_by_role("button", name="Next picture").click()
    page.locator("[data-tile=difference-0]").wait_for()


def test_a_page_without_room_names_its_missing_pictures(visit, example):
    bare = len(render({**example, "gallery": []}))
    page = visit().open_html(render(example, PICTURES, bare))
    notes = page.locator("#segmentation-notes")
    notes.get_by_text("8 of 8 example images are not embedded").wait_for()
    assert "caxf/image_003.png" in notes.inner_text()
    assert page.locator("#segmentation-viewer").count() == 0


def test_runs_are_shown_as_their_records_are(visit, example):
    """What is packed comes back as it was."""
    page = visit().open(example)
    page.locator("#segmentation-table table").wait_for()
    ids = list(example["runs"])[:40]
    found = page.evaluate(
        "async ids => JSON.stringify([...(await new Runs().read(ids)).values()])", ids
    )
    assert json.loads(found) == [example["runs"][name] for name in ids]
