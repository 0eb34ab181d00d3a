"""A sweep with instant tools that write real records and count their calls."""

from __future__ import annotations

import json
import os
import runpy
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from benchmark.data.packs.layout import NUMBER_COLUMNS, TEXT_COLUMNS
from benchmark.data.packs.layout import SCHEMA as PACK_SCHEMA
from benchmark.data.task_status import split_hash
from benchmark.data.tasks.folder import SCHEMA
from benchmark.files import sha256_file, write_json
from benchmark.method_cards import run_folder
from benchmark.results import config_hash, parse_dataset_id
from benchmark.sweep.cells import fine_tuning_of
from benchmark.sweep.config_cache import ROOT
from benchmark.sweep.execution import PROFILES, run_plan
from benchmark.sweep.inputs import corpus_of
from benchmark.sweep.jobs import CellJob, Job
from benchmark.sweep.matrix import Matrix
from benchmark.sweep.plan import Plan, SweepSettings, make_plan
from benchmark.sweep.report import print_plan

ODD = 'it\'s {a} $HOME: "#1" 100% \\1 café'
"""Name of a folder that a shell, YAML, a format string and a pattern would read as their own."""

_SHARED = '''
    import argparse, fcntl, json, sys, time
    from pathlib import Path

    sys.path.insert(0, {root!r})
    from benchmark.method_cards import run_folder
    from benchmark.results import RunRecord, config_hash, labelled_id, read_dataset_id, write_record
    from benchmark.files import read_json, sha256_file, write_json, write_text

    kept = []  # open as long as this process lives

    def begin(name, work):
        """Count the call, do what the test has planted, and return the settings."""
        busy = open(work / f"{{name}}.busy", "a")
        try:
            fcntl.flock(busy, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"error: {{name}}: runs already")
        kept.append(busy)
        with open(work / "calls.txt", "a") as stream:
            stream.write(name + "\\n")
        settings = read_json(work / "settings.json")
        time.sleep(settings["slow"].get(name, 0))
        if name in settings["broken"]:
            print("loading …", flush=True)
            sys.exit(f"error: {{name}}: planted")
        return settings
'''
_FINETUNE = '''
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", nargs="?")  # of an analysis or evaluation
    for name in ("scale", "method", "dataset", "data", "work"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--label-fraction", type=float, default=1.0)
    parser.add_argument("--label-count", type=int)
    parser.add_argument("--lora", action="store_true")
    parser.add_argument("--cfg-options", nargs="+")
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args()
    work, dataset = Path(args.work), args.dataset
    dataset = labelled_id(dataset, args.label_fraction, args.label_count)
    if args.kind is not None:
        dataset += {"representations": "-patches"}.get(args.kind, f"-{args.kind}")
    if args.lora:
        dataset += "-lora"
    settings = begin(f"{args.method}-{dataset}-{args.seed}", work)
    config = {"epochs": settings[args.dataset], "method": args.method, "seed": args.seed}
    config["labels"] = args.label_count or args.label_fraction
    config["kind"] = read_dataset_id(dataset).kind
    encoder, exported = None, run_folder(args.method, work) / "encoder.json"
    if exported.exists():
        encoder = {**read_json(exported), "fingerprint": "f"}
    task = read_json(work / "downstream" / args.dataset / "manifest.json")

    class Table:
        """One image and its score, without the seconds a library for tables takes to load."""

        def __len__(self):
            return 1

        def to_csv(self, **_):
            return "image,dsc\\na,50.0\\n"

    record = RunRecord(
        protocol="demo", method=args.method, title=args.method, family="f", pretraining="p",
        dataset=dataset, task="segmentation", seed=args.seed, split_hash=task["split_hash"],
        corpus_hash=None, n_images=1, config=config, config_hash=config_hash(config), seeds={},
        metrics={"dsc": {"value": 50.0, "definition": "d", "higher_is_better": True}},
        versions={}, device="cpu", wall_time_s=36.0, finished="2026-01-01T00:00:00",
        encoder=encoder,
    )
    model = run_folder(args.method, work).parent / "finetune" / dataset / f"seed{args.seed}"
    if args.cfg_options and args.cfg_options[-1] == "export_model=True":
        write_json(model / "model.json", {"weights_sha256": config_hash([config, encoder])})
    write_record(work / "results", record, Table())
'''
_TEST = """
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    for name in ("scale", "work", "data", "dataset", "split"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--corruptions", action="store_true")
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args()
    work, (method, _, trained, seed) = Path(args.work), args.model.parts[-4:]
    dataset = f"{trained}-corruptions" if args.corruptions else f"{trained}-to-{args.dataset}"
    begin(f"{method}-{dataset}-{seed[4:]}", work)
    before = read_json(work / "results" / "demo" / method / trained / f"{seed}.json")
    about = {"checkpoint": read_json(args.model / "model.json")["weights_sha256"]}
    key = "corruptions" if args.corruptions else "transfer"
    config = {**before["config"], key: about, "scored": args.dataset}
    before |= {"dataset": dataset, "config": config, "config_hash": config_hash(config)}
    before["split_hash"] = read_json(Path(args.data) / "manifest.json")["split_hash"]
    path = work / "results" / "demo" / method / dataset / f"{seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path.with_suffix(".csv"), "image,dsc\\na,50.0\\n")
    write_json(path, before)
"""
_TRAIN = """
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    for name in ("scale", "work", "packs"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args()
    method, work = args.config.parent.name, Path(args.work)
    folder = work / method / args.config.stem
    method += f"-{args.config.stem}" if method == "analysis" else ""
    settings = begin(method, work)
    identity = {
        "config_hash": config_hash({"method": method, "epochs": settings[method]}),
        "corpus_hash": read_json(Path(args.packs) / "manifest.json")["corpus_hash"],
        "weights": {},
    }
    if method == "segmentor":
        write_text(folder / "segmentor.safetensors", str(identity))
    if method == "vasomim":
        file = work / "segmentor" / "unext_s" / "segmentor.safetensors"
        identity["weights"] = {"method.segmentor.checkpoint": sha256_file(file)}
    if method != "segmentor":
        weights = config_hash(identity)
        write_json(folder / "encoder.json", {"weights_sha256": weights, "provenance": identity})
    write_json(folder / "run.json", {**identity, "finished": {"seconds": 72.0, "processes": 2}})
"""


