"""Synthetic angiograms: X-ray physics on top of the anatomy, with exact ground truth.

The primary beam follows Beer-Lambert, I = I₀·exp(-Σ μ·path), through tissue, catheter and contrast
medium; scatter adds a blurred copy of the tissue image; the detector adds quantum (Poisson) and
electronic (Gaussian) noise and a mild blur; a display curve maps beam intensity to 0..255.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from benchmark.data.synthetic.background import video_background
from benchmark.data.synthetic.raster import Capsules, cover, draw
from benchmark.data.synthetic.tree import LAYERS
from benchmark.data.synthetic.view import View, video_view
from benchmark.randomness import numpy_generator

FILLED = 0.35
"""Minimum contrast concentration (1 = undiluted) of a stretch of lumen that counts as vessel."""

_DETECTOR_BLUR = 1.3 / 512  # standard deviation as a fraction of the frame's side
_PHOTONS = 110.0  # per pixel of a 512×512 frame at mean gray, as seen after temporal filtering
_ELECTRONIC_NOISE = 0.006  # standard deviation relative to the mean intensity at 512×512
_LONGEST_CHORD = 2.4  # limit on foreshortening, relative to the chord across the vessel


@dataclass(frozen=True)
class Stenosis:
    """A narrowed, contrast-filled stretch of artery inside the frame."""

    mask: np.ndarray  # bool S×S, its lumen; part of the vessel mask
    box: tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels, tight, exclusive edges


@dataclass(frozen=True)
class SyntheticFrame:
    """One frame with its ground truth.

    Attributes:
        image: uint8 S×S intensities; vessels are darker than their surroundings.
        vessel: bool S×S; lumen with a contrast concentration of at least `FILLED` in this frame.
            Without the catheter.
        segments: uint8 S×S; 0 background, otherwise index + 1 into `SEGMENTS`. Side branches
            without a SYNTAX number carry the label of their parent artery.
        stenoses: the stenoses visible in this frame.
    """

    image: np.ndarray
    vessel: np.ndarray
    segments: np.ndarray
    stenoses: tuple[Stenosis, ...]


def vessel_capsules(view: View, frame: int, time: float, size: int) -> tuple[Capsules, np.ndarray]:
    """Vessel pieces that hold contrast, and which stenosis each belongs to (-1: none)."""
    tree = view.tree
    points = view.moved(tree.points, frame)
    image, magnification = view.project(points)
    image = image * size - 0.5
    pixels_per_mm = size / view.field_mm * magnification
    first, second = tree.capsules, tree.capsules + 1
    concentration = view.concentration(time, frame)[first]
    # Along the beam the path through a tube is longer by 1 / sin(angle between the two).
    stretch = np.linalg.norm(points[second] - points[first], axis=1)
    seen = np.linalg.norm(image[second] - image[first], axis=1) / pixels_per_mm[first]
    chord = np.minimum(stretch / np.maximum(seen, 1e-6), _LONGEST_CHORD)
    capsules = Capsules(
        start=image[first],
        end=image[second],
        radius=tree.radius[first] * pixels_per_mm[first],
        weight=concentration * chord * view.iodine_per_mm / pixels_per_mm[first],
        layer=tree.layer[first],
        label=np.where(concentration >= FILLED, tree.segment[first], 0),
    )
    present = concentration > 0.01
    return capsules.where(present), tree.lesion[first][present]


def catheter_capsules(view: View, frame: int, size: int) -> Capsules:
    """Catheter and reflux of contrast into the aorta, which attenuate but are not vessel (label 0).

    They have their own layer. The reflux, a widening puff behind the catheter's tip, pulses with
    the injection.
    """
    curve = view.catheter_at(frame) * size - 0.5
    count = len(curve) - 1
    pixels_per_mm = size / view.field_mm
    radius = np.full(count, view.catheter_radius_mm * pixels_per_mm)
    weight = np.full(count, view.catheter_density)
    puff_mm = view.reflux_mm * (0.7 + 0.3 * np.sin(1.7 * frame))
    if puff_mm > 0:
        tip, _ = view.project(view.moved(view.tree.points[[0, 8]], frame))
        back = (tip[0] - tip[1]) / (np.linalg.norm(tip[0] - tip[1]) + 1e-9)
        reach = np.linspace(0, puff_mm * pixels_per_mm, 7)
        puff = tip[0] * size - 0.5 + reach[:, None] * (back + np.array([0.1, 0.25]))
        start, end = np.concatenate([curve[:-1], puff[:-1]]), np.concatenate([curve[1:], puff[1:]])
        radius = np.r_[radius, 1.5 * pixels_per_mm + 0.25 * reach[1:]]
        weight = np.r_[weight, np.linspace(0.9, 0.25, 6)]
    else:
        start, end = curve[:-1], curve[1:]
    return Capsules(
        start=start,
        end=end,
        radius=radius,
        weight=weight * view.iodine_per_mm / pixels_per_mm,
        layer=np.full(len(start), LAYERS),
        label=np.zeros(len(start), int),
    )


def _stenoses(
    view: View, capsules: Capsules, lesion: np.ndarray, size: int
) -> tuple[Stenosis, ...]:
    masks = (
        cover(capsules.where((lesion == index) & (capsules.label > 0)), size)
        for index in range(len(view.tree.lesions))
    )
    return tuple(filter(None, map(_boxed, masks)))


def _boxed(mask: np.ndarray) -> Stenosis | None:
    """The stenosis with this mask; None if nothing of it is visible."""
    if not mask.any():
        return None
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    return Stenosis(np.ascontiguousarray(mask), tuple(map(float, box)))


def _expose(
    vessels: np.ndarray, seed: int, patient: int, video: int, frame: int, dose: float
) -> np.ndarray:
    """Detector and display: attenuation of vessels and catheter, S×S, to uint8 S×S."""
    size = len(vessels)
    scene = video_background(seed, patient, video, size)
    rng = numpy_generator(seed, "synthetic noise", patient, video, frame, size)
    # Tissue moves relative to the detector as well, with breath and heart beat.
    sway = np.sin(0.4 * frame + np.array([0.0, 1.3])) * [0.0015, 0.003] * size
    tissue = ndimage.shift(scene.attenuation, sway[::-1], order=1, mode="nearest")
    intensity = scene.primary_share * np.exp(-(tissue + vessels)) + scene.scatter
    intensity *= scene.shutter / scene.exposure
    # Coarser pixels collect the photons of several fine ones.
    photons = _PHOTONS * dose * (512 / size) ** 2
    counts = rng.poisson(intensity * photons) / photons
    counts += _ELECTRONIC_NOISE * size / 512 * rng.standard_normal((size, size))
    counts = cv2.GaussianBlur(counts, (0, 0), max(_DETECTOR_BLUR * size, 0.35))
    np.maximum(counts, 0, out=counts)
    gray = scene.middle * counts**scene.gamma
    # The shoulder of the display curve: highlights are compressed instead of clipped.
    bright = 170
    gray = np.where(gray > bright, bright + 80 * np.tanh((gray - bright) / 80), gray)
    return np.clip(np.rint(gray), 0, 255).astype(np.uint8)


def angiogram(
    seed: int,
    patient: int,
    video: int = 0,
    frame: int = 0,
    *,
    size: int = 512,
    frames: int = 12,
    dose: float = 1.0,
) -> SyntheticFrame:
    """One frame of a synthetic coronary angiogram, a function of its arguments only.

    Args:
        seed: seed of the synthetic population.
        patient: determines the anatomy (dominance, course of the arteries, stenoses).
        video: determines artery, C-arm angles, background and exposure.
        frame: 0 .. frames - 1; the heart beats, and contrast arrives, fills the tree and partly
            washes out. Frame 0 shows little contrast, frame `frames // 2` the full tree.
        size: side S of the frame in pixels; other sizes show the same scene.
        frames: length of the video.
        dose: photons relative to the usual exposure; the noise grows as 1 / √dose.
    """
    if not 0 <= frame < frames:
        raise ValueError(f"frame {frame} is outside a video of {frames} frames")
    view = video_view(seed, patient, video)
    time = frame / (frames - 1) if frames > 1 else 0.5
    vessels, lesion = vessel_capsules(view, frame, time, size)
    both = zip(vessels, catheter_capsules(view, frame, size))
    attenuation, segments = draw(Capsules(*map(np.concatenate, both)), size, LAYERS + 1)
    return SyntheticFrame(
        image=_expose(attenuation, seed, patient, video, frame, dose),
        vessel=segments > 0,
        segments=segments,
        stenoses=_stenoses(view, vessels, lesion, size),
    )


def close_up(frame: SyntheticFrame, side: int, rng: np.random.Generator) -> SyntheticFrame:
    """A square of a frame, side×side, around one of its stenoses, or else a piece of vessel.

    That lies up to 0.3 · side from the centre in both directions; at random, like the choice. What
    else is inside keeps its truth; the box of a stenosis that is cut is that of the rest.

    Args:
        side: in pixels, at most that of the frame.
    """
    size = len(frame.image)
    if frame.stenoses:
        shown = frame.stenoses[rng.integers(len(frame.stenoses))].box
        middle = np.array([shown[1] + shown[3], shown[0] + shown[2]]) / 2
    else:
        pixels = np.argwhere(frame.vessel)
        middle = pixels[rng.integers(len(pixels))] if len(pixels) else np.full(2, size / 2)
    corner = middle - side / 2 + rng.uniform(-0.3, 0.3, 2) * side
    row, column = corner.clip(0, size - side).astype(int)
    window = np.s_[row : row + side, column : column + side]
    parts = (frame.image, frame.vessel, frame.segments)
    return SyntheticFrame(
        *(np.ascontiguousarray(part[window]) for part in parts),
        stenoses=tuple(filter(None, (_boxed(one.mask[window]) for one in frame.stenoses))),
    )
