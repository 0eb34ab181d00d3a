"""Options that cannot be: refused by every tool that has them, before torch is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

FINETUNE = ("finetune.py", "--method", "mae", "--dataset", "synthetic_v", "--scale", "tiny")
TRAIN = ("train.py", "configs/mae/pretrain.py", "--scale", "tiny")


NUMBERS = [
    ((*FINETUNE, "--seed", "-1"), "--seed: '-1' is not an integer from 0 to 4294967295"),
    ((*FINETUNE, "--seed", "0", "4294967296"), "--seed: '4294967296' is not an integer"),
    ((*FINETUNE, "--seed", "one"), "--seed: 'one' is not an integer"),
    ((*FINETUNE, "--label-fraction", "0"), "'0' is not a number above 0 and at most 1"),
    ((*FINETUNE, "--label-fraction", "nan"), "'nan' is not a number above 0"),
    ((*TRAIN, "--seed", "-1"), "--seed: '-1' is not an integer from 0"),
    ((*TRAIN, "--seed", "0.5"), "--seed: '0.5' is not an integer from 0"),
    ((*TRAIN, "--check", "0"), "--check: '0' is not an integer of 1 or more"),
    (("matrix.py", "status", "x.py", "--seeds", "-1"), "--seeds: '-1' is not an integer"),
    (("matrix.py", "run", "x.py", "--jobs", "0"), "--jobs: '0' is not an integer of 1 or"),
    (("make_raw.py", "xcad", "--out", "x", "--seed", "-1"), "--seed: '-1' is not an integer"),
    (("make_raw.py", "xcad", "--out", "x", "--size", "0"), "--size: '0' is not an integer"),
]
SETTINGS = [
    ((*FINETUNE, "--cfg-options", "batch_size=abc"), "batch_size=abc: must be an integer of"),
    (
        (*FINETUNE, "--print-config", "--cfg-options", "batch_size=abc"),
        "batch_size=abc: must be an integer of 1 or more",
    ),
    ((*FINETUNE, "--cfg-options", "compile=True"), "unknown key 'compile'"),
    ((*FINETUNE, "--cfg-options", "seed=-1"), "seed=-1: must be an integer from 0 to"),
    ((*TRAIN, "--cfg-options", "batch_size=abc"), "batch_size=abc: must be an integer of 1"),
    (
        (*TRAIN, "--print-config", "--cfg-options", "epochs=3", "seed=-1"),
        "seed=-1: must be an integer from 0 to 4294967295",
    ),
    ((*TRAIN, "--cfg-options", "epoch=3"), "unknown key 'epoch'; did you mean 'epochs'?"),
    (("bench.py", "step", "--cfg-options", "seed=-1"), "seed=-1: must be an integer"),
    (("bench.py", "finetune", "--cfg-options", "examples=-1"), "examples=-1: must be an"),
    (("bench.py", "pretrain", "--mae-options", "base_lr=0"), "base_lr=0: must be a number"),
    (
        ("check.py", "method", "configs/mae/pretrain.py", "--cfg-options", "batch_size=0"),
        "batch_size=0: must be an integer of 1 or more",
    ),
]


def test_numbers_out_of_range(light_answers):
    answers = light_answers(*(command for command, _ in NUMBERS))
    for (_, message), answer in zip(NUMBERS, answers, strict=True):
        assert message in answer.refusal


def test_settings_that_do_not_fit(light_answers):
    answers = light_answers(*(command for command, _ in SETTINGS))
    for (_, message), answer in zip(SETTINGS, answers, strict=True):
        assert answer.refusal.startswith("error: --cfg-options ")
        assert message in answer.refusal


def test_missing_inputs_and_blocked_outputs(light_answers, tmp_path):
    """Before the libraries are loaded, and long before a record has to be written."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    empty, file = str(tmp_path / "empty"), str(tmp_path / "file")
    refused = {
        (*TRAIN, "--packs", empty): "empty: not a pack (manifest.json is missing); make one with",
        ("extract_anatomy.py", "gone"): "gone: no such folder; make the pack with",
        ("check.py", "leakage", "--pretrain", "gone", "--test", file): "gone: no such folder; make",
        ("extract_anatomy.py", empty): "empty: not a pack (manifest.json is missing); make one",
        ("convert_checkpoint.py", "mea_imagenet", file): "mea_imagenet: no released encoder; known",
        ("convert_checkpoint.py", "mae_imagenet", "gone"): "gone: no such file",
        (*TRAIN, "--load-from", "{work}/gone"): "{work}/gone: no such file to load from",
        (
            *("export_encoder.py", empty, "--out", "out"),
        ): "empty: no encoder (encoder.json is missing); name a folder that tools/train.py",
        **{
            (*words, "--results", file): "file: a file stands where a folder is needed"
            for words in (
                FINETUNE,
                ("evaluate.py", "knn", "--method", "mae", "--dataset", "dca1"),
                ("analyse.py", "representations", "--method", "mae", "--dataset", "dca1"),
            )
        },
        (
            *("finetune.py", "--encoder", empty, "--dataset", "dca1"),
        ): "empty: no encoder (encoder.json is missing); name a folder that tools/train.py",
    }
    for answer, message in zip(light_answers(*refused), refused.values(), strict=True):
        assert message in answer.refusal


def test_leaderboard_is_the_package_for_every_tool() -> None:
    """Whether or not the project is installed, and beside a tool of the same name."""
    tools = str(ROOT / "tools")
    for installed in ([], [str(ROOT)]):
        code = (
            f"import sys; sys.path[:1] = {[tools, *installed]}; import _cli, leaderboard.analyses"
        )
        subprocess.run([sys.executable, "-I", "-c", code], cwd="/", check=True)
