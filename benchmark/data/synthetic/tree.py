"""Growing coronary trees: branching 3-D centrelines on the surface of the heart.

The epicardial surface is half an ellipsoid whose long axis runs from the base to the apex. A point
on it is (longitude, latitude, lift): longitude 0° is the anterior and ±180° the posterior
interventricular groove, positive towards the patient's left; latitude 0° is the atrioventricular
groove and 90° the apex; lift is the height above the surface in mm. The named arteries follow these
grooves, as in the anatomy books, so that the usual C-arm angles show the usual images.
Radii obey Murray's law at bifurcations (r³ = Σ rᵢ³; Murray, PNAS 1926). Segments are those
of the SYNTAX score, with label i for ``SEGMENTS[i - 1]``.

Patient axes: x to the left, y to the back, z to the head; the origin is the heart's centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from benchmark.data.sources.arcade import SEGMENTS

LABEL = {name: label for label, name in enumerate(SEGMENTS, start=1)}
STEP_MM = 0.6  # spacing of centreline samples; capsules between them look smooth up to 1024 px
THINNEST_MM = 0.38  # below this radius a contrast-filled artery is not resolved in practice
DEGREES = np.array([180 / np.pi, 180 / np.pi, 1.0])  # surface coordinates in rad → degrees
LAYERS = 7  # branches in one layer do not add up where they cross; see `raster.Capsules`


class Heart:
    """Size and orientation of the ellipsoid that carries the arteries, at random."""

    def __init__(self, rng: np.random.Generator) -> None:
        # Unit vectors: from base to apex, to the anterior interventricular groove, to the left.
        self.axis = _unit(np.array([0.65, -0.5, -0.57]) + rng.normal(0, 0.06, size=3))
        anterior = np.array([0.0, -0.45, 0.9]) + rng.normal(0, 0.06, size=3)
        self.anterior = _unit(anterior - anterior @ self.axis * self.axis)
        self.left = np.cross(self.anterior, self.axis)
        self.length_mm = float(rng.normal(88, 5))
        self.radius_mm = float(rng.normal(44, 3))

    def position(self, surface: np.ndarray) -> np.ndarray:
        """Patient coordinates in mm, N×3, of surface coordinates (rad, rad, mm), N×3."""
        longitude, latitude, lift = surface.T
        across = (self.radius_mm * np.cos(latitude) + lift * np.cos(latitude))[:, None]
        along = (self.length_mm * (np.sin(latitude) - 0.35) + lift * np.sin(latitude))[:, None]
        around = np.cos(longitude)[:, None] * self.anterior + np.sin(longitude)[:, None] * self.left
        return along * self.axis + across * around


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


@dataclass
class Branch:
    """One artery while the tree grows. Arrays run over centreline samples from the origin on."""

    surface: np.ndarray  # N×3: longitude and latitude in rad, lift in mm
    points: np.ndarray  # N×3 patient coordinates, mm
    path: np.ndarray  # N, distance from the ostium along the tree, mm
    radius: np.ndarray  # N, mm
    segment: np.ndarray  # N, uint8 label
    layer: int
    hidden_mm: float  # the first stretch lies inside the parent's lumen

    @property
    def length_mm(self) -> float:
        return float(self.path[-1] - self.path[0])


@dataclass(frozen=True)
class CoronaryTree:
    """All branches of the left or right coronary artery, packed for drawing.

    Arrays run over the N samples of all branches; capsule k joins samples capsules[k] and
    capsules[k] + 1. `lesion` is the index into `lesions`, -1 elsewhere.
    """

    points: np.ndarray  # N×3, mm
    radius: np.ndarray  # N, mm, stenoses included
    path: np.ndarray  # N, mm from the ostium
    segment: np.ndarray  # N, uint8
    layer: np.ndarray  # N, int
    lesion: np.ndarray  # N, int
    capsules: np.ndarray  # K, int
    lesions: tuple[float, ...]  # loss of diameter by each stenosis, 0..1


@dataclass(frozen=True)
class Patient:
    """Anatomy common to all videos of a patient."""

    heart: Heart
    trees: dict[str, CoronaryTree]  # "left" and "right"


class Grower:
    """Grows the branches of one coronary artery, using the random stream of the patient."""

    def __init__(self, heart: Heart, rng: np.random.Generator) -> None:
        self.heart = heart
        self.rng = rng
        self.branches: list[Branch] = []

    def _jitter(self, knots: np.ndarray) -> np.ndarray:
        """Individual variation: about 3 degrees on every knot but the first."""
        spread = self.rng.normal(size=knots.shape) * [3.0, 2.0, 0.6]
        spread[0] = 0
        return knots + spread

    def _sample(self, knots: np.ndarray, wobble_mm: float) -> tuple[np.ndarray, np.ndarray]:
        """Surface coordinates and points of a smooth curve through knots (degrees, degrees, mm)."""
        knots = knots / DEGREES
        stretch = np.linalg.norm(np.diff(self.heart.position(knots), axis=0), axis=1)
        spline = CubicSpline(np.r_[0, np.cumsum(np.maximum(stretch, 0.5))], knots)
        length = spline.x[-1]
        surface = spline(np.linspace(0, length, max(int(length / STEP_MM), 4)))
        points = self.heart.position(surface)
        along = np.linspace(0, length, len(points))
        tangent = np.gradient(points, axis=0)
        outward = points / np.linalg.norm(points, axis=1, keepdims=True)
        sideways = np.cross(tangent, outward)
        sideways /= np.linalg.norm(sideways, axis=1, keepdims=True) + 1e-9
        # Amplitude grows with wavelength, so long bends stay gentle and short ones stay small.
        for wavelength in self.rng.uniform([9, 16, 28], [15, 28, 50]):
            amplitude = wobble_mm * wavelength / 30 * self.rng.uniform(0.4, 1.3, size=2)
            phase = 2 * np.pi * (along[:, None] / wavelength + self.rng.uniform(size=2))
            bend = amplitude * np.sin(phase) * (along / (along + 8))[:, None]
            points = points + bend[:, :1] * sideways + 0.6 * bend[:, 1:] * outward
        return surface, points

    def trunk(self, knots: Sequence[Sequence[float]], radius_mm: float, segment: str) -> Branch:
        """The artery that leaves the aorta."""
        surface, points = self._sample(self._jitter(np.array(knots, float)), 0.8)
        return self._add(surface, points, 0.0, radius_mm, segment, 0, 0.0)

    def child(
        self,
        parent: Branch,
        origin: int,
        knots: Sequence[Sequence[float]],
        ratio: float,
        segment: str | None = None,
        wobble_mm: float = 1.0,
    ) -> Branch:
        """A branch leaving sample `origin` of `parent` with `ratio` times its radius.

        Unnamed side branches (no `segment`) carry the label of the artery they come from.
        """
        start = parent.surface[origin] * DEGREES
        surface, points = self._sample(
            self._jitter(np.vstack([start, np.array(knots, float)])), wobble_mm
        )
        # The parent has its own bends: start on them and decay over the first centimetre.
        gap = parent.points[origin] - points[0]
        decay = np.exp(-np.arange(len(points)) * STEP_MM / 9)[:, None]
        wide = parent.radius[origin]
        radius = max(ratio * wide, THINNEST_MM)
        name = segment or SEGMENTS[parent.segment[origin] - 1]
        layer = (parent.layer + 1 + int(self.rng.integers(LAYERS - 1))) % LAYERS
        branch = self._add(
            surface, points + gap * decay, parent.path[origin], radius, name, layer, 0.8 * wide
        )
        remaining = np.cbrt(max(wide**3 - radius**3, 0.2 * wide**3)) / wide
        # The lumen narrows over a few millimetres after the carina, not within one sample.
        fade = np.clip((np.arange(len(parent.radius)) - origin) * STEP_MM / 4, 0, 1)
        parent.radius *= 1 - (1 - remaining) * fade
        return branch

    def _add(
        self,
        surface: np.ndarray,
        points: np.ndarray,
        path_mm: float,
        radius_mm: float,
        segment: str,
        layer: int,
        hidden_mm: float,
    ) -> Branch:
        steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
        along = np.r_[0, np.cumsum(steps)]
        radius = radius_mm * np.exp(-0.0025 * along) * (1 - 0.25 * along / along[-1])
        branch = Branch(
            surface=surface,
            points=points,
            path=path_mm + along,
            radius=np.maximum(radius, 0.75 * THINNEST_MM),
            segment=np.full(len(points), LABEL[segment], np.uint8),
            layer=layer,
            hidden_mm=hidden_mm,
        )
        self.branches.append(branch)
        return branch

    def twigs(self, parent: Branch, per_mm: float) -> None:
        """Small side branches: short walks over the surface with a wandering heading."""
        for _ in range(self.rng.poisson(parent.length_mm * per_mm)):
            origin = int(self.rng.uniform(0.12, 0.92) * len(parent.path))
            if parent.path[origin] < 12 or parent.radius[origin] < 1.3 * THINNEST_MM:
                continue
            scale = np.array([self.heart.radius_mm, self.heart.length_mm]) * np.pi / 180
            place = parent.surface[origin, :2] * 180 / np.pi
            scale[0] *= max(np.cos(parent.surface[origin, 1]), 0.35)
            ahead = (
                parent.surface[min(origin + 3, len(parent.path) - 1), :2] * 180 / np.pi
            ) - place
            turn = self.rng.choice([-1, 1]) * self.rng.uniform(0.5, 1.3)
            heading = np.arctan2(ahead[1] * scale[1], ahead[0] * scale[0]) + turn
            length = self.rng.uniform(8, 22) + 12 * parent.radius[origin]
            knots = []
            lift = parent.surface[origin, 2]
            for _ in range(4):
                heading += self.rng.normal(0, 0.35)
                place = place + length / 4 * np.array([np.cos(heading), np.sin(heading)]) / scale
                lift += self.rng.normal(-0.5, 1.5)
                knots.append([*place, lift])
            self.child(parent, origin, knots, self.rng.uniform(0.32, 0.58), wobble_mm=1.5)
