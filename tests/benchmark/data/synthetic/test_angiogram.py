"""The synthetic angiograms: exact ground truth, and images as hard as the real ones."""

from __future__ import annotations

import hashlib
import itertools

import cv2
import numpy as np
import pytest
from scipy import ndimage
from skimage.filters import sato

from benchmark.data.sources.arcade import SEGMENTS
from benchmark.data.synthetic import SyntheticFrame, angiogram, close_up
from benchmark.data.synthetic.arteries import patient_anatomy
from benchmark.data.synthetic.background import video_background
from benchmark.data.synthetic.raster import Capsules, cover, draw
from benchmark.data.synthetic.render import catheter_capsules, vessel_capsules
from benchmark.data.synthetic.tree import LAYERS
from benchmark.data.synthetic.view import video_view

SEED = 3
FULL = 6  # a frame of the plateau in videos of 12 frames
SIZE = 256


@pytest.fixture(scope="module")
def filled() -> list[SyntheticFrame]:
    """Ten patients, both arteries, at full contrast."""
    return [angiogram(SEED, patient, patient % 3, FULL, size=SIZE) for patient in range(10)]


def ring(mask: np.ndarray, inner: int = 2, outer: int = 5) -> np.ndarray:
    return ndimage.binary_dilation(mask, iterations=outer) & ~ndimage.binary_dilation(
        mask, iterations=inner
    )


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * (first & second).sum() / (first.sum() + second.sum())


def same(first: SyntheticFrame, second: SyntheticFrame) -> bool:
    return np.array_equal(first.image, second.image) and np.array_equal(
        first.segments, second.segments
    )


def test_frame_is_a_function_of_its_ids() -> None:
    forward = [angiogram(SEED, 1, 2, frame, size=96) for frame in range(3)]
    for cached in (patient_anatomy, video_view, video_background):
        cached.cache_clear()
    backward = [angiogram(SEED, 1, 2, frame, size=96) for frame in (2, 1, 0)][::-1]
    assert all(same(a, b) for a, b in zip(forward, backward))
    reference = forward[0]
    assert not same(reference, angiogram(SEED + 1, 1, 2, 0, size=96))
    assert not same(reference, angiogram(SEED, 4, 2, 0, size=96))
    assert not same(reference, angiogram(SEED, 1, 3, 0, size=96))
    assert not same(reference, forward[1])


def test_frames_are_the_same_on_every_processor() -> None:
    """Bit by bit, or records of two machines would not be of the same test set.

    The digest compares the processors this test runs on. OpenCV's kernels for this one, which
    differ from others in float32, are switched off as well.
    """

    def digest() -> str:
        for cached in (patient_anatomy, video_view, video_background):
            cached.cache_clear()
        found = hashlib.sha256()
        for patient, video in itertools.product(range(4), range(2)):
            frame = angiogram(SEED, patient, video, FULL, size=128)
            found.update(frame.image.tobytes() + frame.segments.tobytes())
        return found.hexdigest()[:16]

    expected = "dc0114eba7127cec"
    assert digest() == expected
    cv2.setUseOptimized(False)
    try:
        assert digest() == expected
    finally:
        cv2.setUseOptimized(True)


def test_a_quarter_of_the_dose_doubles_the_noise() -> None:
    """Against a frame of a dose that leaves no noise; the anatomy is the same."""
    clean = angiogram(SEED, 1, 2, FULL, size=SIZE, dose=1e4)
    frames = [angiogram(SEED, 1, 2, FULL, size=SIZE, dose=dose) for dose in (4.0, 1.0)]
    assert all(np.array_equal(clean.segments, frame.segments) for frame in frames)
    assert same(frames[1], angiogram(SEED, 1, 2, FULL, size=SIZE))
    # Below the shoulder of the display curve, where it is smooth.
    lit = (clean.image > 60) & (clean.image < 150)
    noise = [np.std(frame.image[lit] - clean.image[lit].astype(float)) for frame in frames]
    assert noise[1] / noise[0] == pytest.approx(2, rel=0.15)


def test_unknown_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="12 frames"):
        angiogram(SEED, 0, 0, 12)


@pytest.mark.parametrize(("size", "least_dice"), [(96, 0.6), (512, 0.85)])
def test_other_sizes_show_the_same_scene(filled, size: int, least_dice: float) -> None:
    for patient in range(2):
        frames = filled[patient], angiogram(SEED, patient, patient % 3, FULL, size=size)
        assert frames[1].image.shape == frames[1].segments.shape == (size, size)
        side = min(size, SIZE)
        images, masks = (
            [cv2.resize(np.float32(a), (side, side), interpolation=cv2.INTER_AREA) for a in arrays]
            for arrays in ([f.image for f in frames], [f.vessel for f in frames])
        )
        assert dice(masks[0] >= 0.5, masks[1] >= 0.5) > least_dice
        assert np.corrcoef(images[0].ravel(), images[1].ravel())[0, 1] > 0.97
        assert abs(images[0].mean() - images[1].mean()) < 2


