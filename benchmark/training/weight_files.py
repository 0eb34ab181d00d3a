"""The files of weights a config builds on, and where each of them comes from."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from benchmark.method_cards import CONFIGS

# Weights that are used as downloaded: name of the file → its address.
_DOWNLOADS = {
    "vgg16-397923af.pth": "https://download.pytorch.org/models/vgg16-397923af.pth",
    "lpips_vgg.pth": "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/"
    "v0.1/vgg.pth",
}


def weight_files(node: Any, where: str = "") -> list[tuple[str, str]]:
    """The files of weights a config builds on, each after the path of its key."""
    if isinstance(node, list):
        node = dict(enumerate(node))
    found = []
    for key, value in node.items() if isinstance(node, dict) else ():
        place = f"{where}.{key}".lstrip(".")
        if key == "checkpoint" and isinstance(value, str):
            found.append((place, value))
        found += weight_files(value, place)
    return found


def missing_weights(file: Path) -> str:
    """That a file of weights is missing, and how to get it if that is known, in one line.

    The last folders of its path tell: ``released/NAME/encoder.safetensors`` is converted,
    ``released/`` followed by a name of `_DOWNLOADS` is downloaded, and every other folder is that
    of the run of a config, as ``segmentor/unext_s``.
    """
    folder = file.parent
    config = CONFIGS / folder.parent.name / f"{folder.name}.py"
    remedy = ""
    if config.is_file():
        remedy = f"; make it with tools/train.py configs/{folder.parent.name}/{config.name}"
    elif folder.parent.name == "released" and file.name == "encoder.safetensors":
        command = f"tools/convert_checkpoint.py {folder.name} FILE --out {shlex.quote(str(folder))}"
        remedy = f"; make it with {command} (tools/convert_checkpoint.py --list names FILE)"
    elif folder.name == "released" and file.name in _DOWNLOADS:
        remedy = f"; download it from {_DOWNLOADS[file.name]}"
    return f"{file}: no such file{remedy}"
