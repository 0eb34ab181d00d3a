"""Reading the config of a sweep, which cells it has, and what its configs mean."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmark.downstream.preview import has_encoder
from benchmark.errors import InputError
from benchmark.method_cards import ANALYSIS, CONFIGS, read_method_cards
from benchmark.results import parse_dataset_id
from benchmark.sweep.cells import cells_of, literal
from benchmark.sweep.config_cache import cached, request_for
from benchmark.sweep.matrix import read_matrix, restrict, without_missing

GOOD = {
    "title": "'T'",
    "methods": "('mae', 'frangi', 'detr')",
    "datasets": "('arcade_v', 'stenosis')",
    "seeds": "(0, 1)",
}


def write(folder: Path, **changes: str) -> Path:
    path = folder / "m.py"
    lines = [f"{key} = {value}" for key, value in {**GOOD, **changes}.items() if value]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": "(0,)"}, "unknown key 'seed'; did you mean 'seeds'?"),
        ({"name": "'n'"}, "unknown key 'name'; the name is that of the file"),
        ({"methods": ""}, "key 'methods' is missing"),
        ({"seeds": "()"}, "key 'seeds' must have at least 1 item"),
        ({"methods": "'mae'"}, "key 'methods' must be a valid tuple, found 'mae'"),
        ({"methods": "{'mae'}"}, "key 'methods' must be a valid tuple, found {'mae'}"),
        ({"seeds": "('0',)"}, "key 'seeds.0' must be a valid integer, found '0'"),
        ({"seeds": "(0, -1)"}, "key 'seeds.1' must be greater than or equal to 0, found -1"),
        ({"seeds": "(2**32,)"}, "key 'seeds.0' must be less than or equal to 4294967295"),
        ({"seeds": "(True,)"}, "key 'seeds.0' must be a valid integer, found True"),
        ({"seeds": "(1, 1)"}, "key 'seeds' must not name anything twice, found (1, 1)"),
        ({"data": "('x',)"}, "key 'data' must be an object, found ('x',)"),
        ({"without": "{'mae': 'arcade_v'}"}, "key 'without.mae' must be a valid tuple"),
        ({"title": "None"}, "key 'title' must be a valid string"),
        ({"jobs": "0"}, "key 'jobs' must be greater than or equal to 1, found 0"),
        ({"datasets": "('xcav-100pct',)"}, "key 'datasets.0': xcav-100pct: with all its labels"),
        ({"without": "{'mae': ('xcav-0pct',)}"}, "key 'without.mae.0': xcav-0pct: not a share of"),
        ({"only": "{'arcade': ('mae',)}"}, "key 'only': unknown dataset 'arcade'; did you mean"),
        ({"only": "{'stenosis': ('dert',)}"}, "unknown method 'dert'; did you mean 'detr'?"),
        ({"without": "{'dert': ('stenosis',)}"}, "unknown method 'dert'; did you mean 'detr'?"),
        ({"data": "{'stenosys': 'x'}"}, "unknown dataset 'stenosys'; did you mean 'stenosis'?"),
        ({"frames": "{'pack': 3}"}, "unknown dataset 'pack'; did you mean 'packs'?"),
        ({"finetune_options": "('label_fraction=0.5',)"}, "must not set label_fraction; name the"),
        ({"finetune_options": "('label_count=5',)"}, "must not set label_count; name the dataset"),
        ({"datasets": "('xcav-0images',)"}, "xcav-0images: not a number of labelled images"),
        ({"finetune_options": "('lora={}',)"}, "must not set lora; name the dataset, as in"),
        ({"only": "{'stenosis': 'detr'}"}, "key 'only.stenosis' must be a valid tuple"),
        ({"frames": "{'packs': 0}"}, "key 'frames.packs' must be greater than or equal to 1"),
        (
            {"finetune_options": "('batch_size=abc',)"},
            "key 'finetune_options': --cfg-options batch_size=abc: must be an integer of 1 or more",
        ),
        (
            {"pretrain_options": "('batch=4',)"},
            "key 'pretrain_options': --cfg-options batch: unknown key 'batch'; did you mean",
        ),
        ({"scale": "'huge'"}, "unknown scale 'huge'; known: paper, small, tiny, mini"),
        ({"title": "1 +"}, "not a config (SyntaxError"),
        ({"title": "other"}, "not a config (NameError: name 'other' is not defined)"),
    ],
)
def test_what_is_wrong_with_a_config_is_named(tmp_path, changes, message):
    path = write(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        read_matrix(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_method_has_cells_for_its_kind_of_task_only(tmp_path):
    matrix = read_matrix(write(tmp_path, methods="('mae', 'frangi', 'unet', 'detr', 'nlm')"))
    assert cells_of(matrix, CONFIGS) == [
        ("mae", "arcade_v"),
        ("mae", "stenosis"),
        ("frangi", "arcade_v"),
        ("unet", "arcade_v"),
        ("detr", "stenosis"),
    ]
    without = read_matrix(write(tmp_path, without="{'mae': ('arcade_v',)}"))
    assert ("mae", "arcade_v") not in cells_of(without, CONFIGS)


def test_label_shares_and_patches_are_datasets_of_their_own(tmp_path):
    """Cells for the methods of `only`; patches for those that have an encoder."""
    names = "('analysis-vit_l', 'mae', 'frangi', 'unet', 'dinov3', 'spt')"
    datasets = "('xcav', 'xcav-10pct', 'xcav-patches')"
    only = "{'xcav-10pct': ('unet', 'analysis-vit_l')}"
    cells = cells_of(
        read_matrix(write(tmp_path, methods=names, datasets=datasets, only=only)), CONFIGS
    )
    by_dataset = {name: [m for m, d in cells if d == name] for name in dict(cells).values()}
    assert by_dataset["xcav-10pct"] == ["analysis-vit_l", "unet"]
    encoders = ["analysis-vit_l", "mae", "dinov3", "spt"]
    assert [method for method, dataset in cells if dataset == "xcav-patches"] == encoders
    assert len([method for method, dataset in cells if dataset == "xcav"]) == 6
    for dataset, message in (
        ("stenosis-patches", "stenosis-patches: frozen features are compared with masks"),
        ("stenosis-linear", "stenosis-linear: frozen features are compared with masks"),
        ("xcab-10pct", "xcab: no such dataset in"),
    ):
        matrix = read_matrix(write(tmp_path, datasets=f"({dataset!r},)"))
        with pytest.raises(InputError, match=message):
            cells_of(matrix, CONFIGS)
    matrix = read_matrix(write(tmp_path, methods="('analysis-vit_m',)"))
    with pytest.raises(InputError, match=r"analysis-vit_m: no such config in .*'analysis-vit_l'"):
        cells_of(matrix, CONFIGS)


def test_the_boards_of_the_analyses_share_the_runs_of_the_main_boards():
    """Same folder, protocol, data and settings, so that equal ids are one record."""
    for main, analyses in (
        *(("journal", "ablations"), ("aaai", "aaai_ablations"), ("demo", "demo_ablations")),
        ("journal", "few_labels"),
    ):
        one, other = (read_matrix(CONFIGS / "leaderboard" / f"{n}.py") for n in (main, analyses))
        assert set(other.seeds) <= set(one.seeds)
        for key in ("protocol", "scale", "work", "packs", "title", "reference"):
            assert getattr(one, key) == getattr(other, key), (main, key)
        for key in ("pretrain_options", "segmentor_options", "finetune_options"):
            assert getattr(one, key) == getattr(other, key), (main, key)
        for key in ("data", "frames", "commands"):
            known = getattr(one, key)
            own = {k: v for k, v in getattr(other, key).items() if k in known}
            assert own == {k: known[k] for k in own}, (main, key)
        shared = set(cells_of(one, CONFIGS)) & set(cells_of(other, CONFIGS))
        assert len(shared) >= 3


def test_a_value_is_read_through_the_base_without_an_import():
    assert literal(CONFIGS / "downstream" / "arcade_v.py", "task") == "segmentation"
    assert literal(CONFIGS / "downstream" / "aaai" / "xcav.py", "protocol") == "aaai"
    assert literal(CONFIGS / "unet" / "encoder.py", "task") == "segmentation"
    assert literal(CONFIGS / "dinov3" / "encoder.py", "task") is None


def test_part_of_a_matrix_is_a_matrix(tmp_path):
    matrix = read_matrix(write(tmp_path))
    part = restrict(matrix, methods=["detr", "mae"], datasets=None, seeds=[1])
    assert (part.methods, part.datasets, part.seeds) == (("mae", "detr"), matrix.datasets, (1,))
    with pytest.raises(InputError, match="--seeds 7: not in m; known: 0, 1"):
        restrict(matrix, seeds=[7])


def test_optional_datasets_are_those_in_the_folder_of_the_run(tmp_path):
    path = write(tmp_path, optional="{'stenosis': '{work}/downstream/stenosis'}")
    matrix = read_matrix(path).model_copy(update={"work": str(tmp_path / "elsewhere")})
    assert without_missing(matrix).datasets == ("arcade_v",)
    (tmp_path / "elsewhere" / "downstream" / "stenosis").mkdir(parents=True)
    assert without_missing(matrix) == matrix
    with pytest.raises(InputError, match="dataset 'stenose'"):
        read_matrix(write(tmp_path, optional="{'stenose': 'x'}"))


def test_the_boards_of_the_papers_have_all_of_their_cells():
    """Counted in the tables: rows × datasets × seeds."""
    journal = read_matrix(CONFIGS / "leaderboard" / "journal.py")
    cells = cells_of(journal, CONFIGS)
    by_dataset = {name: sum(cell[1] == name for cell in cells) for name in journal.datasets}
    # 4 from scratch and 26 encoders, the filter on the plain vessel tasks; 2 detectors.
    assert by_dataset == {
        **dict.fromkeys(("arcade_v", "caxf", "xcav"), 31),
        **dict.fromkeys(("arcade_s", "arcade_vs"), 30),
        "stenosis": 28,
    }
    assert journal.seeds == (0, 1, 2, 3, 4)
    aaai = read_matrix(CONFIGS / "leaderboard" / "aaai.py")
    assert len(cells_of(aaai, CONFIGS)) == 3 * 12 + 12
    assert aaai.seeds == (0, 1, 2)
    assert aaai.folder != journal.folder


def test_every_method_of_the_benchmark_is_on_the_journal_board_or_says_why_not():
    rows = set(read_matrix(CONFIGS / "leaderboard" / "journal.py").methods)
    others = {card.method for card in read_method_cards()} - rows
    # Other thresholds of the same filter, models for denoising, and what `quick` compares with.
    assert others == {"frangi_50", "frangi_80", "nlm", "dncnn", "random"}


def test_the_quick_matrix_has_every_encoder_on_frozen_columns_alone():
    quick = read_matrix(CONFIGS / "leaderboard" / "quick.py")
    journal = read_matrix(CONFIGS / "leaderboard" / "journal.py")
    encoders = {method for method in journal.methods if has_encoder(method, CONFIGS)}
    assert set(quick.methods) == encoders | {"random"}
    kinds = {parse_dataset_id(name).kind for name in quick.datasets}
    assert kinds == {"linear", "knn"}
    assert len(cells_of(quick, CONFIGS)) == len(quick.methods) * len(quick.datasets)


def test_every_run_of_the_analyses_is_in_a_matrix():
    names = ("ablations", "aaai_ablations", "reference")
    boards = [read_matrix(CONFIGS / "leaderboard" / f"{name}.py") for name in names]
    rows = {name for board in boards for name in board.methods if name.startswith(ANALYSIS)}
    assert rows == {ANALYSIS + path.stem for path in (CONFIGS / "analysis").glob("*.py")}


def test_an_answer_is_remembered_until_something_changes(tmp_path):
    configs = tmp_path / "configs"
    for name in ("mae", "frangi", "detr", "downstream", "_base_"):
        shutil.copytree(CONFIGS / name, configs / name)
    request = request_for(read_matrix(write(tmp_path)), configs)
    asked: list[dict[str, Any]] = []

    def ask(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request)
        return {"number": len(asked)}

    cache = tmp_path / "cache.json"
    assert cached(cache, write=False, ask=ask)(request) == {"number": 1}
    assert not cache.exists()
    resolver = cached(cache, write=True, ask=ask)
    assert resolver(request) == resolver(request) == {"number": 2}
    assert resolver({**request, "seeds": [5]}) == {"number": 3}
    assert resolver(request) == {"number": 2}
    config = configs / "_base_" / "segmentation.py"
    config.touch()
    assert resolver(request) == {"number": 2}
    config.write_text(config.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    assert resolver(request) == {"number": 4}
    cache.write_text("{", encoding="utf-8")
    assert resolver(request) == {"number": 5}


def test_an_answer_depends_on_the_configs_of_the_current_folder(tmp_path, monkeypatch):
    """Which add to those of the package."""
    monkeypatch.chdir(tmp_path)
    for name in ("ours/pretrain.py", "downstream/mine.py"):
        Path("configs", name).parent.mkdir(parents=True)
        Path("configs", name).write_text("task = 'segmentation'\n", encoding="utf-8")
    answers = iter(range(9))
    cache = tmp_path / "cache.json"
    resolver = cached(cache, write=True, ask=lambda _: {"number": next(answers)})
    request = {"configs": str(CONFIGS)}
    assert resolver(request) == resolver(request) == {"number": 0}
    for number, name in enumerate(("ours/pretrain.py", "downstream/mine.py"), 1):
        Path("configs", name).write_text("task = 'detection'\n", encoding="utf-8")
        assert resolver(request) == resolver(request) == {"number": number}


@pytest.mark.slow
def test_the_cells_are_those_that_fine_tuning_accepts(tmp_path):
    """Its own rule, asked of every method on one dataset of each kind."""
    from benchmark.downstream.compose import compose

    methods = [card.method for card in read_method_cards()]
    datasets = ("synthetic_v", "synthetic_d", "synthetic_n")
    matrix = read_matrix(write(tmp_path, methods=str(methods), datasets=str(datasets)))
    cells = set(cells_of(matrix, CONFIGS))
    for method, dataset in itertools.product(methods, datasets):
        if (method, dataset) in cells:
            compose(CONFIGS, method, dataset, "tiny", [], tmp_path)
        else:
            with pytest.raises(InputError, match="a model for"):
                compose(CONFIGS, method, dataset, "tiny", [], tmp_path)
