"""The matrix of a sweep: a few lines of Python in `configs/leaderboard/`."""

from __future__ import annotations

import ast
import os
import runpy
import shlex
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from benchmark.errors import InputError, one_of
from benchmark.files import list_folder
from benchmark.method_cards import base_path, encoder_config, parse_config, read_method_card
from benchmark.schemas import LISTS_AS_TUPLES, Schema, Text, validate
from benchmark.training.config_keys import FINETUNE_KEYS, PRETRAIN_KEYS, read_option
from benchmark.training.scales import SCALES


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError("must not name anything twice")
    return values


def _check_scale(scale: str) -> str:
    return one_of("scale", scale, SCALES)


def _check_options(keys: dict[str, Any]) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    def check(options: tuple[str, ...]) -> tuple[str, ...]:
        for option in options:
            read_option(option, keys)
        return options

    return check


Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Names = Annotated[tuple[str, ...], LISTS_AS_TUPLES, AfterValidator(_distinct)]
Seeds = Annotated[tuple[Seed, ...], LISTS_AS_TUPLES, AfterValidator(_distinct)]
_NOT_EMPTY = Field(min_length=1)


class Matrix(Schema):
    """Methods × datasets × seeds and how they run. Every field is a key of the config file.

    Attributes:
        name: stem of the file.
        title: heading of the board.
        methods: folders of ``configs/`` with a `pretrain.py` or an `encoder.py`.
        datasets: files of ``configs/downstream/``, or of ``configs/downstream/<protocol>/``.
        seeds: seeds of the fine-tuning.
        protocol: folder of ``configs/downstream/``; None for the usual configs.
        scale: see `configs/_base_/scales.py`.
        work: folder all runs live in; None: ``work_dirs``, or ``work_dirs/<scale>``.
        reference: method the board compares every other one with.
        without: method → datasets it skips, beyond those of another kind of task.
        packs: packs to pre-train on; None: those of the configs.
        data: dataset → folder of the prepared task, where it differs from the config's.
        pretrain_options: ``key=value`` for the config of every pre-training.
        finetune_options: ``key=value`` for the config of every cell.
        frames: dataset, or ``"packs"`` → published number of training frames, for the estimate of
            hours while the data are missing.
        commands: folder of an input → command that makes it, printed if the folder is missing.
            In `packs`, `data` and `commands`, ``{work}`` stands for `work`.
    """

    name: str
    title: Text
    methods: Annotated[Names, _NOT_EMPTY]
    datasets: Annotated[Names, _NOT_EMPTY]
    seeds: Annotated[Seeds, _NOT_EMPTY]
    protocol: str | None = None
    scale: Annotated[str, AfterValidator(_check_scale)] = "paper"
    work: str | None = None
    reference: str = "mae"
    without: dict[str, Names] = {}
    packs: Names | None = None
    data: dict[str, str] = {}
    pretrain_options: Annotated[Names, AfterValidator(_check_options(PRETRAIN_KEYS))] = ()
    finetune_options: Annotated[Names, AfterValidator(_check_options(FINETUNE_KEYS))] = ()
    frames: dict[str, Annotated[int, Field(ge=1)]] = {}
    commands: dict[str, str] = {}

    @property
    def folder(self) -> Path:
        """The folder all runs live in."""
        if self.work is not None:
            return Path(self.work)
        return Path("work_dirs") if self.scale == "paper" else Path("work_dirs") / self.scale

    def at(self, text: str) -> str:
        """The folder `text` with ``{work}`` filled in."""
        return text.replace("{work}", str(self.folder))

    def command_at(self, text: str) -> str:
        """The command `text` with ``{work}`` filled in, quoted for a shell."""
        return text.replace("{work}", shlex.quote(str(self.folder)))


def read_matrix(path: Path) -> Matrix:
    """Read the config of a sweep.

    Raises:
        InputError: there is no such file, it is no Python, or a key is unknown, missing or of the
            wrong type.
    """
    if not path.is_file():
        raise InputError(
            f"{path}: no such config of a sweep; there are some in configs/leaderboard"
        )
    try:
        content = runpy.run_path(str(path))
    except Exception as error:
        # A config is code of its author, which may fail in any way.
        raise InputError(f"{path}: not a config ({type(error).__name__}: {error})") from None
    values = {key: value for key, value in content.items() if not key.startswith("_")}
    if "name" in values:
        raise InputError(f"{path}: unknown key 'name'; the name is that of the file")
    return validate(Matrix, {"name": path.stem, **values}, path)


def restrict(matrix: Matrix, **wanted: list[Any] | None) -> Matrix:
    """The part of a matrix with only these ``methods``, ``datasets`` or ``seeds``.

    Raises:
        InputError: one of them is not in the matrix.
    """
    for key, values in wanted.items():
        if values is None:
            continue
        there = getattr(matrix, key)
        for value in values:
            if value not in there:
                known = ", ".join(map(str, there))
                raise InputError(f"--{key} {value}: not in {matrix.name}; there are {known}")
        kept = tuple(value for value in there if value in values)
        matrix = matrix.model_copy(update={key: kept})
    return matrix


def check_folders(matrix: Matrix) -> None:
    """Refuse folders that a command line, a record or a line of a log cannot name.

    Raises:
        InputError: one is not UTF-8, has a control character in its path, or begins with a dash.
    """
    given = [str(matrix.folder), *map(matrix.at, (*(matrix.packs or ()), *matrix.data.values()))]
    for folder in given:
        if folder.startswith("-"):
            raise InputError(
                f"folder {folder!r}: begins with a dash, as an option does; give its absolute path"
            )
    for folder in (*given, os.getcwd()):
        path = os.path.abspath(folder)
        # Surrogates stand for bytes that are not UTF-8; Zl and Zp are line breaks as well.
        if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in path):
            raise InputError(
                f"folder {path!r}: a line break, another control character or a byte that is not "
                "UTF-8 in the path of a sweep's runs or data; rename it, or choose another"
            )


def dataset_config(matrix: Matrix, dataset: str, configs: Path) -> Path:
    """The config file of a dataset: that of the protocol, or the usual one.

    Raises:
        InputError: there is no such file.
    """
    usual = configs / "downstream"
    places = [usual / matrix.protocol, usual] if matrix.protocol else [usual]
    for place in places:
        if (place / f"{dataset}.py").is_file():
            return place / f"{dataset}.py"
    known = sorted({path.stem for place in places for path in list_folder(place, "[!_]*.py")})
    raise InputError(f"{dataset}: no such dataset in {places[0]}; known: {', '.join(known)}")


def cells_of(matrix: Matrix, configs: Path) -> list[tuple[str, str]]:
    """The pairs (method, dataset) of the matrix, in its order.

    A method that is a model for one kind of task has no cell for the others.

    Raises:
        InputError: there is no such method or dataset.
    """
    for dataset in {name for names in matrix.without.values() for name in names}:
        dataset_config(matrix, dataset, configs)
    tasks = {
        name: literal(dataset_config(matrix, name, configs), "task") for name in matrix.datasets
    }
    cells = []
    for method in matrix.methods:
        read_method_card(method, configs)  # raises for an unknown method
        config = encoder_config(method, configs)
        only = config and literal(config, "task")
        skipped = matrix.without.get(method, ())
        cells += [
            (method, dataset)
            for dataset, task in tasks.items()
            if only in (None, task) and dataset not in skipped
        ]
    return cells


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