def test_ground_truth_is_consistent(filled) -> None:
    for frame in filled:
        assert (frame.image.dtype, frame.vessel.dtype, frame.segments.dtype) == ("u1", "?", "u1")
        assert np.array_equal(frame.vessel, frame.segments > 0)
        labels = np.unique(frame.segments[frame.vessel])
        assert labels.max() <= len(SEGMENTS) == 25
        assert len(labels) >= 3  # the right coronary artery of a left-dominant heart
        for stenosis in frame.stenoses:
            assert not (stenosis.mask & ~frame.vessel).any()
            rows, columns = np.nonzero(stenosis.mask)
            tight = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert stenosis.box == tight
    assert any(frame.stenoses for frame in filled)


def test_a_close_up_is_a_piece_of_its_frame_around_a_stenosis(filled) -> None:
    side = 64
    for number, frame in enumerate(filled):
        piece = close_up(frame, side, np.random.default_rng(number))
        # The place, from the picture alone.
        windows = np.lib.stride_tricks.sliding_window_view(frame.image, (side, side))
        ((row, column),) = np.argwhere((windows == piece.image).all(axis=(2, 3)))
        window = np.s_[row : row + side, column : column + side]
        np.testing.assert_array_equal(piece.vessel, frame.vessel[window])
        np.testing.assert_array_equal(piece.segments, frame.segments[window])
        cut = [one.mask[window] for one in frame.stenoses if one.mask[window].any()]
        assert len(piece.stenoses) == len(cut)
        for stenosis, mask in zip(piece.stenoses, cut):
            np.testing.assert_array_equal(stenosis.mask, mask)
            rows, columns = np.nonzero(mask)
            tight = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert stenosis.box == tight
        # Truth in the piece: a stenosis wherever the frame has one, otherwise a vessel.
        assert piece.stenoses or (not frame.stenoses and piece.vessel.any())
    both = {close_up(filled[0], side, np.random.default_rng(k)).image.tobytes() for k in (1, 1, 2)}
    assert len(both) == 2


def test_stenoses_occur_and_narrow_the_lumen() -> None:
    counts = []
    for patient in range(20):
        for tree in patient_anatomy(SEED, patient).trees.values():
            counts.append(len(tree.lesions))
            for index, degree in enumerate(tree.lesions):
                inside = np.flatnonzero(tree.lesion == index)
                narrow = tree.radius[inside].min() / tree.radius[inside[[0, -1]]].mean()
                assert 0 < degree < 1
                assert narrow < 1 - 0.6 * degree
    assert (min(counts), max(counts)) in {(0, 2), (0, 3)}
    assert 0 < np.mean(counts) < 2


def test_contrast_washes_in() -> None:
    for patient in range(2):
        video = [angiogram(SEED, patient, patient % 3, k, size=SIZE) for k in range(FULL + 1)]
        areas = [frame.vessel.sum() for frame in video]
        assert areas[0] < 0.3 * areas[FULL]
        assert areas[0] <= areas[2] <= areas[4] * 1.05
        # What holds little contrast attenuates, but is no vessel yet.
        thin, _ = vessel_capsules(video_view(SEED, patient, patient % 3), 2, 0.15, SIZE)
        assert (thin.label == 0).any()
        # Where the full tree will be, the image darkens relative to everything else.
        tree = video[FULL].vessel
        darkening = [f.image[tree].mean() - f.image[ring(tree)].mean() for f in video]
        assert darkening[FULL] < darkening[0] - 6
        assert video[FULL].image[tree].mean() < video[0].image[tree].mean()


def test_the_heart_beats() -> None:
    """The filled tree moves a little: other pixels, about the same place."""
    still, moved = (angiogram(SEED, 2, 0, frame, size=SIZE).vessel for frame in (5, 8))
    assert 0.1 < dice(still, moved) < 0.9
    centres = [np.array(ndimage.center_of_mass(mask)) for mask in (still, moved)]
    assert np.linalg.norm(centres[0] - centres[1]) < 15


def test_frames_resemble_real_angiograms(filled) -> None:
    """Bands around DCA1 and CADICA: medians of intensity of about 120, 10th-90th ranges of 40 to
    165, ground truth on 5 % of the pixels (single frames 3 to 8 %)."""
    for frame in filled:
        contrast = frame.image[ring(frame.vessel)].mean() - frame.image[frame.vessel].mean()
        assert 4 < contrast < 60
    median = np.mean([np.median(frame.image) for frame in filled])
    spread = np.mean([np.ptp(np.percentile(frame.image, [10, 90])) for frame in filled])
    assert 100 < median < 150
    assert 40 < spread < 130
    fractions = [frame.vessel.mean() for frame in filled]
    assert 0.03 < np.mean(fractions) < 0.08
    assert min(fractions) > 0.012
    assert max(fractions) < 0.12
    # And no two patients are alike.
    pairs = itertools.combinations([frame.vessel for frame in filled], 2)
    assert max(itertools.starmap(dice, pairs)) < 0.6


