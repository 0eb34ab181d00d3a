"""What is wrong with the inputs of a masking-ratio figure, found without importing torch."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NoReturn

from benchmark.errors import InputError
from benchmark.files import read_object
from benchmark.training.config_keys import PRETRAIN_KEYS, PRETRAIN_NEEDS
from benchmark.training.preview import find_config, preview, require_inputs
from benchmark.visualization.figure_files import figure_format

# Maskings guided by what the method itself has learned: AMT, HPM.
_LEARNED = ("AttentionGuidedMasking", "LossGuidedMasking")


def check_inputs(
    paths: Sequence[str], packs: Sequence[str], out: str, options: Collection[str], work: Path
) -> list[Path]:
    """The configs and run folders that `paths` name.

    Args:
        paths: configs or folders of runs.
        packs: folders of packs.
        out: figure to write.
        options: ``key.path=value``, which override configs.
        work: folder of all runs, ``{work}`` in configs.

    Raises:
        InputError: another format than PNG, SVG or PDF; no such pack, config or run; an option is
            not what its key takes, or there is no config to override; the masks of a config depend
            on weights that are not there; a run was trained on other packs.
    """
    figure_format(out)
    for pack in map(Path, packs):
        if not (pack / "manifest.json").is_file():
            raise InputError(f"{pack}: no pack; make it with tools/prepare_data.py")
    found = [_recipe_path(name, options, work) for name in paths]
    runs = [path for path in found if path.is_dir()]
    if options and len(runs) == len(found):
        raise InputError("--cfg-options: overrides configs, and a run has its own; name a config")
    for run in runs:
        _require_own_packs(run, packs)
    return found


def _require_own_packs(run: Path, packs: Sequence[str]) -> None:
    """Raise `InputError` unless a run was trained on these packs: others give other masks."""
    description = read_object(run / "run.json")
    config = description.get("config")
    if not isinstance(config, dict) or "packs" not in config:
        return  # not a pre-training, which is refused when it is opened
    from benchmark.data.packs import open_packs, training_frames  # importing pandas takes seconds

    corpus, frames = open_packs(packs), config.get("frames")
    if frames is None or frames <= len(corpus):
        corpus = training_frames(corpus, frames, config.get("held_out"))
    if corpus.corpus_hash != description.get("corpus_hash"):
        raise InputError(
            f"{run}: was trained on other packs, and the number of a frame in the packs decides "
            f"its masks; use --packs {shlex.join(map(str, config['packs']))}"
        )


def _recipe_path(name: str, options: Collection[str], work: Path) -> Path:
    folder = Path(name)
    if (folder / "run.json").is_file():
        return folder
    if folder.is_dir() and not (folder / "pretrain.py").is_file():
        raise InputError(f"{folder}: no run.json in it; name a config or the folder of a run")
    path = find_config(name)
    method = preview(path, PRETRAIN_KEYS, PRETRAIN_NEEDS, options).get("method")
    masking: Any = method.get("masking") if isinstance(method, dict) else None
    if isinstance(masking, dict):
        kind = getattr(masking.get("type"), "__name__", None)
        if kind in _LEARNED:
            refuse_config(path)
        if kind == "AnatomyGuidedMasking" and masking.get("eta") != 1:
            require_inputs({"method": method}, work)
    return path


def refuse_config(path: Path) -> NoReturn:
    """Raise `InputError` for a config whose masks depend on weights of the method."""
    raise InputError(
        f"{path}: its masks depend on trained weights; train it with tools/train.py {path}, and "
        "name the folder of the run"
    )
