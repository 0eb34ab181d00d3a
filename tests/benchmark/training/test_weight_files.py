"""The files of weights in a config, and the answer where one of them is missing."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from benchmark.encoders.releases import RELEASES
from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS
from benchmark.training.preview import (
    missing_weights,
    read_values,
    require_inputs,
    weight_files,
)

PAGE = CONFIGS.parent / "docs" / "ablations.md"
FILES = sorted(
    {
        file
        for path in CONFIGS.rglob("*.py")
        if path.parent.name != "leaderboard"
        for _, file in weight_files((read_values(path) or {}).get("method"))
    }
)


def test_weight_files_are_found_in_lists():
    """A checkpoint is part of a run's identity wherever in the config it is named."""
    config = {"method": {"objective": [{"weight": 1}, {"features": {"checkpoint": "a.pth"}}]}}
    assert weight_files(config) == [("method.objective.1.features.checkpoint", "a.pth")]


def test_the_configs_name_every_kind():
    names = {Path(file).parent.name for file in FILES}
    assert {"unext_s", "unext_s_alpha_50", "dino", "clip", "dinov3", "released"} <= names


@pytest.mark.parametrize("file", FILES)
def test_every_file_of_a_config_comes_from_somewhere(file, tmp_path):
    """From a config that exists, a release that can be converted, or an address on the page."""
    work = tmp_path / "my runs"
    path = Path(file.replace("{work}", str(work)))
    told = missing_weights(path)
    assert told.startswith(f"{path}: no such file; ")
    assert "\n" not in told
    if found := re.search(r"tools/train\.py (\S+)", told):
        assert (CONFIGS.parent / found[1]).is_file()
    elif found := re.search(r"tools/convert_checkpoint\.py (\S+) FILE --out (.*?) \(", told):
        assert found[1] in RELEASES
        assert shlex.split(found[2]) == [str(path.parent)]
    else:
        found = re.search(r"download it from (https://\S+)$", told)
        assert found[1] in PAGE.read_text(encoding="utf-8")
    with pytest.raises(InputError) as error:
        require_inputs({"method": {"part": {"checkpoint": file}}}, work)
    assert str(error.value) == told


def test_of_other_files_nothing_is_known(tmp_path):
    for name in ("own.pth", "released/own.pth", "runs/own/encoder.safetensors"):
        assert missing_weights(tmp_path / name) == f"{tmp_path / name}: no such file"