def test_dominance_belongs_to_the_patient() -> None:
    """The posterior descending artery comes from one side in all videos of a patient."""
    posterior = {"right": SEGMENTS.index("4") + 1, "left": SEGMENTS.index("15") + 1}
    seen = set()
    for patient in range(12):
        trees = patient_anatomy(SEED, patient).trees
        (side,) = (side for side, label in posterior.items() if label in trees[side].segment)
        views = [video_view(SEED, patient, video) for video in range(3)]
        assert {view.artery for view in views} == {"left", "right"}
        assert all(np.array_equal(v.tree.points, trees[v.artery].points) for v in views)
        seen.add(side)
    assert seen == {"right", "left"}


def test_catheter_is_dark_but_not_vessel() -> None:
    contrasts = []
    for patient in range(6):
        view = video_view(SEED, patient, 0)
        capsules = catheter_capsules(view, 0, SIZE)
        assert not draw(capsules, SIZE, LAYERS + 1)[1].any()
        frame = angiogram(SEED, patient, 0, 0, size=SIZE)  # hardly any contrast yet
        vessels, _ = vessel_capsules(view, 0, 0.0, SIZE)
        assert np.array_equal(frame.segments, draw(vessels, SIZE, LAYERS)[1])
        shaft = cover(capsules, SIZE) & ~ndimage.binary_dilation(frame.vessel, iterations=4)
        shaft[:12] = shaft[:, :12] = False
        if shaft.sum() > 75:
            around = frame.image[ring(shaft) & ~frame.vessel].mean()
            contrasts.append(around - frame.image[shaft].mean())
    assert len(contrasts) >= 3
    assert np.mean(contrasts) > 6


@pytest.mark.parametrize("patient", [0, 1, 2])
def test_the_middle_of_the_beam_is_displayed_as_the_middle_intensity(patient: int) -> None:
    """Half of the open field is brighter than `middle`, apart from vignetting and vessels."""
    scene = video_background(SEED, patient, 0, SIZE)
    beam = scene.primary_share * np.exp(-scene.attenuation) + scene.scatter
    assert np.median(beam) == pytest.approx(scene.exposure, rel=0.03)
    shown = angiogram(SEED, patient, 0, 0, size=SIZE).image  # hardly any contrast yet
    expected = scene.middle * np.median(scene.shutter) ** scene.gamma
    assert np.median(shown) == pytest.approx(expected, rel=0.12)


@pytest.mark.parametrize("weight", [1.0, 0.4])
def test_drawn_tube_has_the_chord_of_a_cylinder(weight: float) -> None:
    one = np.ones(1)
    tube = Capsules(
        start=np.array([[-20.0, 31.5]]),
        end=np.array([[90.0, 31.5]]),
        radius=6 * one,
        weight=weight * one,
        layer=np.zeros(1, int),
        label=np.full(1, 7),
    )
    length, labels = draw(tube, 64, 1)
    offset = np.abs(np.arange(64) - 31.5)
    assert np.array_equal(labels > 0, np.repeat(offset[:, None] <= 6, 64, axis=1))
    assert set(np.unique(labels)) == {0, 7}
    expected = 2 * weight * np.sqrt(np.maximum(36 - offset**2, 0))
    assert np.allclose(length[offset < 5, 10], expected[offset < 5], rtol=0.02)
    # The cross-section keeps its area however thin the tube is on the pixel grid.
    assert length[:, 10].sum() == pytest.approx(np.pi * 36 * weight, rel=0.02)


def test_classical_extraction_is_neither_trivial_nor_hopeless(filled) -> None:
    """Vesselness, border, percentile and region growing as in the VasoMIM papers."""
    recalls, precisions = [], []
    for frame in filled:
        vesselness = sato(frame.image.astype(float), [1, 2], black_ridges=True, mode="reflect")
        inner = np.pad(np.ones((SIZE - 20, SIZE - 20), bool), 10)
        vesselness[~inner] = 0
        kept = (vesselness >= np.percentile(vesselness, 92)) & (vesselness > 0)
        regions, _ = ndimage.label(kept)
        found = regions == regions.flat[vesselness.argmax()]
        hits = (found & frame.vessel).sum()
        recalls.append(hits / frame.vessel.sum())
        precisions.append(hits / found.sum())
    assert 0.55 < np.mean(recalls) < 0.9, recalls
    assert 0.3 < np.mean(precisions) < 0.82, precisions
    # It does fail here and there, as on real frames.
    assert np.max(recalls) < 0.97
    assert np.max(precisions) < 0.98
