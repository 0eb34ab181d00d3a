"""Speed of the complete leaderboard, against pandas and scipy on the same result files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np

from benchmark import files
from benchmark.errors import InputError
from benchmark.results import Example, RunRecord, config_hash, path_of
from benchmark.results.examples import SUFFIX, pack_examples
from benchmark.speed.timing import TimingRow, compare, show_rows

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = "method00"

#: Dataset → task and metrics; others are segmentations.
_DATASETS = {
    **dict.fromkeys(("arcade_v", "caxf", "xcav"), ("segmentation", ("dsc", "cldice"))),
    **dict.fromkeys(("arcade_s", "arcade_vs"), ("segmentation", ("dsc",))),
    "stenosis": ("detection", ("map50", "map75", "map")),
    "denoising": ("denoising", ("psnr", "ssim")),
}
_IMAGES = 20
_LAYERS = 100
#: Height and width of the example pictures: the largest that a run keeps.
_SIDE = 256

#: The baseline: a table of all values, mean and standard deviation of every cell, and a paired
#: t-test of every cell against the reference. It checks nothing, corrects nothing, ranks nothing.
_BASELINE = """
import json, sys
from pathlib import Path
import pandas as pd
from scipy import stats

folder, out, reference = sys.argv[1:]
rows = []
for path in sorted(Path(folder).rglob("*.json")):
    run = json.loads(path.read_text())
    for metric, entry in run["metrics"].items():
        rows.append((run["method"], run["dataset"], metric, run["seed"], entry["value"]))
table = pd.DataFrame(rows, columns=["method", "dataset", "metric", "seed", "value"])
cells = table.groupby(["method", "dataset", "metric"])["value"].agg(["mean", "std"])
wide = table.pivot(index="seed", columns=["method", "dataset", "metric"], values="value")
cells["p"] = [
    float("nan") if name[0] == reference
    else stats.ttest_rel(wide[name], wide[(reference, *name[1:])]).pvalue
    for name in cells.index
]
cells.to_csv(out)
"""


def make_results(folder: Path, methods: int, datasets: int, seeds: int, examples: int = 0) -> int:
    """Write random but valid result files below `folder`, the same for equal arguments.

    Methods are ``method00``, …; the files are as large as those of real runs.

    Args:
        examples: example predictions beside every record, the same for all seeds of a method.

    Returns the number of records.
    """
    generator = np.random.default_rng(0)
    names = [*_DATASETS, *(f"extra{number}" for number in range(datasets))][:datasets]
    for method in range(methods):
        for place, dataset in enumerate(names):
            task, _ = _task(dataset)
            made = [_example(task, place * examples + k, method) for k in range(examples)]
            kept = pack_examples(made) if made else None
            for seed in range(seeds):
                _write_result(folder, f"method{method:02d}", dataset, seed, generator, kept)
    return methods * len(names) * seeds


def _task(dataset: str) -> tuple[str, tuple[str, ...]]:
    return _DATASETS.get(dataset, ("segmentation", ("dsc",)))


def _example(task: str, image: int, method: int) -> Example:
    """A frame with a vessel, as large in a file as an angiogram, and a method's prediction."""
    generator = np.random.default_rng(image)
    y, x = np.mgrid[:_SIDE, :_SIDE] / _SIDE

    def vessel(shift: float) -> np.ndarray:
        centre = 0.5 + 0.2 * np.sin(6 * y + image + shift)
        return np.abs(x - centre) < 0.03

    background = 150 + 40 * np.cos(3 * x + image) * np.cos(4 * y)
    clean = background - 60 * vessel(0)
    noise = generator.normal(0, 4, (_SIDE + 1, _SIDE + 1))
    # The mean of four neighbours: X-ray detectors blur, and the JPEG is as large as an angiogram's.
    frame = clean + (noise[1:, 1:] + noise[:-1, 1:] + noise[1:, :-1] + noise[:-1, :-1]) / 4
    grey = [picture.clip(0, 255).astype(np.uint8) for picture in (frame, clean)]
    name = f"image{image % _IMAGES:03d}"
    if task == "segmentation":
        masks = (vessel(0), vessel(0.01 * (method + 1)))
        return Example(name, grey[0], *(mask.astype(np.uint8) for mask in masks))
    if task == "denoising":
        share = 1 / (method + 2)
        mixed = share * frame + (1 - share) * clean
        return Example(name, *grey, mixed.clip(0, 255).astype(np.uint8))
    truth = np.array([[90, 90, 140, 130, 0]], dtype=np.float32)
    found = truth + np.float32(method)
    found[:, 4] = 0
    scores = np.full((len(found), 1), 0.9, dtype=np.float32)
    return Example(name, grey[0], truth, np.hstack([found, scores]))


