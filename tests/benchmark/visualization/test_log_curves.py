"""Training curves: epoch means of the logged values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from benchmark.errors import InputError
from benchmark.files import write_json
from benchmark.visualization.log_curves import chance_levels, draw_curves, read_curve, run_title


def _run(folder: Path, lines: list[dict], title: str | None = None) -> Path:
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if title:
        write_json(folder / "run.json", {"config": {"card": {"title": title}}})
    return folder


LINES = [
    {"step": 1, "epoch": 0, "loss": 4.0, "vessel_share": 0.1},
    {"step": 2, "epoch": 0, "loss": 2.0, "vessel_share": 0.3},
    {"step": 3, "epoch": 1, "loss": 1.0},
]


def test_values_are_means_over_an_epoch(tmp_path):
    folder = _run(tmp_path / "run", LINES)
    assert read_curve(folder, "loss") == ([1.0, 2.0], [3.0, 1.0])
    assert read_curve(folder, "vessel_share") == ([1.0], [pytest.approx(0.2)])


def test_output_is_deterministic(tmp_path):
    one, two = _run(tmp_path / "a", LINES, "MAE"), _run(tmp_path / "b", LINES[:2])
    assert draw_curves([one, two], "loss", tmp_path / "x.png").endswith("loss of 2 runs")
    draw_curves([one, two], "loss", tmp_path / "y.png")
    content = (tmp_path / "x.png").read_bytes()
    assert content == (tmp_path / "y.png").read_bytes()
    draw_curves([one], "loss", tmp_path / "z.png")
    assert content != (tmp_path / "z.png").read_bytes()


def test_title_is_not_parsed_as_math(tmp_path):
    titles = ("$\\frac{$", "\x1b[2J\u202e$x$")
    folders = [_run(tmp_path / str(k), LINES, title) for k, title in enumerate(titles)]
    assert run_title(folders[1]) == r"\x1b[2J\u202e$x$"
    draw_curves(folders, "loss", tmp_path / "x.png")


def test_curves_differ_in_style_and_the_axis_explains_the_term(tmp_path, monkeypatch):
    seen = {}

    def look(figure, *_, **__):
        (axis,) = figure.axes
        seen["label"] = axis.get_ylabel()
        seen["looks"] = {(line.get_linestyle(), line.get_color()) for line in axis.lines}
        seen["styles"] = {line.get_linestyle() for line in axis.lines}

    monkeypatch.setattr(Figure, "savefig", look)
    runs = [_run(tmp_path / str(number), LINES) for number in range(12)]
    draw_curves(runs[:4], "vessel_share", tmp_path / "x.png")
    assert len(seen["styles"]) == 4
    assert seen["label"].replace("\n", " ") == (
        "fraction of vessel patches among the masked patches"
    )
    draw_curves(runs, "loss", tmp_path / "x.png")
    assert len(seen["looks"]) == 12
    assert seen["label"] == "loss"


def test_a_probe_is_drawn_with_its_chance(tmp_path, monkeypatch):
    """Once per level; epochs without a probe are skipped."""
    probes = [
        {"step": 2, "epoch": 0, "loss": 1.0},
        {"step": 4, "epoch": 1, "probe_ap": 30.0, "probe_chance": 12.5},
        {"step": 8, "epoch": 3, "probe_ap": 40.0},
    ]
    runs = [_run(tmp_path / str(number), probes) for number in range(2)]
    assert read_curve(runs[0], "probe_ap") == ([2.0, 4.0], [30.0, 40.0])
    lines = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: lines.extend(figure.axes))
    draw_curves(runs, "probe_ap", tmp_path / "x.png")
    drawn = [(line.get_label(), list(line.get_ydata())) for line in lines[0].lines]
    assert drawn == [("0", [30.0, 40.0]), ("1", [30.0, 40.0]), ("chance", [12.5, 12.5])]
    assert lines[0].get_ylabel().startswith("average precision (%)")
    assert chance_levels(runs, "loss") == []


@pytest.mark.parametrize("content", ["[]", "{", '{"config": []}', '{"config": {"card": 1}}'])
def test_folder_name_replaces_a_missing_title(tmp_path, content):
    folder = _run(tmp_path / "run", LINES)
    assert run_title(folder) == "run"
    (folder / "run.json").write_text(content)
    assert run_title(folder) == "run"


def test_bad_logs_are_one_line_errors(tmp_path):
    with pytest.raises(InputError, match=r"metrics\.jsonl: no such log"):
        read_curve(tmp_path, "loss")
    folder = _run(tmp_path / "run", LINES)
    with pytest.raises(InputError, match="has no colour, only epoch, loss, step, vessel_share"):
        read_curve(folder, "colour")
    with (folder / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 4, "ep')
    with pytest.raises(InputError, match="line 4: not a log entry"):
        read_curve(folder, "loss")
