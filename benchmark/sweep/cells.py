"""The cells of a matrix: which there are, of which kind each is, and the command that fills it.

A cell is a pair of a method and a dataset id (`benchmark.results.dataset_ids`) with one record per
seed. Its kind is in the id: a fine-tuning, in full or by low-rank adaptation, with all labels or a
part of them, the evaluation of a frozen encoder, the analysis of its patch features, or a
fine-tuned model that is scored elsewhere: on another dataset, or under corruptions.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.downstream.preview import has_encoder
from benchmark.errors import InputError
from benchmark.files import list_folder
from benchmark.method_cards import (
    CONFIGS,
    base_path,
    encoder_config,
    own_datasets,
    parse_config,
    read_method_card,
)
from benchmark.results import DatasetId, parse_dataset_id
from benchmark.sweep.matrix import Matrix, read_matrix
from benchmark.training.checkpoints.run_files import cell_folder


class CellKind(NamedTuple):
    """How the cells of one kind are run."""

    stage: str  # of its jobs, `benchmark.sweep.jobs`
    tool: tuple[str, ...]  # of `tools/`, and its subcommand
    options: bool  # whether the options of the fine-tuning apply to it


KINDS = {
    "fine-tuning": CellKind("finetune", ("finetune.py",), True),
    "lora": CellKind("finetune", ("finetune.py",), True),
    "linear": CellKind("evaluate", ("evaluate.py", "linear"), False),
    "knn": CellKind("evaluate", ("evaluate.py", "knn"), False),
    "patches": CellKind("analyse", ("analyse.py", "representations"), False),
    "transfer": CellKind("test", ("test.py",), False),
    "corruptions": CellKind("test", ("test.py",), False),
}
"""Kind of a dataset id → how its cells are run."""

_FROZEN = ("linear", "knn", "patches")
"""Kinds whose cells need an encoder and the masks of a segmentation."""


def fine_tuning_of(dataset: str) -> str | None:
    """The id of the fine-tuning whose model a cell scores; None for a cell that trains its own."""
    known = parse_dataset_id(dataset)
    if known.kind not in ("transfer", "corruptions"):
        return None
    return known._replace(kind="fine-tuning", tested=None).text


def with_fine_tunings(cells: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """These cells and the fine-tunings whose models they score, which precede them."""
    scored = [(method, fine_tuning_of(dataset)) for method, dataset in cells]
    trained = [cell for cell, model in zip(cells, scored) if model[1] is None]
    models = [(method, dataset) for method, dataset in scored if dataset is not None]
    return list(dict.fromkeys([*trained, *models, *cells]))


def dataset_config(matrix: Matrix, dataset: str, configs: Path) -> Path:
    """The config file that a dataset id names: that of the protocol, or the usual one.

    Raises:
        InputError: there is no such file.
    """
    dataset = parse_dataset_id(fine_tuning_of(dataset) or dataset).dataset
    usual = configs / "downstream"
    places = [usual / matrix.protocol, usual] if matrix.protocol else [usual]
    if own := own_datasets(configs):
        places.append(own)
    for place in places:
        if (place / f"{dataset}.py").is_file():
            return place / f"{dataset}.py"
    known = sorted({path.stem for place in places for path in list_folder(place, "[!_]*.py")})
    raise InputError(f"{dataset}: no such dataset in {places[0]}; known: {', '.join(known)}")


def cells_of(matrix: Matrix, configs: Path) -> list[tuple[str, str]]:
    """The pairs (method, dataset id) of the matrix, in its order.

    A method that is a model for one kind of task has no cells for the others, and one without an
    encoder has none for low-rank adaptation or frozen features.

    Raises:
        InputError: there is no such method or dataset; cells of frozen features or corruptions
            have no masks; or a model is to be scored on a dataset of another task.
    """
    for dataset in {name for names in matrix.without.values() for name in names}:
        dataset_config(matrix, dataset, configs)
    tasks = {
        name: literal(dataset_config(matrix, name, configs), "task") for name in matrix.datasets
    }
    frozen = {name for name in tasks if parse_dataset_id(name).kind in _FROZEN}
    for dataset in sorted(frozen):
        if tasks[dataset] != "segmentation":
            raise InputError(
                f"{dataset}: frozen features are compared with masks of vessels; "
                f"{tasks[dataset]} has none"
            )
    for dataset, task in tasks.items():
        _check_scoring(matrix, dataset, task, configs)
    of_encoders = frozen | {name for name in tasks if _trained(name).kind == "lora"}
    cells = []
    for method in matrix.methods:
        read_method_card(method, configs)  # raises for an unknown method
        config = encoder_config(method, configs)
        only = config and literal(config, "task")
        skipped = set(matrix.without.get(method, ()))
        skipped |= {name for name, methods in matrix.only.items() if method not in methods}
        skipped |= set() if has_encoder(method, configs) else of_encoders
        cells += [
            (method, dataset)
            for dataset, task in tasks.items()
            if only in (None, task) and dataset not in skipped
        ]
    return cells


def matrices_of_cells(names: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    """(method, dataset) → which of these files of ``configs/leaderboard/`` run the cell."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in names:
        for cell in cells_of(read_matrix(CONFIGS / "leaderboard" / f"{name}.py"), CONFIGS):
            found.setdefault(cell, []).append(f"configs/leaderboard/{name}.py")
    return found


