"""One video of a patient: C-arm position, catheter, heart beat and passage of contrast medium.

Image coordinates are fractions of the frame's side, (0, 0) the upper left corner and (1, 1)
the lower right one, so that every size shows the same scene. The image is seen as on the monitor:
the patient's right is on the left.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.interpolate import CubicSpline

from benchmark.data.synthetic.arteries import patient_anatomy
from benchmark.randomness import numpy_generator

_SOURCE_MM = 750.0  # X-ray source to isocentre, typical of a C-arm
# Working views (LAO > 0 > RAO, cranial > 0 > caudal), degrees.
_VIEWS = {
    "left": ((-25, -22), (-8, 34), (45, 25), (0, -28), (42, -26), (-32, 3), (-38, 22)),
    "right": ((42, 0), (32, 18), (-32, 0), (5, 28), (50, -5)),
}
_BEAT_FRAMES = 13.0  # 15 frames/s at 70 beats per minute


class View:
    """Everything about a video that is independent of frame and size.

    Every third video of a patient shows the right coronary artery, the others the left.
    """

    def __init__(self, seed: int, patient: int, video: int) -> None:
        self.patient = patient_anatomy(seed, patient)
        turn = int(numpy_generator(seed, "synthetic videos", patient).integers(3))
        self.artery = "right" if (turn + video) % 3 == 0 else "left"
        self.tree = self.patient.trees[self.artery]
        rng = numpy_generator(seed, "synthetic view", patient, video)
        angles = np.array(_VIEWS[self.artery][rng.integers(len(_VIEWS[self.artery]))], float)
        # Unit vectors: image x, image y upwards, towards the detector.
        self.right, self.up, self.toward = _orientation(*(angles + rng.normal(0, 4, size=2)))
        shadow = np.stack([self.tree.points @ self.right, self.tree.points @ self.up], axis=1)
        low, high = np.percentile(shadow, [1, 99], axis=0)
        # Side and centre of the frame in the isocentre plane.
        self.field_mm = float(np.clip((high - low).max() / rng.uniform(0.7, 0.97), 100, 175))
        self.centre_mm = (low + high) / 2 + rng.normal(0, 0.035, size=2) * self.field_mm
        tip, ahead = (0.5 + (shadow[k] - self.centre_mm) * [1, -1] / self.field_mm for k in (0, 12))
        self.iodine_per_mm = rng.uniform(0.14, 0.27)  # attenuation of undiluted contrast medium
        self.catheter = _catheter(tip, ahead - tip, rng)  # M×2, from the edge to the ostium at rest
        self.catheter_radius_mm = rng.uniform(0.8, 1.1)
        self.catheter_density = rng.uniform(0.55, 1.1)  # attenuation relative to undiluted contrast
        # Length of the puff of contrast refluxing into the aorta; 0 for none.
        self.reflux_mm = rng.uniform(3, 10) if rng.uniform() < 0.6 else 0.0
        self.beat_phase = rng.uniform()
        # 3×2: wavelength in mm and phase of the unevenness of the contrast.
        wavelengths = rng.uniform([15, 30, 50], [25, 45, 90])
        self.streaks = np.stack([wavelengths, rng.uniform(0, 6.28, 3)], axis=1)
        # Depth of the contrast front in frame 0, as a fraction of the longest path.
        self.fill_start = rng.uniform(-0.02, 0.1)
        # Times as fractions of the video: the tree is full, wash-out begins.
        self.fill_end, self.clear_start = rng.uniform(0.3, 0.42), rng.uniform(0.62, 0.8)
        self.clear_depth = rng.uniform(0.2, 0.7)  # loss of concentration by wash-out

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cone-beam projection of N×3 points in mm: image coordinates N×2, magnification N."""
        magnification = _SOURCE_MM / (_SOURCE_MM + points @ self.toward)
        plane = np.stack([points @ self.right, points @ self.up], axis=1)
        offset = plane * magnification[:, None] - self.centre_mm
        return 0.5 + offset * [1, -1] / self.field_mm, magnification

    def moved(self, points: np.ndarray, frame: int) -> np.ndarray:
        """Positions in mm in a frame: systole shortens and twists the heart, breath lifts it."""
        heart = self.patient.heart
        phase = 2 * np.pi * (frame / _BEAT_FRAMES + self.beat_phase)
        squeeze = 0.5 - 0.5 * np.cos(phase)
        height = points @ heart.axis
        across = points - height[:, None] * heart.axis
        depth = np.clip(0.35 + height / heart.length_mm, 0, 1.2)
        twist = (0.12 * squeeze * (depth - 0.3))[:, None]
        turned = across + twist * np.cross(heart.axis, across)
        # The base descends towards the apex, which hardly moves.
        descent = (squeeze * 7 * (1 - depth))[:, None] * heart.axis
        breath = 1.5 * np.sin(phase / 4) * np.array([0, -0.3, 1.0])
        return height[:, None] * heart.axis + turned * (1 - 0.09 * squeeze) + descent + breath

    def concentration(self, time: float, frame: int) -> np.ndarray:
        """Contrast concentration at every sample of the tree; 0 none, 1 about undiluted.

        Args:
            time: elapsed fraction of the video, 0..1.
            frame: number of the frame; the unevenness drifts downstream from frame to frame.
        """
        reach = self.tree.path / self.tree.path.max()
        front = self.fill_start + (1.15 - self.fill_start) * time / self.fill_end
        arrived = _smooth_step((front - reach) / 0.12 + 0.5)
        late = (time - self.clear_start) / (1.15 - self.clear_start)
        cleared = self.clear_depth * _smooth_step((1.5 * late - reach) / 0.6)
        wave = 2 * np.pi * (self.tree.path[:, None] - 9.0 * frame) / self.streaks[:, 0]
        uneven = 1 + 0.05 * np.sin(wave + self.streaks[:, 1]).sum(axis=1)
        return arrived * (1 - cleared) * uneven * (1 - 0.25 * reach)

    def catheter_at(self, frame: int) -> np.ndarray:
        """Image coordinates M×2 of the catheter; its tip follows the ostium, its entry is fixed."""
        tip, _ = self.project(self.moved(self.tree.points[:1], frame))
        weight = np.linspace(0, 1, len(self.catheter))[:, None] ** 2
        return self.catheter + weight * (tip - self.catheter[-1])


