"""The cards of the methods: the `card` of every config folder, read without importing it.

Listing and rendering must not import torch, and mmengine's config reader does; so the few literal
statements a card is made of are read from the syntax tree.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import InputError, did_you_mean
from benchmark.files import list_folder, read_json
from benchmark.text import visible

CONFIGS = Path(__file__).resolve().parents[1] / "configs"

ANALYSIS = "analysis-"
"""Prefix of the ids of runs of ``configs/analysis``: ``analysis-vit_l``."""

# Either makes a folder of `configs/` a method; the card of the second overrides that of the first.
_RECIPES = ("pretrain.py", "encoder.py")
# Required keys of a card; optional ones.
_PRINTED = ("title", "family", "paper", "pretraining")
_LINKS = ("paper_url", "code", "licence")


@dataclass(frozen=True)
class MethodCard:
    """One system of the benchmark."""

    method: str  # id, the name of its config folder; or ``analysis-NAME``
    title: str  # name as printed
    family: str  # section of the board
    paper: str  # where it was published
    pretraining: str  # dataset its encoder was pre-trained on; ``"—"`` without pre-training
    pretrain: bool  # whether it is pre-trained here (has a `pretrain.py`)
    summary: str  # first line of its recipe's docstring
    paper_url: str = ""  # where to read it
    code: str = ""  # web page of the official code
    licence: str = ""  # of released weights, as their page states it


def read_method_card(method: str, configs: Path = CONFIGS) -> MethodCard:
    """The card of one method, or of ``analysis-NAME``: the run of ``configs/analysis/NAME.py``.

    Raises:
        InputError: there is no such method, or its configs declare no card.
    """
    sources = _sources_of(method, configs)
    values: dict[str, Any] = {}
    for path in sources:
        values.update(_card_of(path))
    if missing := set(_PRINTED) - values.keys():
        raise InputError(f"{sources[0]}: its card has no {', '.join(sorted(missing))}")
    return MethodCard(
        method=method,
        **{key: values[key] for key in _PRINTED},
        pretrain=pretraining_config(method, configs).is_file(),
        summary=first_line(sources[0]),
        **{key: values[key] for key in _LINKS if key in values},
    )


def _sources_of(method: str, configs: Path) -> list[Path]:
    """The configs that declare the card of a method; the later overrides the earlier."""
    if method.startswith(ANALYSIS):
        path = pretraining_config(method, configs)
        names = [ANALYSIS + file.stem for file in list_folder(path.parent, "[!_]*.py")]
        if method not in names:  # rather than whether there is such a file: a name is not a path
            raise InputError(
                f"{method}: no such config in {path.parent}{did_you_mean(method, names)}"
            )
        return [path]
    sources = _recipes_in(_home(method, configs) / method)
    if not sources:
        known = ", ".join(card.method for card in read_method_cards(configs))
        raise InputError(f"{method}: no such method in {configs}; known: {known}")
    return sources


def pretraining_config(method: str, configs: Path = CONFIGS) -> Path:
    """The config of the pre-training of a method or an analysis, whether or not there is one."""
    if method.startswith(ANALYSIS):
        return configs / "analysis" / f"{method.removeprefix(ANALYSIS)}.py"
    return _home(method, configs) / method / "pretrain.py"


def own_configs(configs: Path) -> Path | None:
    """``configs`` of the current folder, which adds to that of an installed package.

    Returns:
        None where there is none, it is the package's own, or `configs` is another folder.
    """
    own = Path("configs")
    return own if configs == CONFIGS and own.is_dir() and own.resolve() != configs else None


def own_datasets(configs: Path) -> Path | None:
    """``configs/downstream`` of the current folder, see `own_configs`; None without one."""
    own = own_configs(configs)
    return own / "downstream" if own and (own / "downstream").is_dir() else None


def method_folders(configs: Path) -> list[Path]:
    """The folders of all methods, those of the package before those of `own_configs`."""
    folders = [folder for folder in list_folder(configs) if is_method(folder)]
    own, names = own_configs(configs), {folder.name for folder in folders}
    added = list_folder(own) if own else []
    return folders + [folder for folder in added if folder.name not in names and is_method(folder)]


def _home(method: str, configs: Path) -> Path:
    """The folder of configs that holds a method: `own_configs` for what is only there."""
    own = own_configs(configs)
    return own if own and not is_method(configs / method) and is_method(own / method) else configs


def method_of_config(path: Path) -> str:
    """The id of what a config of a pre-training trains, the inverse of `pretraining_config`."""
    folder = path.parent.name
    return ANALYSIS + path.stem if folder == "analysis" else folder


def run_folder(method: str, work: str | Path) -> Path:
    """The folder its pre-training runs in, and exports its encoder to."""
    return default_folder(pretraining_config(method), work)


def default_folder(config_path: str | Path, work: str | Path) -> Path:
    """`configs/<method>/<name>.py` runs in `<work>/<method>/<name>`."""
    path = Path(config_path).resolve()
    return Path(work) / path.parent.name / path.stem


def require_encoder(folder: Path) -> None:
    """Raise an `InputError` if a folder holds no `encoder.json`."""
    if not (folder / "encoder.json").is_file():
        raise InputError(
            f"{folder}: no encoder (encoder.json is missing); name a folder that tools/train.py "
            "(WORK/METHOD/pretrain) or tools/convert_checkpoint.py has exported"
        )


def card_of_encoder(folder: Path) -> MethodCard:
    """The card of an exported encoder that has no config.

    Its id is made of the folders it lies in, ``analysis-schedule_0_1`` for a run of
    ``configs/analysis/schedule_0_1.py``; the rest is the provenance in `encoder.json`.

    Raises:
        InputError: the folder holds no `encoder.json`.
    """
    require_encoder(folder)
    description = read_json(folder / "encoder.json")
    origin = description.get("provenance", {}) if isinstance(description, dict) else {}
    place = folder.resolve()
    name = f"{place.parent.name}-{place.name}" if "config_hash" in origin else place.name
    otherwise = (name, "released weights", "—", "not known")
    printed = {key: origin.get(key, default) for key, default in zip(_PRINTED, otherwise)}
    return MethodCard(
        method=re.sub(r"[^A-Za-z0-9_.-]", "_", name),
        **{key: visible(str(value)) for key, value in printed.items()},
        pretrain=False,
        summary=f"The encoder of {folder}.",
    )


def read_method_cards(configs: Path = CONFIGS) -> list[MethodCard]:
    """The cards of all methods, in the order of their ids.

    Recipes in the current folder without any card belong to another project.
    """
    names = sorted(
        folder.name
        for folder in method_folders(configs)
        if folder.parent == configs or any(map(_card_of, _recipes_in(folder)))
    )
    return [read_method_card(name, configs) for name in names]


def is_method(folder: Path) -> bool:
    """Whether a folder of configs is a method: it has a `pretrain.py` or an `encoder.py`."""
    return bool(_recipes_in(folder))


def _recipes_in(folder: Path) -> list[Path]:
    return [path for name in _RECIPES if (path := folder / name).is_file()]


def encoder_config(method: str, configs: Path = CONFIGS) -> Path | None:
    """The `encoder.py` of a method; None where its encoder is what its `pretrain.py` exports."""
    path = _home(method, configs) / method / "encoder.py"
    return path if path.is_file() else None


def first_line(path: Path) -> str:
    """First line of a config's docstring."""
    return (ast.get_docstring(parse_config(path)) or "").partition("\n")[0]