def seeds_of(matrix: Matrix, dataset: str) -> tuple[int, ...]:
    """The seeds of the cells with a dataset id.

    k-NN with all labels, or a share of them, draws nothing (except the patches it compares with,
    where there are very many): one seed is enough.
    """
    known = parse_dataset_id(dataset)
    return matrix.seeds[:1] if known.kind == "knn" and not known.label_count else matrix.seeds


def _trained(dataset: str) -> DatasetId:
    """The id of what a cell trains or analyses, or of the fine-tuning whose model it scores."""
    return parse_dataset_id(fine_tuning_of(dataset) or dataset)


def _check_scoring(matrix: Matrix, dataset: str, task: str, configs: Path) -> None:
    known = parse_dataset_id(dataset)
    if known.kind == "corruptions" and task != "segmentation":
        raise InputError(f"{dataset}: corruptions compare the DSC of masks; {task} has none")
    if known.tested is not None:
        other = literal(dataset_config(matrix, known.tested, configs), "task")
        if other != task:
            raise InputError(f"{dataset}: a model for {task}, but {known.tested} is for {other}")


def model_folder(matrix: Matrix, method: str, dataset: str, seed: int) -> Path:
    """Where the fine-tuning with this dataset id leaves its model."""
    return cell_folder(matrix.folder, matrix.protocol, method, dataset, seed)


def scoring_command(
    matrix: Matrix, method: str, dataset: str, seed: int, data: str, tools: Path, configs: Path
) -> list[str]:
    """The command that scores a fine-tuned model elsewhere.

    Args:
        dataset: id of a cell for which there is a `fine_tuning_of`.
        data: folder of the prepared task it is scored on.
        tools, configs: as for `cell_command`.
    """
    known, trained = parse_dataset_id(dataset), fine_tuning_of(dataset)
    model = model_folder(matrix, method, trained, seed)
    command = [sys.executable, str(tools / KINDS[known.kind].tool[0]), str(model)]
    command += ["--scale", matrix.scale, "--work", str(matrix.folder), "--data", data]
    if known.tested is None:
        command.append("--corruptions")
    else:
        command += ["--dataset", known.tested, "--split", known.split]
    if configs != CONFIGS:
        command += ["--configs", str(configs)]
    return command


def cell_command(
    matrix: Matrix,
    method: str,
    dataset: str,
    seed: int,
    tools: Path,
    configs: Path,
    keep_model: bool = False,
) -> list[str]:
    """The command that writes the record of a cell that trains, or analyses an encoder.

    Args:
        tools: folder of the tools.
        configs: folder of all configs.
        keep_model: whether the fine-tuned model is kept in any case.
    """
    known = parse_dataset_id(dataset)
    kind = KINDS[known.kind]
    command = [sys.executable, str(tools / kind.tool[0]), *kind.tool[1:]]
    command += ["--scale", matrix.scale, "--work", str(matrix.folder)]
    command += ["--method", method, "--dataset", known.dataset, "--seed", str(seed)]
    if known.label_fraction < 1:
        command += ["--label-fraction", repr(known.label_fraction)]
    if known.label_count is not None:
        command += ["--label-count", str(known.label_count)]
    if known.kind == "lora":
        command.append("--lora")
    if known.split != "train":
        command += ["--split", known.split]
    if matrix.protocol:
        command += ["--protocol", matrix.protocol]
    if known.dataset in matrix.data:
        command += ["--data", matrix.at(matrix.data[known.dataset])]
    if configs != CONFIGS:
        command += ["--configs", str(configs)]
    if kind.options:
        # Hundreds of fine-tuned models would fill the disk; an option of the matrix keeps them.
        options = options_for(dataset, matrix.finetune_options)
        kept = ["export_model=True"] if keep_model else []
        command += ["--cfg-options", "export_model=False", *options, *kept]
    return command


def options_for(dataset: str, options: Sequence[str]) -> list[str]:
    """The options of fine-tuning that apply to a dataset id: ``lora.…`` for adaptation only."""
    adapted = parse_dataset_id(dataset).kind == "lora"
    return [option for option in options if adapted or not option.startswith("lora.")]


def literal(path: Path, name: str) -> Any:
    """The literal assigned to ``name`` in a config or its base, read without importing; or None."""
    value = None
    for node in parse_config(path).body:
        if isinstance(node, ast.With):
            bases = [base for inner in node.body if (base := base_path(path, inner))]
            value = next((found for base in bases if (found := literal(base, name))), value)
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            value = ast.literal_eval(node.value)
    return value