def _write_result(
    folder: Path,
    method: str,
    dataset: str,
    seed: int,
    generator: np.random.Generator,
    examples: bytes | None,
) -> None:
    task, metrics = _task(dataset)
    scores = {metric: generator.normal(70, 3, _IMAGES).clip(0, 100) for metric in metrics}
    lines = [",".join(("image", "patient", *metrics))]
    for index in range(_IMAGES):
        values = [repr(float(scores[metric][index])) for metric in metrics]
        lines.append(",".join((f"image{index:03d}", f"patient{index // 4}", *values)))
    table = ("\n".join(lines) + "\n").encode()
    # As long as the config of a real run.
    layers = [f"layer {n} of the model" for n in range(_LAYERS)]
    config = {"seed": seed, "lr": 2e-4, "layers": layers}
    record = RunRecord(
        protocol="journal",
        method=method,
        title=method.upper(),
        family="masked image modelling",
        pretraining="XA-170K",
        dataset=dataset,
        task=task,
        seed=seed,
        split_hash=f"split-{dataset}",
        corpus_hash="c0de",
        metrics={
            metric: {
                "value": float(scores[metric].mean()),
                "definition": f"{metric}/per-image-mean/v1",
                "higher_is_better": True,
            }
            for metric in metrics
        },
        n_images=_IMAGES,
        config=config,
        config_hash=config_hash(config),
        seeds={"init": seed},
        versions={"torch": "2.11.0"},
        device="cpu",
        wall_time_s=60.0,
        finished="2026-01-02T03:04:05",
        git={"commit": "0" * 40, "dirty": False},
        per_image={"file": f"seed{seed}.csv", "sha256": files.sha256_bytes(table)},
        examples=examples
        and {"file": f"seed{seed}{SUFFIX}", "sha256": files.sha256_bytes(examples)},
    )
    path = path_of(record, folder)
    # Without fsync: thousands of temporary files.
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".csv").write_bytes(table)
    if examples:
        path.with_suffix(SUFFIX).write_bytes(examples)
    text = json.dumps(record.model_dump(), indent=2, sort_keys=True)
    path.write_text(text, encoding="utf-8")


def _run(*command: str | Path) -> float:
    """Seconds of CPU that the command took."""
    before = _cpu_seconds()
    # One thread each, to compare the work and not its parallelism.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, env=environment
    )
    if done.returncode:
        raise InputError(f"{Path(command[0]).name} failed: {done.stderr.strip()[-300:]}")
    return _cpu_seconds() - before


def _cpu_seconds() -> float:
    """CPU time of the processes that this one has waited for."""
    usage = os.times()
    return usage.children_user + usage.children_system


def _agreement(ours: Path, theirs: Path) -> np.ndarray:
    """Share of means, standard deviations and p-values that agree to 1e-9, per cell."""
    import pandas as pd

    keys, numbers = ["method", "dataset", "metric"], ["mean", "std", "p"]
    found, expected = (pd.read_csv(file).set_index(keys)[numbers] for file in (ours, theirs))
    equal = np.isclose(found.loc[expected.index], expected, rtol=1e-9, atol=0, equal_nan=True)
    return equal.mean(axis=1)


def bench_leaderboard(
    methods: int = 30,
    datasets: int = 8,
    seeds: int = 5,
    examples: int = 4,
    repeats: int = 3,
    out: str | os.PathLike[str] | None = None,
) -> list[TimingRow]:
    """Time ``tools/leaderboard.py``, all formats, and the baseline; print and return the row.

    Both are processes of their own, from the start of the interpreter to the last file. The
    baseline is pandas and `scipy.stats.ttest_rel` on the same files: means, standard deviations and
    p-values against one reference, into one CSV file; ours also checks every file and its hash,
    ranks, corrects, tests against every reference, and writes five formats, of which the page
    shows the examples.

    Args:
        methods, datasets, seeds: how many of each, at least 2 methods and seeds; their product is
            the number of result files.
        examples: example predictions beside every result file.
        repeats: timings per side, of which the median is reported.
        out: CSV file with `benchmark.speed.timing.COLUMNS`, or a folder; None for no file.

    Raises:
        InputError: a side fails.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count = make_results(folder / "results", methods, datasets, seeds, examples)
        cpu: list[float] = []
        tool = [ROOT / "tools" / "leaderboard.py", "--results", folder / "results"]
        tool += ["--reference", REFERENCE, "--out", folder]
        baseline = ["-c", _BASELINE, folder / "results", folder / "baseline.csv", REFERENCE]
        row = compare(
            f"leaderboard of {methods} methods, {datasets} datasets, {seeds} seeds, "
            f"{examples} examples each",
            f"pandas {version('pandas')}, scipy {version('scipy')}: means, std and p only",
            (lambda: cpu.append(_run(*tool)), lambda: _run(*baseline)),
            count,
            repeats,
            lambda *_: _agreement(folder / "leaderboard.csv", folder / "baseline.csv"),
            "fp64",
        )
        page = (folder / "leaderboard.html").stat().st_size
    ours, theirs = (count / float(row[side]) for side in ("ours_per_s", "reference_per_s"))
    print(
        f"{count} result files with {examples} examples each: all formats in {ours:.2f} s "
        f"({median(cpu):.2f} s of CPU), page {page / 1e6:.2f} MB; baseline {theirs:.2f} s"
    )
    show_rows([row], out, "leaderboard")
    return [row]
