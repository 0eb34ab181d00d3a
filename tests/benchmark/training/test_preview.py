"""What can be told of a config at once, beside what the loader reads from it in earnest."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import InputError
from benchmark.training.config import load_config
from benchmark.training.config_keys import FINETUNE_KEYS, METHOD_KEYS, PRETRAIN_KEYS, ConfigKeys
from benchmark.training.preview import Imported, find_config, preview, read_values, require_inputs

ROOT = Path(__file__).resolve().parents[3]
CONFIGS: list[tuple[str, ConfigKeys]] = [
    (str(path.relative_to(ROOT)), keys)
    for pattern, keys in (
        ("*/pretrain.py", PRETRAIN_KEYS),
        ("segmentor/*.py", PRETRAIN_KEYS),
        ("analysis/*.py", PRETRAIN_KEYS),
        ("downstream/**/[!_]*.py", FINETUNE_KEYS),
        ("*/encoder.py", METHOD_KEYS),
    )
    for path in sorted((ROOT / "configs").glob(pattern))
]


def same(seen: Any, loaded: Any) -> bool:
    """Whether two values agree wherever the first is not a stand-in."""
    if isinstance(seen, Imported):
        return not isinstance(loaded, (str, int, float, dict, list, tuple, type(None)))
    if isinstance(seen, dict):
        return seen.keys() == loaded.keys() and all(same(seen[key], loaded[key]) for key in seen)
    if isinstance(seen, (list, tuple)):
        return len(seen) == len(loaded) and all(map(same, seen, loaded))
    return type(seen) is type(loaded) and seen == loaded


@pytest.mark.parametrize(("name", "keys"), CONFIGS)
def test_every_config_is_read_as_the_loader_reads_it(name, keys):
    seen = preview(ROOT / name, keys)
    assert seen, "cannot be followed"
    seen.pop("scales", None)  # which the loader applies
    assert same(seen, load_config(ROOT / name, known=keys)._cfg_dict)


def test_what_cannot_be_followed_is_left_to_the_loader(tmp_path):
    config = tmp_path / "a.py"
    for content in ("_base_ = ['b.py']\nepochs = 'many'", "epochs = 1 / 0\nepoch = 3"):
        config.write_text(content)
        assert read_values(config) is None
        assert preview(config, PRETRAIN_KEYS) == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("epoch = 3", "unknown key 'epoch'; did you mean 'epochs'?"),
        ("epochs = 'many'", "epochs='many' must be an integer of 0 or more"),
        ("seed = -1", "seed=-1 must be an integer from 0 to 4294967295"),
        ("epochs = 3", "without 'method.views', which every run needs"),
        ("epochs = 3 3", "not a config"),
    ],
)
def test_mistakes_in_a_config(content, said, tmp_path):
    config = tmp_path / "a.py"
    config.write_text(content)
    with pytest.raises(InputError, match=re.escape(said)) as error:
        preview(config, PRETRAIN_KEYS, needed=("method.views",))
    assert str(config) in str(error.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("configs/vasomim/pretrian.py", "configs/vasomim/pretrain.py"),
        ("configs/vasomin/pretrain.py", "configs/vasomim/pretrain.py"),
        ("vasomin", "vasomim"),
    ],
)
def test_a_config_that_is_not_there(name, meant, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError, match=re.escape(f"{name}: no such config")) as error:
        find_config(name)
    assert f"did you mean {meant!r}?" in str(error.value)
    assert find_config(meant) == Path("configs/vasomim/pretrain.py")


@pytest.mark.parametrize("place", [".", "configs", "configs/mae", None])
@pytest.mark.parametrize(
    ("names", "meant"),
    [
        (("vasomim", "vasomim/pretrain", "vasomim/pretrain.py"), "vasomim/pretrain.py"),
        (("configs/vasomim", "configs/vasomim/pretrain.py"), "vasomim/pretrain.py"),
        (("analysis-vit_l", "analysis/vit_l"), "analysis/vit_l.py"),
        (("configs/analysis/vit_l", "configs/analysis/vit_l.py"), "analysis/vit_l.py"),
        (("segmentor/unext_s",), "segmentor/unext_s.py"),
    ],
)
def test_a_name_means_the_same_from_any_folder(names, meant, place, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path if place is None else ROOT / place)
    for name in names:
        assert find_config(name).resolve() == ROOT / "configs" / meant


def test_configs_of_any_folder(monkeypatch, tmp_path):
    """With or without ``.py``; the folder stands for its `pretrain.py`."""
    (tmp_path / "mine").mkdir()
    config = tmp_path / "mine" / "pretrain.py"
    config.write_text("")
    for name in (tmp_path / "mine", tmp_path / "mine" / "pretrain", config):
        assert find_config(str(name)) == config
    monkeypatch.chdir(tmp_path / "mine")
    for name in (".", "../mine", "./pretrain", "pretrain.py"):
        assert find_config(name).resolve() == config
    with pytest.raises(InputError, match="no such config"):
        find_config("benchmark/randomness")  # of the project, but no config


def test_a_name_of_two_configs(monkeypatch, tmp_path):
    """The path of one of them means that one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mae").mkdir()
    (tmp_path / "mae" / "pretrain.py").write_text("")
    with pytest.raises(InputError, match="mae: several configs; name one: ") as error:
        find_config("mae")
    for path in str(error.value).partition("name one: ")[2].split(", "):
        assert find_config(path).samefile(path)