def parse_config(path: Path) -> ast.Module:
    """The syntax tree of a config file, or an `InputError` if it is not Python."""
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a config ({error})") from None


def _card_of(path: Path) -> dict[str, Any]:
    """Follow `read_base`, `card = dict(...)` and `card.update(...)` in one config file."""
    values: dict[str, Any] = {}
    for node in parse_config(path).body:
        if isinstance(node, ast.With):
            for inner in node.body:
                base = base_path(path, inner)
                if base is not None:
                    values.update(_card_of(base))
        call = node.value if isinstance(node, (ast.Assign, ast.Expr)) else None
        if isinstance(call, ast.Call) and ast.unparse(node).startswith(("card = ", "card.update(")):
            try:
                values.update({item.arg: ast.literal_eval(item.value) for item in call.keywords})
            except ValueError:
                raise InputError(f"{path}: the card must hold plain strings") from None
    return values


def base_path(path: Path, node: ast.stmt) -> Path | None:
    """The file that ``from ..folder.name import *`` under `read_base` refers to."""
    if not isinstance(node, ast.ImportFrom) or node.module is None:
        return None
    folder = path.parents[node.level - 1] if node.level else CONFIGS.parent
    base = folder.joinpath(*node.module.split(".")).with_suffix(".py")
    return base if base.is_file() else None
