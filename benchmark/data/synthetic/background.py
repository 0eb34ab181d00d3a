"""Background anatomy and devices: heart, spine, ribs, diaphragm, lung, wires, collimator.

Everything is drawn once per video as an attenuation image (the logarithm of the intensity loss),
from shapes in fractions of the frame, so that every size shows the same background. Strengths were
set by eye and by intensity percentiles of public angiograms (DCA1, CADICA).

Images are float64: in float32, kernels of different processors round differently, which changes
single intensities, and with them the identity of packs and tasks.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from scipy.interpolate import RectBivariateSpline

from benchmark.data.synthetic.raster import Capsules, draw
from benchmark.data.synthetic.view import View, video_view
from benchmark.randomness import numpy_generator


class _Painter:
    """Shapes on the grid of pixel centres."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.size = size
        self.rng = rng
        centres = (np.arange(size) + 0.5) / size
        self.x, self.y = np.meshgrid(centres, centres)

    def field(self, across: int, down: int, degrees: float = 0.0) -> np.ndarray:
        """Smooth random field of about unit variance with that many bumps across the frame."""
        # 2 extra cells on each side for the rotation and the support of the cubic.
        grid = self.rng.normal(size=(2 * down + 4, 2 * across + 4))
        spline = RectBivariateSpline(*map(np.arange, grid.shape), grid)
        x, y = self.x - 0.5, self.y - 0.5
        if not degrees:  # rows and columns one after the other, which is much faster
            return 1.27 * spline((y[:, 0] + 1) * down + 1.5, (x[0] + 1) * across + 1.5)
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        row, column = (cos * y - sin * x + 1) * down, (cos * x + sin * y + 1) * across
        return 1.27 * spline.ev(row + 1.5, column + 1.5)

    def step(self, distance: np.ndarray, softness: float) -> np.ndarray:
        """0 at large negative distances, 1 at large positive ones; a soft edge in between."""
        return 0.5 + 0.5 * np.tanh(distance / (1.25 * softness))

    def blur(self, image: np.ndarray, sigma: float) -> np.ndarray:
        """Gaussian blur; sigma as a fraction of the frame. Wide blurs run on a smaller image."""
        pixels = sigma * self.size
        reduce = max(int(pixels / 4), 1)
        small = image
        if reduce > 1:
            side = max(self.size // reduce, 8)
            small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        scale = len(small) / self.size
        small = cv2.GaussianBlur(small, (0, 0), max(pixels * scale, 0.3))
        if reduce > 1:
            return cv2.resize(small, (self.size, self.size), interpolation=cv2.INTER_CUBIC)
        return small

    def tubes(self, curves: list[np.ndarray], radius: list[float]) -> np.ndarray:
        """Tubes along M×2 curves, all in fractions of the frame; peak value about 1."""
        starts = np.concatenate([curve[:-1] for curve in curves]) * self.size - 0.5
        ends = np.concatenate([curve[1:] for curve in curves]) * self.size - 0.5
        each = np.repeat(radius, [len(curve) - 1 for curve in curves]) * self.size
        count = np.zeros(len(each), int)
        return draw(Capsules(starts, ends, each, 0.5 / each, count, count), self.size, 1)[0]


def _arc(start: np.ndarray, heading: float, length: float, bend: float) -> np.ndarray:
    """A curve of constant bending: M×2 points in fractions of the frame."""
    along = np.linspace(0, length, max(int(length / 0.02), 3))
    angle = heading + bend * along
    steps = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (along[1] - along[0])
    return start + np.cumsum(steps, axis=0)


def _heart_shadow(paint: _Painter, view: View) -> np.ndarray:
    """Chord length through the heart's ellipsoid, in units of its longest one."""
    heart = view.patient.heart
    half = np.array([heart.length_mm * 0.68, heart.radius_mm * 1.08, heart.radius_mm * 1.08])
    frame = np.stack([heart.axis, heart.anterior, heart.left]) / half[:, None]
    middle = heart.axis * heart.length_mm * 0.1
    x = ((paint.x - 0.5) * view.field_mm + view.centre_mm[0])[..., None]
    y = ((0.5 - paint.y) * view.field_mm + view.centre_mm[1])[..., None]
    origin = (x * view.right + y * view.up - middle) @ frame.T
    ray = frame @ view.toward
    quadratic, linear = ray @ ray, origin @ ray
    inside = linear**2 / quadratic - ((origin**2).sum(axis=-1) - 1)
    # The border moves during the exposure and is not a perfect ellipse.
    inside = inside + 0.08 * paint.field(3, 3)
    return paint.blur(np.sqrt(np.maximum(inside, 0)), 0.02)


def _spine(paint: _Painter, view: View) -> np.ndarray:
    """Vertebral column behind the heart: a soft band with brighter discs."""
    rng = paint.rng
    place = np.array([-25.0, 65.0, 0.0]) @ view.right
    x = 0.5 + (place - view.centre_mm[0]) / view.field_mm
    offset = paint.x - x - 0.12 * (paint.y - 0.5) * rng.normal() - 0.03 * paint.field(2, 2)
    half = 17 / view.field_mm
    band = paint.step(offset + half, 0.022) * paint.step(half - offset, 0.022)
    pitch = 30 / view.field_mm
    wave = (paint.y + 0.25 * offset * rng.normal() + rng.uniform()) / pitch
    discs = np.exp(-(((wave % 1.0) - 0.5) ** 2) / 0.012)
    edges = np.exp(-(((offset - half) / 0.008) ** 2)) + np.exp(-(((offset + half) / 0.008) ** 2))
    return band * (1 - 0.25 * discs + 0.1 * paint.field(8, 10)) + 0.12 * edges


def _ribs(paint: _Painter) -> np.ndarray:
    """Parallel arcs: a faint body between two thin cortical lines."""
    rng = paint.rng
    total = np.zeros_like(paint.x)
    slope = rng.choice([-1, 1]) * rng.uniform(0.25, 1.0)
    bend = rng.uniform(-0.5, 0.5)
    pitch = rng.uniform(0.2, 0.32)
    first = rng.uniform(-0.6, -0.4)
    for index in range(7):
        level = first + (index + rng.normal(0, 0.06)) * pitch
        shift = paint.x - 0.5
        offset = (paint.y - 0.5 - level - slope * shift - bend * shift**2) / np.hypot(1, slope)
        half, sharp = rng.uniform(0.026, 0.04), rng.uniform(0.003, 0.007)
        density, rim = rng.uniform(0.5, 1.0), rng.uniform(0.4, 1.0)
        if np.abs(offset).min() > 2 * half:
            continue
        body = paint.step(offset + half, 2 * sharp) * paint.step(half - offset, 2 * sharp)
        rims = np.exp(-((np.abs(offset) - half) ** 2) / (2 * sharp**2))
        total += density * (body + rim * rims)
    return total * np.clip(0.6 + 0.5 * paint.field(2, 2), 0, 1.4)


def _diaphragm(paint: _Painter) -> np.ndarray:
    """The dome of the diaphragm, entering from below."""
    rng = paint.rng
    top, centre = rng.uniform(0.58, 0.95), rng.uniform(0.0, 1.0)
    dome = top + rng.uniform(0.2, 1.1) * (paint.x - centre) ** 2 + 0.012 * paint.field(3, 3)
    return paint.step(paint.y - dome, rng.uniform(0.005, 0.015)) * (1 + 0.3 * (paint.y - dome))


def _borders(paint: _Painter) -> np.ndarray:
    """Edges of lung, mediastinum and breast: curves with one denser side."""
    rng = paint.rng
    total = np.zeros_like(paint.x)
    for _ in range(rng.integers(2, 5)):
        angle = rng.uniform(0, 2 * np.pi)
        x, y = paint.x - rng.uniform(0.1, 0.9), paint.y - rng.uniform(0.1, 0.9)
        across = x * np.cos(angle) + y * np.sin(angle)
        along = y * np.cos(angle) - x * np.sin(angle)
        edge = across + rng.normal(0, 0.5) * along**2 + 0.02 * paint.field(3, 3)
        fading = np.exp(-np.maximum(edge, 0) / rng.uniform(0.1, 0.6))
        total += rng.uniform(0.06, 0.25) * fading * paint.step(edge, rng.uniform(0.005, 0.02))
    return total


def _lung(paint: _Painter) -> np.ndarray:
    """Mottled texture and out-of-focus pulmonary vessels."""
    rng = paint.rng
    total = np.zeros_like(paint.x)
    for cells, strength in ((4, 0.06), (9, 0.038), (18, 0.032), (36, 0.025), (72, 0.016)):
        total += strength * paint.field(cells, cells)
    total += 0.03 * paint.field(4, 20, rng.uniform(0, 180))
    curves, radius = [], []
    for _ in range(rng.integers(20, 40)):
        start = rng.uniform(0, 1, size=2)
        curves.append(_arc(start, rng.uniform(0, 6.28), rng.uniform(0.1, 0.4), rng.normal(0, 2.5)))
        radius.append(rng.uniform(0.0035, 0.009))
    return total + rng.uniform(0.06, 0.13) * paint.blur(paint.tubes(curves, radius), 0.004)


def _devices(paint: _Painter) -> np.ndarray:
    """Lines that are not vessels: a catheter in the descending aorta, an ECG lead, wire loops."""
    rng = paint.rng
    devices = []  # course, radius, strength
    if rng.uniform() < 0.3:
        start = np.array([rng.uniform(0.65, 0.95), 1.05])
        course = _arc(start, rng.normal(-1.5, 0.15), 1.3, rng.normal(0, 0.2))
        devices.append((course, 0.0065, 0.22))
    if rng.uniform() < 0.3:
        start = np.array([rng.choice([-0.03, 1.03]), rng.uniform(0.1, 0.9)])
        heading = rng.normal(0, 0.5) + (np.pi if start[0] > 1 else 0)
        course = _arc(start, heading, rng.uniform(1.2, 1.6), rng.normal(0, 0.8))
        devices.append((course, 0.0035, 0.2))
    if rng.uniform() < 0.06:
        x = rng.uniform(0.2, 0.8)
        for level in np.arange(rng.uniform(0.05, 0.2), 1, 0.22):
            loop = _arc(np.array([x, level]), rng.uniform(0, 6), 0.12, 28)
            devices.append((loop, 0.0028, 0.5))
    total = np.zeros_like(paint.x)
    for course, radius, strength in devices:
        total += strength * paint.tubes([course], [radius])
    return total


def _shutter(paint: _Painter) -> np.ndarray:
    """Blades at the border, blackened corners of an image intensifier, and vignetting."""
    rng = paint.rng
    x, y = paint.x - 0.5, paint.y - 0.5
    open_share = 1 - rng.uniform(0.1, 0.6) * (x**2 + y**2)
    kind = rng.choice(["blades", "circle", "wedge", "open"], p=[0.5, 0.12, 0.13, 0.25])
    if kind == "blades":
        for distance in (0.5 - x, 0.5 + x, 0.5 - y, 0.5 + y):
            edge = rng.uniform(0.0, 0.025)
            open_share *= 0.25 + 0.75 * paint.step(distance - edge, rng.uniform(0.01, 0.016))
    elif kind == "circle":
        shift = rng.uniform(-0.06, 0.06, size=2)
        away = rng.uniform(0.56, 0.66) - np.hypot(x - shift[0], y - shift[1])
        open_share *= 0.06 + 0.94 * paint.step(away, 0.014)
    elif kind == "wedge":  # a partly transparent filter wedge over one corner
        angle = rng.choice([45, 135, 225, 315]) + rng.normal(0, 12)
        away = rng.uniform(0.42, 0.52) - (
            x * np.cos(np.radians(angle)) + y * np.sin(np.radians(angle))
        )
        open_share *= 0.45 + 0.55 * paint.step(away, rng.uniform(0.012, 0.03))
    return open_share


class Background:
    """Static parts of one video at one size; images are float64 size×size.

    Attributes:
        attenuation: attenuation of tissue and devices, natural-log units.
        scatter: scattered intensity, added to the primary beam.
        shutter: fraction of the beam that passes collimator and field edge, 0..1.
        primary_share: primary intensity at zero attenuation, 1 - scatter fraction.
        exposure: beam intensity that is displayed as `middle`.
        middle: displayed intensity, 0..255.
        gamma: gamma of the display.
    """

    def __init__(self, seed: int, patient: int, video: int, size: int) -> None:
        view = video_view(seed, patient, video)
        # What is drawn from the stream must not depend on the size, or the scene would.
        paint = _Painter(size, numpy_generator(seed, "synthetic tissue", patient, video))
        rng = paint.rng
        tilt = rng.normal(0, 0.25, size=2)
        attenuation = tilt[0] * (paint.x - 0.5) + tilt[1] * (paint.y - 0.5)
        attenuation = attenuation + 0.18 * paint.field(2, 2) + _lung(paint)
        attenuation += rng.uniform(0.2, 0.5) * _heart_shadow(paint, view)
        attenuation += rng.uniform(0.12, 0.32) * _spine(paint, view)
        attenuation += rng.uniform(0.04, 0.11) * _ribs(paint)
        attenuation += _borders(paint)
        if rng.uniform() < 0.75:
            attenuation += rng.uniform(0.15, 0.45) * _diaphragm(paint)
        attenuation += _devices(paint)
        self.attenuation = attenuation
        self.shutter = _shutter(paint)
        scatter_share = rng.uniform(0.15, 0.35)
        self.primary_share = 1 - scatter_share
        primary = np.exp(-self.attenuation)
        self.scatter = scatter_share * paint.blur(primary, 0.12)
        # Statistics on a fixed coarse grid, so that all sizes get the same exposure.
        beam = self.primary_share * primary + self.scatter
        self.exposure = float(np.median(cv2.resize(beam, (64, 64), interpolation=cv2.INTER_AREA)))
        self.middle = rng.uniform(108, 158)
        self.gamma = rng.uniform(0.85, 1.2)


@lru_cache(maxsize=8)
def video_background(seed: int, patient: int, video: int, size: int) -> Background:
    return Background(seed, patient, video, size)
