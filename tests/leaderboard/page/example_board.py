"""A board of invented results in the form that `leaderboard.page.render` reads.

Thirty methods, twenty columns, five seeds: random, but seeded, and with everything that has broken
pages before: hostile names, missing cells, single seeds, undefined tests, published rows. The
statistics come from `leaderboard.statistics`, so that the page shows numbers that fit together.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image
from scipy import stats

from leaderboard.statistics import PairedT, competition_ranks, holm, pairwise_t

HOSTILE = "<script>alert(1)</script>"

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
DATASETS = (
    *(("arcade_v", "ARCADE-V"), ("caxf", "CAXF"), ("xcav", "XCAV"), ("arcade_s", "ARCADE-S")),
    *(("arcade_vs", "ARCADE-VS"), ("dca1", "DCA1"), ("chuac", "CHUAC"), ("fame2", "FAME 2")),
    *(("rasper", "RASPER"), ("drive", "DRIVE-XA")),
)
LABELS = {
    "dsc": ("DSC", "%", True),
    "cldice": ("clDice", "%", True),
    "map50": ("mAP50", "%", True),
    "map75": ("mAP75", "%", True),
    "map": ("mAP", "%", True),
    "psnr": ("PSNR", "dB", True),
    "lpips": ("LPIPS", "%", False),
}


def picture(array: np.ndarray) -> str:
    """A uint8 array H×W (or H×W×3) as the data address of a PNG."""
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def column(dataset: tuple[str, str], metric: str) -> dict[str, Any]:
    label, unit, higher = LABELS[metric]
    return {
        "id": f"{dataset[0]}/{metric}",
        "dataset": dataset[0],
        "dataset_title": dataset[1],
        "metric": metric,
        "label": label,
        "definition": f"{metric}/per-image-mean/v1",
        "unit": unit,
        "higher_is_better": higher,
    }


def _row(index: int, method: str, title: str, cells: list) -> dict[str, Any]:
    return {
        "id": method,
        "method": method,
        "title": title,
        "family": FAMILIES[index % 4],
        "pretraining": CORPORA[index % 3],
        "paper": "https://arxiv.org/abs/2111.06377" if method == "mae" else None,
        "origin": "measured",
        "source": None,
        "complete": None not in cells,
        "average_rank": None,
        "cells": cells,
    }


def _cell(method: str, column: dict[str, Any], values: list[float]) -> dict[str, Any]:
    n, mean = len(values), float(np.mean(values))
    std = float(np.std(values, ddof=1)) if n > 1 else None
    half = float(stats.t.ppf(0.975, n - 1)) * std / n**0.5 if n > 1 else None
    seeds = list(range(n))
    return {
        "mean": mean,
        "std": std,
        "n": n,
        "ci_low": None if half is None else mean - half,
        "ci_high": None if half is None else mean + half,
        "seeds": seeds,
        "values": values,
        "place": 0,
        "rank": None,
        "tier": None,
        "runs": [f"journal/{method}/{column['dataset']}/seed{seed}" for seed in seeds],
    }


def _verdict(difference: float, p: float | None, higher: bool, note: str) -> str:
    if p is None:
        return note
    return "not separable" if p >= 0.05 else "better" if (difference > 0) == higher else "worse"


def _tests(pairs: list[tuple[dict, dict | None, Any]]) -> list[dict[str, Any]]:
    """One Holm family of (row, column or None, test) as entries of the board."""
    entries = []
    for (row, col, test), p_holm in zip(pairs, holm([test.p for _, _, test in pairs])):
        higher = col is None or col["higher_is_better"]
        entry = {
            "row": row["id"],
            "n": test.n,
            "difference": test.difference,
            "ci_low": test.ci_low,
            "ci_high": test.ci_high,
            "p": test.p,
            "p_holm": p_holm,
            "verdict": _verdict(test.difference, p_holm, higher, test.note),
        }
        if col is not None:
            images = {"n_images": 300, "n_clusters": 100, "difference": test.difference, "p": 0.02}
            width = abs(test.difference) / 2 + 0.1
            images["ci_low"], images["ci_high"] = test.difference - width, test.difference + width
            known = col["dataset"] == "arcade_v"
            entry |= {"column": col["id"], "p_bh": p_holm, "per_image": images if known else None}
        entries.append(entry)
    return entries


def _paired_t(a: list[float], b: list[float]) -> PairedT:
    return pairwise_t({"a": dict(enumerate(a)), "b": dict(enumerate(b))})["a", "b"]


def _means(row: dict[str, Any]) -> list[float]:
    return [cell["mean"] for cell in row["cells"]]


def _compare(rows: list[dict], columns: list[dict], base: dict) -> tuple[list, list]:
    """Every row against `base`: per column, Holm within a dataset, and over all columns."""
    others = [row for row in rows if row is not base and row["origin"] == "measured"]
    entries = []
    for dataset in dict.fromkeys(col["dataset"] for col in columns):
        family = []
        for index, col in enumerate(columns):
            if col["dataset"] != dataset or base["cells"][index] is None:
                continue
            for row in (row for row in others if row["cells"][index] is not None):
                a, b = row["cells"][index]["values"], base["cells"][index]["values"]
                n = min(len(a), len(b))
                family.append((row, col, _paired_t(a[:n], b[:n])))
        entries += _tests(family)
    complete = [row for row in others if row["complete"] and base["complete"]]
    overall = [(row, None, _paired_t(_means(row), _means(base))) for row in complete]
    return entries, _tests(overall)


def _rank(rows: list[dict], columns: list[dict]) -> None:
    for index, col in enumerate(columns):
        cells = [row["cells"][index] for row in rows]
        means = [cell and cell["mean"] for cell in cells]
        pool = [mean if row["complete"] else None for row, mean in zip(rows, means)]
        places = competition_ranks(means, col["higher_is_better"])
        ranks = competition_ranks(pool, col["higher_is_better"])
        for cell, place, rank in zip(cells, places, ranks):
            if cell is not None:
                cell |= {"place": place, "rank": rank, "tier": 1 if place < 5 else 2}
    for row in (row for row in rows if row["complete"]):
        ranks = [cell["rank"] for cell in row["cells"]]
        mean, std = float(np.mean(ranks)), float(np.std(ranks, ddof=1))
        row["average_rank"] = {"mean": mean, "std": std, "low": mean - 1, "high": mean + 1}
    rows.sort(key=lambda row: (not row["complete"], (row["average_rank"] or {}).get("mean")))


def _friedman(rows: list[dict], columns: list[dict]) -> dict[str, Any]:
    ranks = {row["id"]: row["average_rank"]["mean"] for row in rows if row["complete"]}
    order, gap = sorted(ranks, key=ranks.__getitem__), 4.0
    groups = [[b for b in order[i:] if ranks[b] - ranks[a] <= gap] for i, a in enumerate(order)]
    maximal = [g for i, g in enumerate(groups) if i == 0 or g[-1] != groups[i - 1][-1]]
    return {
        "statistic": 212.4,
        "p": 1.3e-30,
        "n": len(columns),
        "k": len(order),
        "alpha": 0.05,
        "critical_difference": gap,
        "ranks": ranks,
        "groups": [group for group in maximal if len(group) > 1],
    }


def _published(columns: list[dict], rng: np.random.Generator) -> dict[str, Any]:
    cell = {"n": None, "ci_low": None, "ci_high": None, "seeds": [], "values": [], "runs": []}
    cells = [
        {**cell, "mean": float(rng.uniform(50, 90)), "std": 0.4, "place": 0}
        if col["metric"] in ("dsc", "map50", "psnr")
        else None
        for col in columns
    ]
    row = _row(0, "mae", "MAE", cells)
    source = "Journal version of VasoMIM, table I"
    return row | {"id": "published:journal-I:MAE", "origin": "published", "source": source}


def _board(task: str, columns: list[dict], methods: tuple, seeds: int, rng: Any) -> dict[str, Any]:
    quality = rng.normal(0, 2.5, len(methods))
    rows = []
    for index, (method, title) in enumerate(methods):
        cells: list[dict | None] = []
        for position, col in enumerate(columns):
            n = 1 if method == "one_seed" else seeds
            level = 78 - 3 * (position % 7) + (quality[index] if col["higher_is_better"] else 0)
            values = (level + rng.normal(0, 0.4) + rng.normal(0, 0.35, n)).tolist()
            missing = method == "incomplete" and position % 3 == 1
            cells.append(None if missing else _cell(method, col, values))
        rows.append(_row(index, method, title, cells))
    rows.append(_published(columns, rng))
    rows[-1]["complete"] = None not in rows[-1]["cells"]
    _rank(rows, columns)
    comparisons, overall = {}, {}
    for base in (row for row in rows if row["origin"] == "measured"):
        comparisons[base["id"]], overall[base["id"]] = _compare(rows, columns, base)
    return {
        "id": task,
        "title": task.capitalize(),
        "task": task,
        "origin": "both",
        "columns": columns,
        "rows": rows,
        "friedman": _friedman(rows, columns),
        "comparisons": comparisons,
        "overall": overall,
        "notes": [f"Seeds of {HOSTILE} come from more than one configuration."],
    }


def _run(run: str, title: str) -> dict[str, Any]:
    _, method, dataset, seed = run.split("/")
    return {
        "method": method,
        "title": title,
        "dataset": dataset,
        "seed": int(seed.removeprefix("seed")),
        "finished": "2025-01-02T03:04:05",
        "device": "NVIDIA H200",
        "git": {"commit": "0123456789abcdef", "dirty": False},
        "versions": {"torch": "2.11.0", "timm": "1.0.20"},
        "encoder": {"fingerprint": "c0ffee", "weights_sha256": "ab" * 32},
        "split_hash": "5p117" * 8,
        "corpus_hash": "c0rpu5" * 8,
        "config_hash": "5c13nce" * 8,
        "wall_time_s": 4321.5,
        "images_per_s": 812.3,
        "peak_memory_mb": 10240.0,
        "n_images": 300,
        "metrics": {"dsc": {"value": 78.12345, "definition": "dsc/per-image-mean/v1"}},
        "config": {"model": {"backbone": "vit_base", "title": title}, "optimizer": {"lr": 1e-4}},
    }


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
            frame = 150 - 0.35 * truth + rng.normal(0, 12, truth.shape)
            entries.append(
                {
                    "dataset": dataset,
                    "image": f"{dataset}/image_{index:03d}.png",
                    "frame": picture(frame.clip(0, 255).astype(np.uint8)),
                    "truth": picture(truth),
                    "predictions": [
                        {
                            "row": row,
                            "seed": 0,
                            "mask": picture(_vessel(size, index + 0.1 * k, 0.025 + 0.004 * k)),
                            "scores": {"dsc": 81.25 - k},
                        }
                        for k, row in enumerate(rows)
                    ],
                }
            )
    return entries


def _curves(rng: np.random.Generator) -> list[dict[str, Any]]:
    def line(method: str, title: str, xs: list[float], level: float) -> dict[str, Any]:
        points = [
            {"x": x, "mean": level + 4 * np.log10(x) + rng.normal(0, 0.3), "std": 0.5, "n": 5}
            for x in xs
        ]
        return {"row": method, "title": title, "points": points}

    def curve(name: str, title: str, label: str, unit: str, xs: list[float]) -> dict[str, Any]:
        chosen = zip(METHODS[:7], rng.uniform(60, 68, 7))
        lines = [line(method, text, xs, float(level)) for (method, text), level in chosen]
        title = f"{title}, ARCADE-V DSC"
        frame = {"id": name, "title": title, "x_label": label, "unit": unit, "log_x": True}
        return {**frame, "column": "arcade_v/dsc", "lines": lines}

    labels, images = [1, 5, 10, 25, 50, 100], [1000, 10_000, 50_000, 170_000]
    return [
        curve("segmentation:labels", "Label efficiency", "Share of labels (%)", "%", labels),
        curve("scaling", "Scaling of pre-training data", "Pre-training images", "%", images),
    ]


def example_board(n_datasets: int = 10, seeds: int = 5, images: int = 4) -> dict[str, Any]:
    """Three tasks; segmentation has all thirty methods and ``2 * n_datasets`` columns."""
    rng = np.random.default_rng(7)
    columns = [column(dataset, m) for dataset in DATASETS[:n_datasets] for m in ("dsc", "cldice")]
    stenosis, denoising = ("stenosis", "ARCADE stenosis"), ("denoising", "XA denoising")
    boards = [
        _board("segmentation", columns, METHODS, seeds, rng),
        _board(
            "detection",
            [column(stenosis, m) for m in ("map50", "map75", "map")],
            METHODS[:9],
            seeds,
            rng,
        ),
        _board(
            "denoising", [column(denoising, m) for m in ("psnr", "lpips")], METHODS[:5], seeds, rng
        ),
    ]
    titles = dict(METHODS)
    runs = {
        run: _run(run, titles[row["id"]])
        for board in boards
        for row in board["rows"]
        for cell in row["cells"]
        if cell
        for run in cell["runs"]
    }
    return {
        "schema": 1,
        "title": f"Angiography board {HOSTILE}",
        "protocol": "journal",
        "reference": "vasomim",
        "boards": boards,
        "curves": _curves(rng),
        "runs": runs,
        "gallery": _gallery(["vasomim", "mae", "hostile"], images, rng),
        "problems": [f"results/journal/mae/caxf/seed9.json: not a JSON file {HOSTILE}"],
        "notes": ["Invented numbers: nothing here was measured."],
    }
