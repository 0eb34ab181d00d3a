"""Scatter plots of projected patches: one panel per encoder, the same bytes every time."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from record_values import make_record, metric

from benchmark.downstream.representation.points import PatchPoints
from benchmark.errors import InputError
from benchmark.visualization.patch_scatter import draw_patches

INDICES = {"silhouette": 0.271, "calinski_harabasz": 139_000.0, "davies_bouldin": 1.25}


@pytest.fixture
def panel():
    """Make the panel of an encoder: 40 vessel patches to the left of 160 of background."""

    def make(title: str = "MAE"):
        metrics = {name: metric(value, f"{name}/v1") for name, value in INDICES.items()}
        rng = np.random.default_rng(0)
        vessel = np.arange(200) % 5 == 0
        points = rng.normal(size=(200, 2)) - 20 * vessel[:, None] * [1, 0]
        record = make_record(
            task="representation",
            title=title,
            metrics=metrics,
            dataset="xcav-patches-test",
            seed=3,
            config={"seed": 3, "projection": "umap"},
        )
        return record, PatchPoints(points.astype(np.float32), vessel)

    return make


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_equal_points_give_equal_bytes(panel, tmp_path, suffix):
    files = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for file in files:
        said = draw_patches([panel("$x$ <b>"), panel()], file)
        assert said == f"{file}: projected patches of 2 encoders"
    one, two = (file.read_bytes() for file in files)
    assert one == two
    assert sorted(tmp_path.iterdir()) == files, "nothing temporary is left"
    if suffix == "svg":
        assert b"$x$ &lt;b&gt;" in one
        assert "silhouette 0.27 · CH 1.39e+05 · DB 1.25".encode() in one
        assert b"UMAP of 200 patches" in one
        assert b"xcav, test split, seed 3" in one
        assert one.count(b"<image") == 2, "points are rasterised"


def test_vessel_patches_have_a_colour_of_their_own(panel, tmp_path):
    draw_patches([panel()], tmp_path / "a.png")
    pixels = np.array(Image.open(tmp_path / "a.png").convert("RGB")).astype(int)
    panel_rows = pixels[: int(0.85 * len(pixels))]  # above the legend
    columns = {
        name: np.nonzero((np.abs(panel_rows - colour).sum(axis=2) < 20).any(axis=0))[0]
        for name, colour in {"background": (86, 180, 233), "vessel": (213, 94, 0)}.items()
    }
    assert len(columns["vessel"]) > 20
    assert columns["vessel"].max() < columns["background"].min()


def test_many_encoders_fill_several_rows(panel, tmp_path):
    draw_patches([panel(f"encoder {number}") for number in range(6)], tmp_path / "a.png")
    draw_patches([panel()], tmp_path / "b.png")
    many, one = (Image.open(tmp_path / name).size for name in ("a.png", "b.png"))
    assert many[0] == 4 * one[0]
    assert many[1] > 1.8 * one[1]


def test_another_ending_is_refused(panel, tmp_path):
    with pytest.raises(InputError, match=r"a.jpg: a figure must end in one of .png, .svg, .pdf"):
        draw_patches([panel()], tmp_path / "a.jpg")
    assert list(tmp_path.iterdir()) == []


def test_a_figure_is_replaced_as_a_whole_or_not_at_all(panel, tmp_path, monkeypatch):
    draw_patches([panel()], tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()

    def half(figure, stream, **options):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", half)
    with pytest.raises(OSError, match="No space left"):
        draw_patches([panel("another")], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