@dataclass
class Sweep:
    """A matrix in a folder of its own, the stand-ins of its tools, and what they were told."""

    matrix: Matrix
    tools: Path

    @property
    def work(self) -> Path:
        return self.matrix.folder

    def settings(self) -> dict[str, Any]:
        return json.loads((self.work / "settings.json").read_text(encoding="utf-8"))

    def change(self, **values: Any) -> None:
        write_json(self.work / "settings.json", {**self.settings(), **values})

    def resolve(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer of `benchmark.sweep.config_facts` to configs with these settings."""
        settings, cells, trainings = self.settings(), {}, {}
        for method, dataset in request["cells"]:
            known = parse_dataset_id(dataset)
            scores = fine_tuning_of(dataset) is not None
            config = {"epochs": settings[known.dataset], "method": method}
            labels = known.label_count or known.label_fraction
            config["labels"], config["kind"] = labels, known.kind
            if scores:
                config["kind"] = "fine-tuning"
                key = "transfer" if known.tested else "corruptions"
                config |= {key: {"checkpoint": "?"}, "scored": known.tested}
            cells[f"{method}/{dataset}"] = {
                "protocol": "demo",
                "task": "segmentation",
                "data": str(self.work / "downstream" / (known.tested or known.dataset)),
                "encoder": str(run_folder(method, self.work))
                if method in settings and not scores
                else None,
                "epochs": settings[known.dataset],
                "hashes": {
                    str(seed): config_hash({**config, "seed": seed}) for seed in request["seeds"]
                },
            }
        names = {cell[0] for cell in request["cells"]}
        names |= {"segmentor"} if "vasomim" in names else set()
        weights = self.work / "segmentor" / "unext_s" / "segmentor.safetensors"
        for method in ("segmentor", *dict.fromkeys(cell[0] for cell in request["cells"])):
            if method not in settings or method not in names:
                continue
            folder = run_folder(method, self.work)
            folder = weights.parent if method == "segmentor" else folder
            path = ROOT / "configs" / folder.relative_to(self.work)
            trainings[str(path.with_suffix(".py"))] = {
                "title": method.upper(),
                "folder": str(folder),
                "config_hash": config_hash({"method": method, "epochs": settings[method]}),
                "options": request.get(
                    "segmentor_options" if method == "segmentor" else "pretrain_options", []
                ),
                "epochs": settings[method],
                "packs": request["packs"],
                "frames": None,
                "anatomy": False,
                "weights": {"method.segmentor.checkpoint": str(weights)}
                if method == "vasomim"
                else {},
            }
        return {"cells": cells, "trainings": trainings}

    def plan(self, **settings: bool) -> Plan:
        return make_plan(self.matrix, self.resolve, SweepSettings(tools=self.tools, **settings))

    def states(self) -> dict[str, str]:
        """Job → its state, cells as ``mae-synthetic_v-0``."""
        return {_short(job): job.state for job in self.plan().jobs}

    def stale(self) -> set[str]:
        """The stale jobs, where all others are done."""
        states = self.states()
        assert set(states.values()) <= {"done", "stale"}
        return {name for name, state in states.items() if state == "stale"}

    def told(self) -> str:
        """What a dry run prints."""
        console = Console(width=200, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
        print_plan(self.plan(), console)
        return console.export_text()

    def run(self, jobs: int = 2, **settings: bool) -> int:
        return run_plan(self.plan(**settings), PROFILES / "local", jobs, [])

    def calls(self) -> list[str]:
        """The stand-ins that were called, in order."""
        file = self.work / "calls.txt"
        return file.read_text(encoding="utf-8").split() if file.exists() else []

    def only(self, **values: Any) -> Sweep:
        """The same folder with another matrix."""
        return replace(self, matrix=self.matrix.model_copy(update=values))

    def fill(self) -> None:
        """Do every job by its command, one after the other in this process."""
        for job in self.plan().jobs:
            script, *arguments = job.command[1:]
            argv, sys.argv = sys.argv, [script, *arguments]
            try:
                left = runpy.run_path(script, run_name="__main__")
                for busy in left["kept"]:
                    busy.close()  # this process lives on
            finally:
                sys.argv = argv

    def write_task(self, dataset: str, stem: str = "a") -> None:
        """A prepared task with ten frames to train on, as far as its manifest goes."""
        splits = {
            "train": [{"stem": f"{stem}{number}"} for number in range(10)],
            "test": [{"stem": f"{stem}-test"}],
        }
        content = {"kind": "segmentation", "classes": ["background", "vessel"], "splits": splits}
        identity = split_hash(*content.values())
        content |= {"schema": SCHEMA, "task": dataset, "split_hash": identity}
        write_json(self.work / "downstream" / dataset / "manifest.json", content)

    def write_pack(self, corpus_hash: str = "corpus") -> None:
        """A pack of 100 black frames of 8×8."""
        folder = self.work / "packs" / "p"
        folder.mkdir(parents=True, exist_ok=True)
        rows = {name: [f"{name}{number}" for number in range(100)] for name in TEXT_COLUMNS}
        rows |= {name: [8] * 100 for name in NUMBER_COLUMNS}
        pd.DataFrame(rows).to_parquet(folder / "index.parquet")
        np.zeros((100, 8, 8), np.uint8).tofile(folder / "frames.u8")
        content = {"schema": PACK_SCHEMA, "plan_hash": "p", "corpus_hash": corpus_hash}
        content |= {"parameters": {"size": 8}, "counts": {}, "skipped": {}}
        write_json(folder / "manifest.json", content)
        corpus_of.cache_clear()

    def digest(self, folder: str = "") -> dict[str, tuple[str, int]]:
        """Content hash and modification time of every file below a folder of the runs."""
        files = (path for path in sorted((self.work / folder).rglob("*")) if path.is_file())
        return {
            str(path.relative_to(self.work)): (sha256_file(path), path.stat().st_mtime_ns)
            for path in files
        }

    def records(self) -> dict[str, tuple[str, int]]:
        """Content hash and modification time of the records."""
        digest = self.digest("results")
        return {name: entry for name, entry in digest.items() if ".json" in name}

    def assert_tidy(self) -> None:
        """Of a sweep that has ended there are results, logs and failures, and nothing else."""
        left = {str(path.relative_to(self.work)) for path in (self.work / "sweep").rglob("*")}
        kept = {name for name in left if name.endswith((".log", ".failed.json"))}
        assert left - kept == {"sweep/jobs", "sweep/logs", "sweep/sweep.lock"}
        assert not [path for path in self.work.rglob("*") if "tmp" in path.name]


def _short(job: Job) -> str:
    if not isinstance(job, CellJob):
        parts = job.id.split("-")[1:]
        return "-".join(parts) if parts[0] == "analysis" else parts[0]
    return f"{job.method}-{job.dataset}-{job.seed}"


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the locks of GPUs out of the home folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def sweep(tmp_path: Path) -> Iterator[Sweep]:
    """Two methods that are pre-trained and two that are not, two datasets, seeds 0 to 2."""
    tools = tmp_path / "tools"
    tools.mkdir()
    shared = textwrap.dedent(_SHARED).format(root=str(ROOT))
    bodies = dict.fromkeys(("finetune", "evaluate", "analyse"), _FINETUNE)
    bodies |= {"test": _TEST, "train": _TRAIN}
    for name, body in bodies.items():
        (tools / f"{name}.py").write_text(shared + textwrap.dedent(body), encoding="utf-8")
    work = tmp_path / ODD
    methods, datasets = ("frangi", "unet", "mae", "vasomim"), ("synthetic_v", "arcade_v")
    matrix = Matrix(
        name="test",
        title="Test",
        methods=methods,
        datasets=datasets,
        seeds=(0, 1, 2),
        scale="tiny",
        work=str(work),
        packs=("{work}/packs/p",),
    )
    sweep = Sweep(matrix, tools)
    for dataset in datasets:
        sweep.write_task(dataset)
    sweep.write_pack()
    settings = {name: 4 for name in (*datasets, "mae", "vasomim", "segmentor")}
    write_json(work / "settings.json", {**settings, "broken": [], "slow": {}})
    yield sweep
    corpus_of.cache_clear()
