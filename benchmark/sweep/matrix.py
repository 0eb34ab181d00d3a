"""The matrix of a sweep: a few lines of Python in `configs/leaderboard/`."""

from __future__ import annotations

import os
import runpy
import shlex
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from benchmark.errors import InputError, did_you_mean, one_of
from benchmark.results import parse_dataset_id
from benchmark.schemas import LISTS_AS_TUPLES, Schema, Text, validate
from benchmark.training.config_keys import FINETUNE_KEYS, PRETRAIN_KEYS, SCALES, read_option


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError("must not name anything twice")
    return values


def _check_scale(scale: str) -> str:
    return one_of("scale", scale, SCALES)


def _check_dataset(dataset: str) -> str:
    parse_dataset_id(dataset)
    return dataset


def _check_options(keys: dict[str, Any]) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    def check(options: tuple[str, ...]) -> tuple[str, ...]:
        for option in options:
            read_option(option, keys)
        return options

    return check


def _check_finetune_options(options: tuple[str, ...]) -> tuple[str, ...]:
    examples = {
        **{"label_fraction": "arcade_v-10pct", "label_count": "arcade_v-5images"},
        "lora": "arcade_v-lora",
    }
    for option in options:
        if (key := option.partition("=")[0]) in examples:
            raise ValueError(f"must not set {key}; name the dataset, as in {examples[key]!r}")
    return _check_options(FINETUNE_KEYS)(options)


Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Names = Annotated[tuple[str, ...], LISTS_AS_TUPLES, AfterValidator(_distinct)]
DatasetName = Annotated[str, AfterValidator(_check_dataset)]
Datasets = Annotated[tuple[DatasetName, ...], LISTS_AS_TUPLES, AfterValidator(_distinct)]
Seeds = Annotated[tuple[Seed, ...], LISTS_AS_TUPLES, AfterValidator(_distinct)]
_NOT_EMPTY = Field(min_length=1)


class Matrix(Schema):
    """Methods × datasets × seeds and how they run. Every field is a key of the config file.

    Attributes:
        name: stem of the file.
        title: heading of the board.
        methods: folders of ``configs/`` with a `pretrain.py` or an `encoder.py`, and
            ``analysis-NAME`` for files of ``configs/analysis/``.
        datasets: files of ``configs/downstream/``, or of ``configs/downstream/<protocol>/``; also
            ``DATASET-10pct`` for a share of its labels, ``DATASET-5images`` for those of five
            images, ``DATASET-lora`` for low-rank adaptation, ``DATASET-linear`` and ``DATASET-knn``
            for frozen encoders, ``DATASET-patches`` for the analysis of an encoder's patch
            features on its frames, and ``DATASET-to-OTHER`` and ``DATASET-corruptions`` for its
            fine-tuned models scored elsewhere.
        seeds: seeds of the cells.
        protocol: folder of ``configs/downstream/``; None for the usual configs.
        scale: see `configs/_base_/scales.py`.
        jobs: how many run at once on a CPU, without ``--jobs``.
        work: folder all runs live in; None: ``work_dirs``, or ``work_dirs/<scale>``.
        reference: method the board compares every other one with.
        without: method → datasets it skips, beyond those of another kind of task.
        only: dataset → the methods that have a cell on it; all of them where it is not named.
        optional: dataset → folder of its data; where that is missing, `without_missing` leaves
            the dataset out.
        packs: packs to pre-train on in place of the usual ones (`configs/_base_/pretraining.py`);
            a config that names packs of its own keeps them. None: those of the configs.
        data: dataset → folder of the prepared task, where it differs from the config's; also
            used for shares of its labels and for its patches.
        pretrain_options: ``key=value`` for the config of every pre-training; not for random
            weights, which are not trained.
        segmentor_options: ``key=value`` for the config of the segmentor.
        finetune_options: ``key=value`` for the config of every fine-tuning (``lora.key=value`` for
            those by low-rank adaptation); ``export_model=True`` keeps the fine-tuned models, which
            a sweep does only for those that it scores elsewhere.
        frames: dataset, or ``"packs"`` → published number of training frames, and
            ``"DATASET.test"`` → of test frames, for the estimate of hours while the data are
            missing.
        commands: folder of an input → command that makes it, printed if the folder is missing.
            In `optional`, `packs`, `data` and `commands`, ``{work}`` stands for `work`.
    """

    name: str
    title: Text
    methods: Annotated[Names, _NOT_EMPTY]
    datasets: Annotated[Datasets, _NOT_EMPTY]
    seeds: Annotated[Seeds, _NOT_EMPTY]
    protocol: str | None = None
    scale: Annotated[str, AfterValidator(_check_scale)] = "paper"
    jobs: Annotated[int, Field(ge=1)] = 1
    work: str | None = None
    reference: str = "mae"
    without: dict[str, Datasets] = {}
    only: dict[str, Names] = {}
    optional: dict[str, str] = {}
    packs: Names | None = None
    data: dict[str, str] = {}
    pretrain_options: Annotated[Names, AfterValidator(_check_options(PRETRAIN_KEYS))] = ()
    segmentor_options: Annotated[Names, AfterValidator(_check_options(PRETRAIN_KEYS))] = ()
    finetune_options: Annotated[Names, AfterValidator(_check_finetune_options)] = ()
    frames: dict[str, Annotated[int, Field(ge=1)]] = {}
    commands: dict[str, str] = {}

    @field_validator("only")
    @classmethod
    def _check_only(cls, only: dict[str, Names], info: ValidationInfo) -> dict[str, Names]:
        # A field that failed validation is missing here, and reported by pydantic.
        for dataset, methods in only.items():
            one_of("dataset", dataset, info.data.get("datasets", only))
            for method in methods:
                one_of("method", method, info.data.get("methods", methods))
        return only

    @field_validator("optional", "without")
    @classmethod
    def _check_keys(cls, values: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        kind = "dataset" if info.field_name == "optional" else "method"
        for name in values:
            one_of(kind, name, info.data.get(f"{kind}s", values))
        return values

    @field_validator("data", "frames")
    @classmethod
    def _check_datasets(cls, values: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        known = [parse_dataset_id(text) for text in info.data.get("datasets", values)]
        named = {one.dataset for one in known} | {one.tested for one in known if one.tested}
        also = ("packs", *(f"{name}.test" for name in named)) if info.field_name == "frames" else ()
        for dataset in values:
            one_of("dataset", dataset, [*sorted(named), *also])
        return values

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
        InputError: there is no such file, it is not Python, or a key is unknown, missing or of the
            wrong type.
    """
    if not path.is_file():
        raise InputError(
            f"{path}: no such config of a sweep; there are some in configs/leaderboard"
        )
    try:
        content = runpy.run_path(str(path))
    except Exception as error:
        # A config is arbitrary code, which may fail in any way.
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
                known = did_you_mean(str(value), map(str, there))
                raise InputError(f"--{key} {value}: not in {matrix.name}{known}")
        kept = tuple(value for value in there if value in values)
        matrix = matrix.model_copy(update={key: kept})
    return matrix


def without_missing(matrix: Matrix) -> Matrix:
    """The matrix without those of its `optional` datasets that have not been prepared."""
    missing = {name for name, at in matrix.optional.items() if not Path(matrix.at(at)).is_dir()}
    kept = tuple(name for name in matrix.datasets if name not in missing)
    return matrix.model_copy(update={"datasets": kept})


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
