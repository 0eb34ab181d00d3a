"""Settings: the types and ranges of all keys, in files, options and whole configs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmark.downstream.compose import compose
from benchmark.errors import InputError
from benchmark.training.config import load_config
from benchmark.training.config_keys import (
    FINETUNE_KEYS,
    METHOD_KEYS,
    PRETRAIN_KEYS,
    PRETRAIN_NEEDS,
    read_option,
)
from benchmark.type_hints import fits

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = ROOT / "configs"
MAE = CONFIGS / "mae" / "pretrain.py"

# Key → values that are taken, values that are not; None means None.
VALUES: dict[str, tuple[list[Any], list[Any]]] = {
    "seed": ([0, 2**32 - 1], [-1, 2**32, 1.5, "a", None]),
    "epochs": ([0, 1], [-3, 1.5, "a"]),
    "batch_size": ([1], [0, -1, 2.0, "abc", True, None]),
    "micro_batch": ([1, None], [0, "a"]),
    "base_lr": ([1, 1e-4], [0, -1e-4, "fast", True, None]),
    "lr_batch": ([256, None], [0, -1, 0.5]),
    "undecayed": ([[], ("a", "b")], ["a", [1]]),
    "decay_biases": ([True], [0, "no"]),
    "clip_grad": ([{"max_norm": 1.0}, None], [1.0, "a"]),
    "packs": ([["a"]], ["a", 3]),
    "frames": ([100, None], [0, -5, 0.5]),
    "anatomy": ([True, False, "if present"], ["maybe", 1]),
    "resident": ([True, "auto"], ["yes", 0]),
    "num_workers": ([0, 4], [-1, 0.5]),
    "num_threads": ([0, 4], [-1, "all"]),
    "precision": (["bf16", "fp32"], ["fp16", 16, None]),
    "compile": ([True], ["True", 1]),
    "env_cfg": (
        [{}, {"cudnn_benchmark": True}, {"deterministic": False}],
        [{"cudnn_benchmark": 1}, {"dist_cfg": {}}, True, None],
    ),
    "log_interval": ([1], [0, -1]),
    "checkpoint_interval": ([1], [0]),
    "keep_checkpoints": ([0, 1], [-1]),
    "layer_decay": ([1, 0.75], [0, 1.5, -0.5]),
    "label_fraction": ([1, 0.1], [0, 1.1]),
    "label_count": ([1, None], [0, 2.5]),
    "metrics": ([["dsc"], ("dsc", "cldice")], ["dsc", [1]]),
    "label_map": ([True], [1]),
    "examples": ([0, 4], [-1]),
    "export_model": ([True], [1, "yes"]),
    "score_at": (["native", "network"], ["other"]),
    "protocol": (["journal"], [1, None]),
}


WHOLE = """
card = dict(title="Mine")
method = dict()
seed = 0
epochs = 1
batch_size = 8
micro_batch = None
base_lr = 1e-3
lr_batch = None
optimizer = dict()
schedule = dict()
clip_grad = None
packs = ["a"]
anatomy = False
num_workers = 0
num_threads = 0
precision = "fp32"
log_interval = 1
checkpoint_interval = 1
keep_checkpoints = 1
"""


def test_only_a_pre_training_may_have_no_epochs():
    assert fits(0, PRETRAIN_KEYS["epochs"])
    assert not fits(0, FINETUNE_KEYS["epochs"])


def test_what_each_key_takes():
    known = {**METHOD_KEYS, **FINETUNE_KEYS, **PRETRAIN_KEYS}
    for key, (good, bad) in VALUES.items():
        assert [value for value in good if not fits(value, known[key])] == [], key
        assert [value for value in bad if fits(value, known[key])] == [], key


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("batch_size=8", 8),
        ("base_lr=1", 1),
        ("base_lr=1e-3", 1e-3),
        ("lr_batch=None", None),
        ("anatomy=if present", "if present"),
        ("anatomy='if present'", "if present"),
        ("packs=['a','b']", ["a", "b"]),
        ("packs=('a',)", ("a",)),
        ("load_from=12", "12"),  # a folder may be called so
        ("load_from=a=b", "a=b"),
        ("method.masking.ratio=5", 5),  # what lies deeper only the config knows
    ],
)
def test_options_are_read(option, expected):
    key, value, text = read_option(option, PRETRAIN_KEYS)
    assert (key, text) == (option.partition("=")[0], option.partition("=")[2])
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("batch_size=abc", "batch_size=abc: must be an integer of 1 or more"),
        ("batch_size=0", "batch_size=0: must be an integer of 1 or more"),
        ("batch_size=2.5", "batch_size=2.5: must be an integer of 1 or more"),
        ("batch_size=", "batch_size=: must be an integer of 1 or more"),
        ("seed=-1", "seed=-1: must be an integer from 0 to 4294967295"),
        ("base_lr=1e999", "base_lr=1e999: must be a number above 0"),
        ("precision=fp16", "precision=fp16: must be 'bf16' or 'fp32'"),
        ("compile=true", "compile=true: must be True or False"),
        ("packs=frames", "packs=frames: must be a list of texts"),
        ("batch=3", "batch: unknown key 'batch'; did you mean 'lr_batch'?"),
        ("metod.masking.ratio=0.5", "metod.masking.ratio: unknown key 'metod'; did you mean"),
        ("epochs", "epochs: write it as key=value"),
        ("epochs=" + "(" * 500, "must be an integer of 0 or more"),
    ],
)
def test_options_that_do_not_fit(option, message):
    """Where they are read, and so in every tool; a config says the same."""
    for read in (
        lambda: read_option(option, PRETRAIN_KEYS),
        lambda: load_config(MAE, "tiny", [option]),
    ):
        with pytest.raises(InputError) as error:
            read()
        assert str(error.value).startswith("--cfg-options ")
        assert message in str(error.value)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("method.masking.ratio=abc", "must be a number from 0 to 1"),
        ("method.masking.ratio=1.5", "must be a number from 0 to 1"),
        ("method.encoder.embed_dim=48.0", "must be an integer of 1 or more"),
        ("method.encoder.layer_scale=big", "must be a number or None"),
        ("method.encoder.img_size=(96,64)", "must be an integer of 1 or more"),
        ("method.encoder=VisionTransformer", "must be a Module or a dictionary of values"),
        ("method.encoder.typ=3", "unknown key 'typ'; did you mean 'type'?"),
        ("method.maskin.ratio=0.5", "unknown key 'maskin'; did you mean 'masking'?"),
        ("method.masking.ration=0.5", "unknown key 'ration'; did you mean 'ratio'?"),
        ("epochs.x=1", "epochs is a value, not a group of keys"),
        ("packs.3=x", "packs has items 0 to 0"),
        ("method.encoder.type=VisionTransformer", "only a config file can name another class"),
        ("method.views.scale=0.5", "must be 2 numbers"),
        ("method.views.size=-1", "must be an integer of 1 or more"),
        ("method.views.flip=1.5", "must be a number from 0 to 1"),
        ("method.decoder.depth=0", "must be an integer of 1 or more"),
        ("optimizer.weight_decay=heavy", "must be a number"),
        ("optimizer.betas=(0.9,)", "must be 2 values"),
        ("card.title=None", None),
        ("card.title=5", None),
        ("optimizer.betas=[0.9,0.99]", None),
        ("method.views.flip=1", None),
        ("method.encoder.layer_scale=None", None),
    ],
)
def test_arguments_of_parts(option, message):
    """By the hints of their classes; where there are none, by the value that is there."""
    if message is None:
        load_config(MAE, "tiny", [option])
        return
    with pytest.raises(InputError) as error:
        load_config(MAE, "tiny", [option])
    what = option if message.startswith("must") else option.partition("=")[0]
    assert str(error.value) == f"--cfg-options {what}: {message}"


def test_a_text_where_a_text_is_wanted():
    assert load_config(MAE, "tiny", ["card.title=2024"]).card.title == "2024"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("model.decode_head.threshold=high", "must be a number or a list or None"),
        ("model.decode_head.widths=wide", "must be a list of integers"),
        ("train_pipeline.2.scale=big", "must be a number or a list or None"),
        ("train_pipeline.2.keep_ratio=maybe", "must be True or False or None"),
        ("model.neck=None", None),
        ("train_pipeline.2.scale=224", None),
        ("compile=True", "unknown key 'compile'"),
        ("label_fraction=0", "must be a number above 0 and at most 1"),
        ("decay_biases=True", None),  # known, though the config leaves it at its default
    ],
)
def test_options_of_fine_tuning(option, message, tmp_path):
    def read() -> None:
        compose(CONFIGS, "mae", "synthetic_v", "tiny", [option], tmp_path)

    if message is None:
        read()
        return
    with pytest.raises(InputError, match="--cfg-options ") as error:
        read()
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("batch_size = '32'", "batch_size='32' must be an integer of 1 or more"),
        ("batch_size = 0", "batch_size=0 must be an integer of 1 or more"),
        ("seed = -1", "seed=-1 must be an integer from 0 to 4294967295"),
        ("base_lr = float('nan')", "base_lr=nan must be a number above 0"),
        ("packs = 'frames'", "packs='frames' must be a list of texts"),
        ("method = 'MAE'", "method='MAE' must be a dictionary"),
        (
            "method = dict(type=VisionTransformer, embed_dim=48.0)",
            "method.embed_dim=48.0 must be an integer of 1 or more",
        ),
        (
            "method = dict(encoder=dict(type=VisionTransformer, embed_dims=48))",
            "method.encoder.embed_dims: unknown key 'embed_dims'; did you mean 'embed_dim'?",
        ),
        (
            "optimizer = dict(type=AdamW, weight_deacy=0.05)",
            "optimizer.weight_deacy: unknown key 'weight_deacy'; did you mean 'weight_decay'?",
        ),
        (
            "scales = dict(tiny={'method.maskin': 1})\nmethod = dict(masking=1)",
            "unknown key 'maskin'; did you mean 'masking'?",
        ),
        ("epochs = = 3", "not a config (invalid syntax (pretrain.py, line 3))"),
        ("epoch = 3", "unknown key 'epoch'; did you mean 'epochs'?"),
        (
            "from benchmark.nn.vit import NoSuchClass\nmethod = dict(type=NoSuchClass)",
            "NoSuchClass",
        ),
        ("from benchmark.nowhere import X\nmethod = dict(type=X)", "benchmark.nowhere"),
        # Whatever fails.
        ("epochs = 1 / 0", "not a config (ZeroDivisionError: division by zero)"),
        ("epochs = [][3]", "not a config (IndexError: list index out of range)"),
        ("raise SystemError", "not a config (SystemError: SystemError)"),
    ],
)
def test_values_in_the_file(content, message, tmp_path):
    """The file is named, whatever class takes the value in the end."""
    path = tmp_path / "pretrain.py"
    imports = "from torch.optim import AdamW\nfrom benchmark.nn.vit import VisionTransformer\n"
    path.write_text(imports + content + "\n")
    with pytest.raises(InputError) as error:
        load_config(path, "tiny" if "scales" in content else "paper")
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)


def test_a_recipe_of_a_method_is_checked(tmp_path):
    """What a method sets in place of a dataset's own settings."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (tmp_path / "downstream").symlink_to(CONFIGS / "downstream")
    (tmp_path / "_base_").symlink_to(CONFIGS / "_base_")
    (mine / "encoder.py").write_text(
        "card = dict(title='M', family='f', paper='p', pretraining='-')\n"
        "task = 'segmentation'\ntraining = dict(base_lr='fast')\n"
    )
    with pytest.raises(InputError, match="mine: training: base_lr='fast' must be a number above 0"):
        compose(tmp_path, "mine", "synthetic_v", "tiny", [], tmp_path)


@pytest.mark.parametrize("key", PRETRAIN_NEEDS)
def test_a_key_that_is_missing_is_named(key, tmp_path):
    """Not in a traceback of whoever looks for it first."""
    path = tmp_path / "pretrain.py"
    content = "\n".join(
        line for line in WHOLE.splitlines() if not line.startswith(key.partition(".")[0])
    )
    path.write_text(WHOLE)
    load_config(path, needed=PRETRAIN_NEEDS)
    path.write_text(content)
    with pytest.raises(InputError) as error:
        load_config(path, needed=PRETRAIN_NEEDS)
    assert str(error.value) == f"{path}: without {key!r}, which every run needs"
    path.write_text(content + "\ncard = dict(paper='p')")
    if key == "card.title":
        with pytest.raises(InputError, match=r"without 'card\.title'"):
            load_config(path, needed=PRETRAIN_NEEDS)