def _smooth_step(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _orientation(lao_deg: float, cranial_deg: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image x, image y (upwards) and detector direction in patient axes."""
    lao, cranial = np.radians([lao_deg, cranial_deg])
    right = np.array([np.cos(lao), np.sin(lao), 0.0])
    toward = np.array(
        [np.sin(lao) * np.cos(cranial), -np.cos(lao) * np.cos(cranial), np.sin(cranial)]
    )
    return right, np.cross(toward, right), toward


def _catheter(tip: np.ndarray, ahead: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A curve from beyond the frame's edge to the ostium, meeting the artery along its course."""
    ahead = ahead / (np.linalg.norm(ahead) + 1e-9)
    side = np.sign(ahead[0]) if abs(ahead[0]) > 0.2 else rng.choice([-1.0, 1.0])
    entry = np.array([tip[0] + side * rng.uniform(-0.02, 0.16), -0.06])
    if rng.uniform() < 0.15:  # access through the arm: the catheter comes from the side
        entry = np.array([-0.06, tip[1] + rng.uniform(-0.12, 0.05)])
    bend = tip - ahead * rng.uniform(0.03, 0.05) + np.array([0, 0.012])
    shaft = bend + (entry - bend) * 0.35 + np.array([-side * rng.uniform(-0.01, 0.02), -0.01])
    knots = np.array([entry, entry + (shaft - entry) * 0.55, shaft, bend, tip])
    along = np.r_[0, np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))]
    return CubicSpline(along, knots)(np.linspace(0, along[-1], max(int(along[-1] / 0.006), 8)))


@lru_cache(maxsize=32)
def video_view(seed: int, patient: int, video: int) -> View:
    return View(seed, patient, video)
