"""The coronary arteries of one synthetic patient, by name.

Courses are given as knots (longitude in degrees, latitude in degrees, lift in mm) on the heart's
surface, see `tree`; every patient deviates from them at random. In right dominance (85 % of
patients) the posterior descending and posterolateral arteries come from the right coronary artery,
in left dominance from the circumflex.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from benchmark.data.synthetic.tree import (
    DEGREES,
    LABEL,
    Branch,
    CoronaryTree,
    Grower,
    Heart,
    Patient,
)
from benchmark.randomness import numpy_generator


def _nearest(branch: Branch, column: int, degrees: float) -> int:
    """The sample of a branch whose longitude (column 0) or latitude (column 1) is closest."""
    return int(np.abs(branch.surface[:, column] * 180 / np.pi - degrees).argmin())


def _right_tree(heart: Heart, dominance: str, rng: np.random.Generator) -> list[Branch]:
    grow = Grower(heart, rng)
    groove = [[-42, -9, -9], [-55, 1, 0], [-72, 4, 1], [-95, 7, 0], [-122, 8, 0], [-150, 7, 0]]
    if dominance == "right":
        rca = grow.trunk([*groove, [-176, 7, 0], [-196, 10, 0], [-214, 17, 0]], 1.6, "1")
        crux = _nearest(rca, 0, -177)
        rca.segment[crux:] = LABEL["16"]
        tip = rng.uniform(50, 72)
        grow.child(rca, crux, [[-181, 20, 0], [-180, 38, 0], [-178, tip, 0]], 0.78, "4")
        grow.child(rca, _nearest(rca, 0, -192), [[-197, 24, 0], [-200, 46, 0]], 0.72, "16a")
        grow.child(rca, _nearest(rca, 0, -201), [[-209, 27, 0], [-214, 44, 0]], 0.72, "16b")
        if rng.uniform() < 0.5:
            grow.child(rca, _nearest(rca, 0, -208), [[-221, 26, 0], [-230, 38, 0]], 0.6, "16c")
    else:
        rca = grow.trunk([*groove[:-1], [-140, 12, 0]], 1.4, "1")
        crux = len(rca.path)
    margin = _nearest(rca, 0, -93)
    rca.segment[(margin + _nearest(rca, 0, -45)) // 2 : margin] = LABEL["2"]
    rca.segment[margin:crux] = LABEL["3"]
    grow.child(rca, _nearest(rca, 0, -52), [[-40, 12, 2], [-30, 24, 2]], 0.38, wobble_mm=1.6)
    grow.child(rca, _nearest(rca, 0, -70), [[-62, 22, 0], [-55, 40, 0]], 0.42, wobble_mm=1.4)
    grow.child(
        rca,
        margin,
        [[-96, 24, 0], [-92, 42, 0], [-88, 58, 0]],
        rng.uniform(0.45, 0.6),
        wobble_mm=1.2,
    )
    return _with_twigs(grow, 0.016)


def _left_tree(heart: Heart, dominance: str, rng: np.random.Generator) -> list[Branch]:
    grow = Grower(heart, rng)
    trunk = grow.trunk(
        [
            [19, -5, -9],
            [17, -2, -4],
            [14, 4, 1],
            [7, 20, 1],
            [2, 42, 1],
            [0, 66, 0],
            [2, 86, 0],
            [6, 99, 0],
        ],
        1.75,
        "5",
    )
    split = _nearest(trunk, 1, 3)
    first, second = (_nearest(trunk, 1, rng.uniform(*band)) for band in ((15, 24), (34, 46)))
    for start, name in ((split, "6"), (first, "7"), (second, "8")):
        trunk.segment[start:] = LABEL[name]
    groove = [[30, 3, 1], [48, 6, 1], [72, 8, 0], [96, 9, 0]]
    if dominance == "left":
        groove += [[124, 9, 0], [150, 9, 0], [172, 9, 0]]
    else:
        groove += [[114, 16, 0], [124, 28, 0]]
    lcx = grow.child(trunk, split, groove, 0.82 if dominance == "left" else 0.78, "11", 0.9)
    if rng.uniform() < 0.25:
        grow.child(trunk, split, [[24, 14, 2], [34, 34, 1], [40, 54, 0]], 0.55, "12")
    diagonals = [grow.child(trunk, first, [[22, 30, 1], [32, 46, 0], [36, 64, 0]], 0.7, "9")]
    diagonals += [grow.child(trunk, second, [[16, 54, 1], [24, 68, 0], [28, 78, 0]], 0.68, "10")]
    for diagonal, name in zip(diagonals, ("9a", "10a")):
        if rng.uniform() < 0.4:
            fork = int(len(diagonal.path) * rng.uniform(0.3, 0.5))
            knot = diagonal.surface[min(fork + 30, len(diagonal.path) - 1)] * DEGREES
            knots = knot + np.array([[12, 2, 0], [20, 12, 0]])
            grow.child(diagonal, fork, knots, 0.7, name)
    for latitude in rng.uniform(14, 62, size=rng.integers(1, 5)):
        depth = rng.uniform(14, 30)
        grow.child(
            trunk,
            _nearest(trunk, 1, latitude),
            [[-2, latitude + 6, -0.4 * depth], [-4, latitude + 14, -depth]],
            rng.uniform(0.25, 0.36),
            wobble_mm=0.7,
        )
    margin = _nearest(lcx, 0, rng.uniform(42, 56))
    lcx.segment[margin:] = LABEL["13"]
    grow.child(lcx, margin, [[58, 20, 1], [66, 40, 0], [70, 60, 0]], rng.uniform(0.65, 0.8), "12a")
    grow.child(lcx, _nearest(lcx, 0, 80), [[86, 24, 0], [92, 44, 0]], rng.uniform(0.5, 0.7), "12b")
    if dominance == "left":
        for longitude, name in ((110, "14"), (132, "14a"), (150, "14b")):
            origin = _nearest(lcx, 0, longitude)
            grow.child(lcx, origin, [[longitude + 5, 26, 0], [longitude + 7, 48, 0]], 0.6, name)
        lcx.segment[_nearest(lcx, 0, 164) :] = LABEL["15"]
        grow.child(lcx, len(lcx.path) - 2, [[180, 24, 0], [179, 44, 0], [178, 62, 0]], 0.95, "15")
    elif rng.uniform() < 0.5:
        grow.child(lcx, _nearest(lcx, 0, 104), [[116, 24, 0], [122, 46, 0]], 0.62, "14")
    return _with_twigs(grow, 0.009)


def _with_twigs(grow: Grower, per_mm: float) -> list[Branch]:
    for branch in list(grow.branches):
        grow.twigs(branch, per_mm)
    return grow.branches


def _assemble(branches: list[Branch], rng: np.random.Generator) -> CoronaryTree:
    """Place the stenoses and concatenate the branches."""
    lesions: list[float] = []
    marks = [np.full(len(branch.path), -1) for branch in branches]
    wide = [k for k, b in enumerate(branches) if b.length_mm > 30 and b.radius[0] > 0.8]
    weights = np.array([branches[k].length_mm * branches[k].radius[0] for k in wide])
    for _ in range(rng.choice(4, p=[0.4, 0.35, 0.2, 0.05])):
        chosen = wide[rng.choice(len(wide), p=weights / weights.sum())]
        branch, mark = branches[chosen], marks[chosen]
        half = rng.uniform(2.5, 6.5)
        centre = branch.path[0] + rng.uniform(10, max(0.75 * branch.length_mm, 12))
        inside = np.abs(branch.path - centre) < half
        if not inside.any() or (mark[inside] >= 0).any():
            continue
        degree = float(0.35 + 0.55 * rng.beta(1.2, 1.8))
        narrowing = np.cos(np.pi / 2 * (branch.path[inside] - centre) / half) ** 2
        branch.radius[inside] *= 1 - degree * narrowing
        mark[inside] = len(lesions)
        lesions.append(degree)
    starts = np.cumsum([0, *(len(branch.path) for branch in branches)])
    capsules = [
        start + np.flatnonzero(branch.path[:-1] - branch.path[0] >= branch.hidden_mm)
        for start, branch in zip(starts, branches)
    ]
    joined = {
        name: np.concatenate([getattr(branch, name) for branch in branches])
        for name in ("points", "radius", "path", "segment")
    }
    return CoronaryTree(
        **joined,
        layer=np.concatenate([np.full(len(branch.path), branch.layer) for branch in branches]),
        lesion=np.concatenate(marks),
        capsules=np.concatenate(capsules),
        lesions=tuple(lesions),
    )


@lru_cache(maxsize=64)
def patient_anatomy(seed: int, patient: int) -> Patient:
    """The heart and both coronary trees of a patient, the same in all videos."""
    rng = numpy_generator(seed, "synthetic patient", patient)
    heart = Heart(rng)
    dominance = "left" if rng.uniform() < 0.15 else "right"
    trees = {
        "left": _assemble(_left_tree(heart, dominance, rng), rng),
        "right": _assemble(_right_tree(heart, dominance, rng), rng),
    }
    return Patient(heart, trees)
