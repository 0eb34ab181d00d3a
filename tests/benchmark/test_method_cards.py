"""The cards of the methods: read without importing anything, and what is wrong with them said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.downstream.preview import find_method
from benchmark.errors import InputError
from benchmark.method_cards import (
    CONFIGS,
    MethodCard,
    first_line,
    read_method_card,
    read_method_cards,
    run_folder,
)
from benchmark.sweep.cells import cells_of
from benchmark.sweep.matrix import read_matrix
from benchmark.training.preview import find_config

ROOT = Path(__file__).resolve().parents[2]
FIELDS = "title='T', family='F', paper='P', pretraining='C'"


def _config(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_every_config_folder_with_a_recipe_has_a_card():
    files = [*CONFIGS.glob("*/pretrain.py"), *CONFIGS.glob("*/encoder.py")]
    recipes = {path.parent.name for path in files}
    cards = read_method_cards()
    assert [card.method for card in cards] == sorted(recipes)
    assert {"frangi", "mae", "unet", "vasomim", "vasomim_v1"} <= recipes
    for card in cards:
        folder = CONFIGS / card.method
        assert card.pretrain == (folder / "pretrain.py").is_file()
        for value in (card.title, card.family, card.paper, card.pretraining, card.summary):
            assert isinstance(value, str)
            assert value.strip()


def test_the_cards_of_the_configs_hold_what_their_files_say():
    assert read_method_card("mae") == MethodCard(
        method="mae",
        title="MAE",
        family="masked image modelling",
        paper="He et al., CVPR 2022",
        pretraining="XA-170K",
        pretrain=True,
        summary="MAE: Masked Autoencoders Are Scalable Vision Learners (He et al., CVPR 2022).",
        paper_url="https://arxiv.org/abs/2111.06377",
        code="https://github.com/facebookresearch/mae",
    )
    assert read_method_card("mae_imagenet").licence == "CC BY-NC 4.0"
    frangi = read_method_card("frangi")
    assert (frangi.pretraining, frangi.pretrain) == ("—", False)


def test_a_card_is_inherited_through_read_base():
    """VasoMIM-v1 changes title and paper of VasoMIM and keeps the rest."""
    base, card = read_method_card("vasomim"), read_method_card("vasomim_v1")
    assert (card.title, card.paper) == ("VasoMIM-v1", "Huang et al., AAAI 2026")
    assert (card.paper_url, card.code) == ("https://arxiv.org/abs/2508.10794", base.code)
    assert (card.family, card.pretraining) == (base.family, base.pretraining)
    assert (base.title, base.paper) != (card.title, card.paper)


def test_later_files_and_statements_win(tmp_path):
    _config(tmp_path, "_base_/common.py", f"card = dict({FIELDS})\n")
    inherited = "with read_base():\n    from .._base_.common import *\n"
    _config(
        tmp_path, "one/pretrain.py", f'"""First.\n\nMore."""\n{inherited}card.update(title="1")'
    )
    _config(tmp_path, "one/encoder.py", 'card = dict(paper="2")')
    card = read_method_card("one", tmp_path)
    assert (card.title, card.family, card.paper, card.summary) == ("1", "F", "2", "First.")


def test_the_cards_are_read_without_importing_a_library():
    code = (
        "import sys\n"
        "from benchmark.method_cards import read_method_cards\n"
        "assert len(read_method_cards()) >= 5\n"
        "heavy = {'torch', 'mmengine', 'mmseg', 'numpy', 'timm'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_an_unknown_method_names_the_known_ones():
    with pytest.raises(InputError, match="vaso: no such method") as caught:
        read_method_card("vaso")
    for card in read_method_cards():
        assert card.method in str(caught.value)
    # Folders without a recipe are no methods.
    for name in ("_base_", "downstream", "segmentor"):
        with pytest.raises(InputError, match="no such method"):
            read_method_card(name)


def test_methods_of_the_current_folder_add_to_those_of_the_package(monkeypatch, tmp_path):
    """By name as by path, in every tool; the package's own are not replaced."""
    monkeypatch.chdir(tmp_path)
    for name in ("mae", "ours"):
        _config(Path("configs"), f"{name}/pretrain.py", f"card = dict({FIELDS})")
    assert read_method_card("ours").title == "T"
    assert read_method_card("mae").title == "MAE"
    ids = [card.method for card in read_method_cards()]
    assert ids == sorted(ids)
    assert (ids.count("ours"), ids.count("mae")) == (1, 1)
    _config(Path("configs"), "theirs/pretrain.py", "model = dict()")  # of another project
    assert ids == [card.method for card in read_method_cards()]
    config = Path("configs", "ours", "pretrain.py")
    for name in ("ours", "configs/ours", str(config)):
        assert find_config(name) == config
        assert find_method(name, CONFIGS, tmp_path) == "ours"
    assert run_folder("ours", tmp_path) == tmp_path / "ours" / "pretrain"
    matrix = _config(
        tmp_path, "m.py", "title, methods, datasets, seeds = 'T', ['ours'], ['dca1'], [0]"
    )
    assert cells_of(read_matrix(matrix), CONFIGS) == [("ours", "dca1")]


def test_a_run_of_the_analyses_has_the_card_of_its_config():
    card = read_method_card("analysis-vit_l")
    assert (card.method, card.title) == ("analysis-vit_l", "VasoMIM, ViT-L/16")
    assert card.family == read_method_card("vasomim").family
    assert card.pretrain
    assert card.summary == "Size of the encoder: ViT-L/16 (figure 8)."
    assert run_folder("analysis-vit_l", "w") == Path("w/analysis/vit_l")
    assert run_folder("mae", "w") == Path("w/mae/pretrain")
    assert "analysis-vit_l" not in [card.method for card in read_method_cards()]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("analysis-vit_m", "configs/analysis; did you mean 'analysis-vit_l'?"),
        ("analysis-../mae/pretrain", "no such config in"),
        ("analysis-", "no such config in"),
    ],
)
def test_an_unknown_analysis_names_the_nearest(name, message):
    with pytest.raises(InputError) as caught:
        read_method_card(name)
    assert str(caught.value).startswith(f"{name}: no such config in ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("card = dict(title='T', paper='P')", "its card has no family, pretraining"),
        ("epochs = 3", "its card has no family, paper, pretraining, title"),
        (f"NAME = 'x'\ncard = dict({FIELDS}, note=NAME)", "the card must hold plain strings"),
        ("card = dict(", "not a config"),
    ],
)
def test_a_bad_card_names_its_file(tmp_path, text, message):
    path = _config(tmp_path, "bad/encoder.py", text)
    with pytest.raises(InputError) as caught:
        read_method_card("bad", tmp_path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_first_line_of_a_config(tmp_path):
    assert first_line(_config(tmp_path, "a.py", '"""One.\n\nTwo."""\n')) == "One."
    assert first_line(_config(tmp_path, "b.py", "epochs = 1\n")) == ""
