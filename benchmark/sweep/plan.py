"""Plan a matrix: compare what is wanted with what exists, and choose the jobs to run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.downstream.preview import refuse_convolutional
from benchmark.errors import InputError
from benchmark.method_cards import encoder_config, method_of_config
from benchmark.results import parse_dataset_id, record_path
from benchmark.sweep.cells import (
    KINDS,
    cell_command,
    cells_of,
    dataset_config,
    fine_tuning_of,
    model_folder,
    scoring_command,
    seeds_of,
)
from benchmark.sweep.config_cache import ROOT, Resolver, request_for
from benchmark.sweep.costs import estimate
from benchmark.sweep.inputs import (
    corpus_of,
    missing_encoder,
    missing_library,
    missing_pack,
    missing_task,
)
from benchmark.sweep.jobs import MANIFEST, CellJob, Job, PretrainingJob, task_of
from benchmark.sweep.matrix import Matrix, check_folders
from benchmark.training.preview import missing_weights


@dataclass(frozen=True)
class SweepSettings:
    """Where things are, and what to run beyond what is missing.

    Attributes:
        configs: folder of all configs.
        tools: folder of `train.py` and `finetune.py`.
        rerun_stale: replace results from other settings or inputs.
        retry_failed: retry failed jobs.
        pretrain_gpus: GPUs of one pre-training; 0: it runs on the CPU.
        cell_gpus: GPUs of one cell, 0 or 1.
    """

    configs: Path = ROOT / "configs"
    tools: Path = ROOT / "tools"
    rerun_stale: bool = False
    retry_failed: bool = False
    pretrain_gpus: int = 0
    cell_gpus: int = 0


@dataclass(frozen=True)
class Plan:
    """The jobs of a matrix.

    Attributes:
        matrix: what was asked for.
        folder: of the sweep: logs, locks, failures.
        protocols: ids of the protocols of its records.
        jobs: all jobs, in an order in which dependencies come first.
        todo: ids of the jobs to run now.
    """

    matrix: Matrix
    folder: Path
    protocols: tuple[str, ...]
    jobs: list[Job]
    todo: frozenset[str]

    @property
    def results(self) -> Path:
        """The folder of the records."""
        return self.matrix.folder / "results"

    def waiting(self) -> list[Job]:
        """The jobs without a current result that are not run now."""
        return [job for job in self.jobs if job.state != "done" and job.id not in self.todo]


def sweep_folder(matrix: Matrix) -> Path:
    """The folder of the state of all sweeps in one folder of runs."""
    return matrix.folder / "sweep"


def make_plan(matrix: Matrix, resolver: Resolver, settings: SweepSettings) -> Plan:
    """Compare what is wanted with what exists. Nothing is written.

    Raises:
        InputError: a method or dataset does not exist, or a folder has a name that cannot be used.
    """
    check_folders(matrix)
    answer = resolver(request_for(matrix, settings.configs))
    folder = sweep_folder(matrix)
    trainings = _trainings(matrix, answer["trainings"], settings)
    cells = _cells(matrix, answer["cells"], trainings, settings)
    jobs: list[Job] = [*trainings.values(), *cells]
    by_id = {job.id: job for job in jobs}
    for job in jobs:
        if not job.config_hash:
            job.reason = job.problem
            continue
        job.inspect(folder, [by_id[need] for need in job.needs])
        if isinstance(job, CellJob) and job.state == "done" and job.lacks_model:
            users = [cell for cell in cells if job.id in cell.needs and cell.config_hash]
            if any(cell.compare()[0] != "done" for cell in users):
                job.state, job.reason = "stale", "its model, which is to be scored, was not kept"
    estimate(jobs, matrix.scale, settings.configs)
    protocols = {cell["protocol"] for cell in answer["cells"].values() if "protocol" in cell}
    todo = _choose(jobs, by_id, settings)
    return Plan(matrix, folder, tuple(sorted(protocols)), jobs, todo)


def _trainings(
    matrix: Matrix, found: dict[str, dict[str, Any]], settings: SweepSettings
) -> dict[str, PretrainingJob]:
    """Run folder → training, dependencies first."""
    trainings: dict[str, PretrainingJob] = {}
    for config, facts in found.items():
        path = Path(config)
        folder = facts["folder"]
        stage = "segmentor" if path.parent.name == "segmentor" else "pretrain"
        training = PretrainingJob(
            id=f"train-{path.parent.name}-{path.stem}",
            stage=stage,
            title=facts.get("title", path.parent.name),
            output=f"{folder}/encoder.json",
            method=method_of_config(path),
            config_hash=facts.get("config_hash", ""),
            command=[],
            problem=facts.get("error", ""),
            folder=folder,
            epochs=facts.get("epochs", 0),
            weights=facts.get("weights", {}),
            convolutional=facts.get("convolutional", False),
        )
        trainings[folder] = training
        if training.problem:
            continue
        # The segmentor is small, and its batch normalisation has to see the full batch.
        training.gpus = settings.pretrain_gpus if stage == "pretrain" else settings.cell_gpus
        training.command = _train_command(matrix, path, facts, training.gpus, settings)
        packs, training.frames = tuple(facts["packs"]), 0
        if packs:  # initial weights need none
            training.problem = missing_pack(matrix, packs, facts["frames"], facts["anatomy"])
            training.frames = facts["frames"] or matrix.frames.get("packs")
            if not training.problem:
                corpus = corpus_of(packs, facts["frames"], facts.get("held_out"))
                training.corpus_hash, training.frames, _ = corpus
        for file in training.weights.values():
            producer = trainings.get(str(Path(file).parent))
            if producer is not None:
                training.needs.append(producer.id)
                if producer.stage == "segmentor":
                    producer.output = file
            elif not Path(file).is_file():
                training.problem = _joined(training.problem, missing_weights(Path(file)))
    return trainings


def _cells(
    matrix: Matrix,
    found: dict[str, dict[str, Any]],
    trainings: dict[str, PretrainingJob],
    settings: SweepSettings,
) -> list[CellJob]:
    cells = []
    named = [tuple(name.split("/", 1)) for name in found]
    scored = {(method, fine_tuning_of(dataset)) for method, dataset in named}
    added = scored - set(cells_of(matrix, settings.configs))
    for (method, dataset), facts in zip(named, found.values()):
        model, kept = fine_tuning_of(dataset), (method, dataset) in scored
        tools = (settings.tools, settings.configs)
        for seed in seeds_of(matrix, dataset):
            protocol = facts.get("protocol", matrix.protocol or "journal")
            folder = str(model_folder(matrix, method, model or dataset, seed))
            place = (matrix, method, dataset, seed)
            if model is None:
                command = cell_command(*place, *tools, keep_model=kept)
            else:
                command = scoring_command(*place, facts.get("data", ""), *tools)
            cell = CellJob(
                id=_cell_id(protocol, method, dataset, seed),
                stage=KINDS[parse_dataset_id(dataset).kind].stage,
                title=f"{method} · {dataset} · seed {seed}",
                output=str(record_path(matrix.folder / "results", protocol, method, dataset, seed)),
                method=method,
                config_hash=facts.get("hashes", {}).get(str(seed), ""),
                command=command,
                needs=[_cell_id(protocol, method, model, seed)] if model else [],
                gpus=settings.cell_gpus,
                problem=facts.get("error", ""),
                dataset=dataset,
                seed=seed,
                task=facts.get("task", ""),
                data=facts.get("data", ""),
                encoder=facts.get("encoder"),
                epochs=facts.get("epochs", 0),
                requested=(method, dataset) not in added,
                model=folder if model else "",
                keeps=folder if kept else "",
            )
            cells.append(cell)
            if not cell.problem:
                _connect(cell, matrix, trainings, settings)
                cell.problem = _joined(cell.problem, missing_library(facts))
    return cells


def _cell_id(protocol: str, method: str, dataset: str, seed: int) -> str:
    stage = KINDS[parse_dataset_id(dataset).kind].stage
    return f"{stage}-{protocol}-{method}-{dataset}-seed{seed}"


def _connect(
    cell: CellJob,
    matrix: Matrix,
    trainings: dict[str, PretrainingJob],
    settings: SweepSettings,
) -> None:
    """Fill in what a cell needs, and name a missing input that no job produces."""
    known = parse_dataset_id(cell.dataset)
    config = dataset_config(matrix, known.tested or cell.dataset, settings.configs)
    cell.problem = missing_task(matrix, config, cell.data)
    split = "test" if known.kind == "corruptions" else known.split
    cell.frames = matrix.frames.get(known.dataset)
    if cell.model:
        trained = parse_dataset_id(fine_tuning_of(cell.dataset)).dataset
        cell.frames = matrix.frames.get(f"{known.tested or trained}.{split}")
    if not cell.problem:
        modified = (Path(cell.data) / MANIFEST).stat().st_mtime_ns
        try:
            sizes = task_of(cell.data, modified)[1]
        except InputError as error:
            cell.problem = str(error)
        else:
            cell.frames = sizes.get(split, 0)
            there = sizes.get("train", 0)
            if not cell.model and (known.label_count or 0) > there:
                cell.problem = f"{cell.data}: has {there} images in train"
    if cell.frames is not None and not cell.model:
        # A few images are trained on for as many steps as all of them.
        cell.frames = max(1, round(cell.frames * known.label_fraction))
    if cell.encoder is None:
        return
    training = trainings.get(cell.encoder)
    if known.kind == "lora" and (problem := _without_adaptation(cell, training)):
        cell.problem = problem
        return
    if training is None:
        config = encoder_config(cell.method, settings.configs)
        cell.problem = _joined(cell.problem, missing_encoder(matrix, config, cell.encoder))
        return
    cell.needs = [training.id]
    if training.config_hash:
        cell.pretraining["config_hash"] = training.config_hash
    if training.corpus_hash is not None:
        cell.pretraining["corpus_hash"] = training.corpus_hash


def _without_adaptation(cell: CellJob, training: PretrainingJob | None) -> str:
    """Why the encoder of a cell cannot be adapted, as far as known; or empty."""
    if training is not None:
        nothing = "its encoder is convolutional, without linear layers that LoRA could adapt"
        return f"{cell.method}: {nothing}" if training.convolutional else ""
    if (Path(cell.encoder) / "encoder.json").is_file():
        try:
            refuse_convolutional(Path(cell.encoder))
        except InputError as error:
            return str(error)
    return ""


def _joined(*problems: str) -> str:
    """Everything that keeps a job from running, a line each."""
    return "\n".join(dict.fromkeys(filter(None, problems)))


def _choose(jobs: Sequence[Job], by_id: dict[str, Job], settings: SweepSettings) -> frozenset[str]:
    """The ids of the jobs to run now; the others get a reason."""
    wanted = {"missing", "running"}
    wanted |= {"stale"} if settings.rerun_stale else set()
    wanted |= {"failed"} if settings.retry_failed else set()
    todo: set[str] = set()

    def available(job: Job) -> bool:
        return job.state == "done" or job.id in todo

    for job in jobs:
        # A failed job may have left or kept a result from other settings.
        state = job.compare()[0] if job.state == "failed" else job.state
        job.overwrite = state == "stale"
        if job.state not in wanted:
            continue
        blocker = next((by_id[need] for need in job.needs if not available(by_id[need])), None)
        if job.problem:
            job.reason = job.problem
        elif blocker is not None:
            job.reason = f"waits for {blocker.title}, which is {blocker.state}"
        else:
            todo.add(job.id)
    # A pre-training, and a fine-tuning that is not in the matrix, runs only if some cell needs it,
    # even one whose data are still missing.
    needed: set[str] = set()
    for job in reversed(jobs):
        if job.state in wanted and (job.requested or job.id in needed):
            needed.update(job.needs)
        elif not job.requested and job.id not in needed and job.id in todo:
            job.reason = "no cell needs it"
    unused = {job.id for job in jobs if not job.requested and job.id not in needed}
    return frozenset(todo - unused)


def _train_command(
    matrix: Matrix,
    config: Path,
    facts: dict[str, Any],
    gpus: int,
    settings: SweepSettings,
) -> list[str]:
    if gpus > 1:
        script = ["bash", str(settings.tools / "dist_train.sh")]
        start = [*script, str(config), str(gpus)]
    else:
        start = [sys.executable, str(settings.tools / "train.py"), str(config)]
    command = [*start, "--scale", matrix.scale, "--work", str(matrix.folder)]
    packs = facts["packs"]
    if matrix.packs and packs == [*map(matrix.at, matrix.packs)]:  # not those of the config itself
        command += ["--packs", *packs]
    if facts["options"]:
        command += ["--cfg-options", *facts["options"]]
    return command
