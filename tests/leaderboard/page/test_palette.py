"""The colours of all diagrams are legible and distinct; WCAG 2.1 and Machado et al. (2009)."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

import leaderboard.page
from leaderboard.page import palette
from leaderboard.page.palette import series_style, series_styles

FOLDER = Path(leaderboard.page.__file__).parent
PAPER = {"light": "#ffffff", "dark": "#14171a"}
#: Linear RGB as seen with no red, green or blue cones (Machado, Oliveira, Fernandes 2009, table 1).
NORMAL = np.eye(3)
BLIND = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.044410, 0.968881],
    ],
}


def linear(colour: str) -> np.ndarray:
    """Linear RGB of a hex colour (sRGB)."""
    rgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    light, dark = sorted((linear(c) @ [0.2126, 0.7152, 0.0722] for c in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of linear RGB (D65)."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ rgb.clip(0, 1) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("scheme", PAPER)
def test_marks_and_labels_have_contrast(scheme):
    """WCAG: 4.5 for text; names of lines have the colours of their lines."""
    marks = (palette.INK, palette.MUTED, palette.ACCENT, palette.BETTER, palette.WORSE)
    for colour in (*marks, *palette.SERIES):
        assert contrast(getattr(colour, scheme), PAPER[scheme]) >= 4.5


@pytest.mark.parametrize("seen", [NORMAL, *BLIND.values()])
def test_better_and_worse_differ_for_every_kind_of_vision(seen):
    """By far more than the 2.3 CIELAB units of a just noticeable difference."""
    for scheme in PAPER:
        pair = [getattr(colour, scheme) for colour in (palette.BETTER, palette.WORSE)]
        first, second = (lab(np.asarray(seen) @ linear(colour)) for colour in pair)
        assert np.linalg.norm(first - second) > 30
        for one, other in itertools.combinations(palette.SERIES, 2):
            pair = [getattr(colour, scheme) for colour in (one, other)]
            first, second = (lab(np.asarray(seen) @ linear(colour)) for colour in pair)
            assert np.linalg.norm(first - second) > 12


def test_no_two_series_look_the_same():
    styles = [series_style(number) for number in range(441)]
    lines = {(style["colour"], tuple(style["dash"])) for style in styles[:63]}
    assert len(lines) == 63
    assert len({(s["colour"], tuple(s["dash"]), s["marker"]) for s in styles}) == 441
    assert [style["dash"] for style in styles[:7]] == [[]] * 7
    assert list(series_styles(["b", "a", "b"])) == ["b", "a"]


def test_the_page_takes_every_colour_from_the_palette():
    css = palette.page_style()
    for name in ("ink", "better", "worse", "accent", *(f"series-{n}" for n in range(7))):
        assert len(re.findall(rf"--{name}: light-dark\(#\w{{6}}, #\w{{6}}\);", css)) == 1
    for file in FOLDER.glob("styles/*.css"):
        assert not re.search(r"--(series-\d|better|worse|accent|ink):", file.read_text())
    script = (FOLDER / "plots" / "curves.js").read_text()
    markers = re.search(r"const MARKERS = \{(.*?)\n\};", script, re.S)
    names = re.findall(r'^  "?([\w^])"?: ', markers[1], re.M)
    assert sorted(names) == sorted(palette.MARKERS)