def test_matrices_are_known_by_their_names(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    folder = ROOT / "configs" / "leaderboard"
    assert find_config("journal", folder) == folder / "journal.py"
    with pytest.raises(InputError, match="did you mean 'journal'"):
        find_config("jurnal", folder)
    with pytest.raises(InputError, match=r"mae: no such config; known: aaai, .*journal"):
        find_config("mae", folder)  # a method


def test_inputs_that_are_not_there(tmp_path):
    """First the pack, then the segmentor, each with the command that makes it."""
    values = preview(ROOT / "configs/vasomim/pretrain.py", PRETRAIN_KEYS)
    pack = tmp_path / "packs" / "xa170k"
    with pytest.raises(
        InputError, match=re.escape(f"{pack}: no such folder; make the pack with tools/")
    ):
        require_inputs(values, tmp_path)
    pack.mkdir(parents=True)
    with pytest.raises(
        InputError, match=r"xa170k: not a pack \(manifest.json is missing\); make one"
    ):
        require_inputs(values, tmp_path)
    (pack / "manifest.json").touch()
    weights = tmp_path / "segmentor" / "unext_s" / "segmentor.safetensors"
    made = "tools/train.py configs/segmentor/unext_s.py"
    with pytest.raises(
        InputError, match=re.escape(f"{weights}: no such file; make it with {made}")
    ):
        require_inputs(values, tmp_path)
    weights.parent.mkdir(parents=True)
    weights.touch()
    require_inputs(values, tmp_path)


def test_options_take_the_place_of_what_is_missing(tmp_path):
    own = tmp_path / "own.safetensors"
    own.touch()
    (tmp_path / "manifest.json").touch()
    options = [f"method.segmentor.checkpoint={own}", f"packs=['{tmp_path}']"]
    config = ROOT / "configs/vasomim/pretrain.py"
    require_inputs(preview(config, PRETRAIN_KEYS, options=options), tmp_path / "nowhere")


@pytest.mark.parametrize(
    "arguments",
    [
        ["configs/vasomim"],
        ["configs/vasomim/pretrain.py", "--cfg-options", "epoch=3"],
        ["configs/vasomim/pretrain.py", "--work", "nowhere"],
    ],
)
def test_the_tool_answers_before_it_loads_torch(arguments):
    program = (
        "import runpy, sys\nsys.modules['torch'] = None\nsys.path.insert(0, 'tools')\n"
        f"sys.argv = ['tools/train.py', *{arguments!r}]\n"
        "runpy.run_path('tools/train.py', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
