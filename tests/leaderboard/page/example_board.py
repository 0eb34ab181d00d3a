"""A board of invented results, as `leaderboard.page.render` reads it.

Thirty methods, twenty columns, five seeds: random, but seeded, and with everything that has broken
pages before: hostile names, missing cells, single seeds, undefined tests, published rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmark.method_cards import read_method_cards
from benchmark.method_costs import MeasuredSpeed, MethodCosts
from benchmark.results import RunRecord
from leaderboard.board import Row, Score
from leaderboard.build import build_leaderboard
from leaderboard.columns import Column
from leaderboard.data import board_data
from leaderboard.page.palette import series_style
from leaderboard.pictures.files import Picture, frame_picture, mask_picture
from leaderboard.published import PublishedTable
from leaderboard.statistics import Summary

HOSTILE = "<script>alert(1)</script>"
_SPEED = MeasuredSpeed(812.3, 1.0, "", 20_480.4, "paper", 256, HOSTILE, 16, "bf16")

METHODS = (
    *(("vasomim", "VasoMIM"), ("mae", "MAE"), ("simmim", "SimMIM"), ("ibot", "iBOT")),
    *(("dino", "DINO"), ("moco_v3", "MoCo v3"), ("ijepa", "I-JEPA"), ("amt", "AMT")),
    *(("hpm", "HPM"), ("localmim", "LocalMIM"), ("crossmae", "CrossMAE"), ("spt", "SPT")),
    *(("frepa", "Frepa"), ("chexworld", "CheXWorld"), ("models_genesis", "Models Genesis")),
    *(("deblurring_mim", "Deblurring MIM"), ("vasomim_v1", "VasoMIM-v1"), ("lvm_med", "LVM-Med")),
    *(("rad_dino", "RAD-DINO"), ("dinov3", "DINOv3"), ("medsam", "MedSAM"), ("unet", "U-Net")),
    *(("transunet", "TransUNet"), ("vm_unet", "VM-UNet"), ("frangi", "Frangi filter")),
    *(("scratch", "ViT from scratch"), ("hostile", HOSTILE)),
    *(("quoted", "A \"quoted\" & 'tricky' name with\u2028a line separator"), ("one_seed", "One")),
    ("incomplete", "A method whose name is much longer than any column has room for"),
)
FAMILIES = (
    "Masked image modelling",
    "Contrastive & distillation",
    "Released encoders",
    "From scratch",
)
CORPORA = ("XA-170K", "ImageNet-1K", "—")
SEGMENTATION = (
    *("arcade_v", "caxf", "xcav", "arcade_s", "arcade_vs", "dca1", "chuac", "fame2", "rasper"),
    "drive",
)
#: Fields of every run, as the dialog shows them.
RUN = {
    "device": "NVIDIA H200",
    "git": {"commit": "0123456789abcdef", "dirty": False},
    "versions": {"torch": "2.11.0", "timm": "1.0.20"},
    "encoder": {"fingerprint": "c0ffee", "weights_sha256": "ab" * 32, "provenance": {}},
    "corpus_hash": "c0rpu5" * 8,
    "wall_time_s": 4321.5,
    "images_per_s": 812.3,
    "peak_memory_mb": 10240.0,
}


#: Name → file of the pictures of all boards made here, as `render` takes them.
PICTURES: dict[str, bytes] = {}


def keep(picture: Picture) -> str:
    """The name of a picture, which is then among `PICTURES`."""
    PICTURES[picture.name] = picture.content
    return picture.name


def _records(
    make_run: Callable[..., RunRecord],
    task: str,
    metrics: dict[str, tuple[str, ...]],
    count: int,
    seeds: int,
    rng: np.random.Generator,
) -> Iterator[RunRecord]:
    """Runs of the first `count` methods; `metrics`: dataset → metrics."""
    quality = rng.normal(0, 2.5, count)
    for index, (method, title) in enumerate(METHODS[:count]):
        about = {"title": title, "family": FAMILIES[index % 4], "pretraining": CORPORA[index % 3]}
        for place, (dataset, names) in enumerate(metrics.items()):
            level = 78 - 3 * (place % 4) + rng.normal(0, 0.4)
            for seed in range(1 if method == "one_seed" else seeds):
                scores = dict(zip(names, (level + rng.normal(0, 0.35, len(names))).tolist()))
                for name in scores:
                    scores[name] += 0 if name == "lpips" else quality[index]
                if method == "incomplete" and place != 1:
                    scores.pop(names[-1])
                fields = {"task": task, "lower_is_better": ("lpips",), **about, **RUN}
                yield make_run(method, dataset, seed, **fields, **scores)


def _published(task: str, metrics: dict[str, tuple[str, ...]], rng: Any) -> PublishedTable:
    """MAE with one number per dataset."""
    citation = "Journal version of VasoMIM, table I"
    row = Row("published:journal-I:MAE", "mae", "MAE", FAMILIES[0], CORPORA[0], source=citation)
    scores = {
        Column(dataset, names[0], "as published", True): Score(
            Summary(float(rng.uniform(50, 90)), 0.4, 0)
        )
        for dataset, names in metrics.items()
    }
    about = ("journal-I", task.capitalize(), task, "journal", None, citation, "mae", "")
    return PublishedTable(*about, (row,), {row.id: scores})


def _vessel(size: int, shift: float, width: float) -> np.ndarray:
    """A wavy vessel with a branch as a 0/255 mask size×size."""
    y, x = np.mgrid[:size, :size] / size
    trunk = np.abs(x - 0.45 - 0.12 * np.sin(5 * y + shift)) < width
    branch = (np.abs(y - 0.35 - 0.6 * (x - 0.5) - shift / 20) < 0.7 * width) & (x > 0.5)
    return np.where(trunk | branch, 255, 0).astype(np.uint8)


def _gallery(rows: list[str], count: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    entries, size = [], 128
    for dataset in ("arcade_v", "caxf"):
        for index in range(count):
            truth = _vessel(size, index, 0.03)
            frame = (150 - 0.35 * truth + rng.normal(0, 12, truth.shape)).clip(0, 255)
            entries.append(
                {
                    "board": "segmentation",
                    "dataset": dataset,
                    "image": f"{dataset}/image_{index:03d}.png",
                    "frame": keep(frame_picture(frame.astype(np.uint8))),
                    "truth": keep(mask_picture(truth)),
                    "predictions": [
                        {
                            "row": row,
                            "seed": 0,
                            "mask": keep(mask_picture(_vessel(size, index + 0.1 * k, w))),
                            "scores": {"dsc": 81.25 - k},
                        }
                        for k, (row, w) in enumerate(zip(rows, (0.025, 0.029, 0.033)))
                    ],
                }
            )
    return entries


def _curves(rng: np.random.Generator) -> list[dict[str, Any]]:
    def line(number: int, method: str, title: str, xs: list[float], level: float) -> dict[str, Any]:
        points = [
            {"x": x, "mean": level + 4 * np.log10(x) + rng.normal(0, 0.3), "std": 0.5, "n": 5}
            for x in xs
        ]
        return {"row": method, "title": title, "style": series_style(number), "points": points}

    def curve(name: str, title: str, label: str, unit: str, xs: list[float]) -> dict[str, Any]:
        levels = rng.uniform(60, 68, 7).tolist()
        lines = [line(n, *METHODS[n], xs, level) for n, level in enumerate(levels)]
        title = f"{title}, ARCADE-V DSC"
        frame = {"id": name, "title": title, "x_label": label, "unit": unit, "log_x": True}
        return {**frame, "column": "arcade_v/dsc", "lines": lines}

    labels, images = [1, 5, 10, 25, 50, 100], [1000, 10_000, 50_000, 170_000]
    return [
        curve("segmentation:labels", "Label efficiency", "Share of labels (%)", "%", labels),
        curve("scaling", "Scaling of pre-training data", "Pre-training images", "%", images),
    ]


def example_board(
    make_run: Callable[..., RunRecord], n_datasets: int = 10, seeds: int = 5, images: int = 4
) -> dict[str, Any]:
    """Three tasks; segmentation has all thirty methods and ``2 * n_datasets`` columns."""
    rng = np.random.default_rng(7)
    tasks = {
        "segmentation": (dict.fromkeys(SEGMENTATION[:n_datasets], ("dsc", "cldice")), len(METHODS)),
        "detection": ({"stenosis": ("map50", "map75", "map")}, 9),
        "denoising": ({"denoising": ("psnr", "lpips")}, 5),
    }
    records, tables = [], []
    for task, (metrics, count) in tasks.items():
        records += _records(make_run, task, metrics, count, seeds, rng)
        tables.append(_published(task, metrics, rng))
    leaderboard = build_leaderboard(
        records,
        "vasomim",
        "journal",
        title=f"Angiography board {HOSTILE}",
        problems=[f"results/journal/mae/caxf/seed9.json: not a JSON file {HOSTILE}"],
        cards={card.method: card for card in read_method_cards()},
        published=tables,
        costs={
            "mae": MethodCosts(*6 * [85_798_656], measured=(_SPEED,)),
            "vasomim": MethodCosts(network=85_798_656),
        },
    )
    data = board_data(leaderboard, _gallery(["vasomim", "mae", "hostile"], images, rng))
    for board in data["boards"]:
        for row in board["rows"]:
            row["title"] = dict(METHODS)[row["method"]]  # the hostile ones unescaped
        for test in (test for tests in board["comparisons"].values() for test in tests):
            if test["column"].startswith("arcade_v/"):
                interval = {"ci_low": -0.1, "ci_high": 0.5, "p": 0.02}
                sizes = {"n_images": 300, "n_clusters": 100}
                test["per_image"] = {"difference": test["difference"], **sizes, **interval}
    main = [board for board in data["boards"] if not board["analysis"]]
    return {**data, "boards": main, "combined": None, "curves": _curves(rng)}
