"""Configs: what is known, what is swapped by a scale, what is refused, and the way back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmark.errors import InputError
from benchmark.method_cards import CONFIGS
from benchmark.results import config_hash
from benchmark.training.config import config_differences, from_plain, load_config, to_plain
from benchmark.training.config_keys import FINETUNE_KEYS, FINETUNE_NEEDS
from methods.vasomim import VasoMIM

ROOT = Path(__file__).resolve().parents[3]
VASOMIM = ROOT / "configs" / "vasomim" / "pretrain.py"


def test_paper_scale_is_the_published_recipe():
    """The numbers of the papers' scripts, read off the resolved config."""
    config = load_config(VASOMIM)
    assert (config.epochs, config.batch_size, config.base_lr) == (800, 2048, 1.5e-4)
    assert config.schedule.warmup_epochs == 40
    assert config.optimizer.betas == (0.9, 0.95)
    assert config.optimizer.weight_decay == 0.05
    masking = config.method.masking
    assert (masking.ratio, masking.eta, masking.beta_start, masking.beta_end) == (0.5, 0.5, 0, 0.5)
    encoder = config.method.encoder
    assert (encoder.embed_dim, encoder.depth, encoder.num_heads) == (768, 12, 12)
    assert (config.method.decoder.width, config.method.decoder.depth) == (512, 8)
    v1 = load_config(ROOT / "configs" / "vasomim_v1" / "pretrain.py")
    changed = [
        line for line in config_differences(to_plain(config), to_plain(v1)) if "card" not in line
    ]
    assert changed == ["method.masking.eta: 0.5 → 1.0"]


def test_scale_swaps_sizes_and_nothing_else():
    """Masking, objective, optimiser and weights of the tiny config are those of the paper."""
    paper, tiny = to_plain(load_config(VASOMIM)), to_plain(load_config(VASOMIM, "tiny"))
    changed = {line.partition(":")[0] for line in config_differences(paper, tiny)}
    sizes = ("method.encoder.", "method.decoder.", "method.views.size", "schedule.warmup_epochs")
    run = {"epochs", "batch_size", "lr_batch", "log_interval", "num_workers", "checkpoint_interval"}
    run |= {"micro_batch", "num_threads", "default_hooks.probe.spacing"}
    assert all(key in run or key.startswith(sizes) for key in changed)
    assert tiny["method"]["views"]["size"] == tiny["method"]["encoder"]["img_size"] == 96


def test_options_reach_nested_and_unwritten_arguments():
    """A key may be in the config, or be an argument of the class that is configured."""
    config = load_config(VASOMIM, "tiny", ["epochs=7", "method.encoder.drop_path=0.1"])
    assert config.epochs == 7
    assert config.method.encoder.drop_path == 0.1


def test_missing_config_and_unknown_scale():
    """The other two ways to name something that is not there."""
    with pytest.raises(InputError, match=r"nowhere\.py: no such config"):
        load_config("nowhere.py")
    with pytest.raises(InputError, match="not one of paper, small, tiny, mini"):
        load_config(VASOMIM, "huge")


def test_a_scale_of_another_one_has_its_sizes_but_for_its_own():
    """The table's and those of single configs: `dino` sets its head for scale tiny only."""
    tiny, mini = (load_config(CONFIGS / "dino" / "pretrain.py", name) for name in ("tiny", "mini"))
    assert (tiny.epochs, mini.epochs) == (10, 10)
    assert (tiny.batch_size, mini.batch_size) == (16, 64)
    assert (tiny.method.encoder.embed_dim, mini.method.encoder.embed_dim) == (96, 128)
    assert tiny.method.head == mini.method.head
    assert (tiny.method.views.local_count, mini.method.views.local_count) == (2, 2)
    temperature = [config.method.teacher_temperature for config in (tiny, mini)]
    assert [ramp.epochs for ramp in temperature] == [3, 3]
    # Its own come first.
    assert [ramp.end for ramp in temperature] == [0.07, 0.04]
    assert [config.method.views.scale for config in (tiny, mini)] == [(0.25, 1.0), (0.4, 1.0)]
    # Of DINO, not of the method that starts from its config.
    ibot = [load_config(CONFIGS / "ibot" / "pretrain.py", name) for name in ("tiny", "mini")]
    assert ibot[0].method.views == ibot[1].method.views
    path = CONFIGS / "downstream" / "synthetic_v.py"
    own = [
        load_config(path, n, known=FINETUNE_KEYS, needed=FINETUNE_NEEDS) for n in ("tiny", "mini")
    ]
    assert [config.epochs for config in own] == [15, 15]
    assert [config.protocol for config in own] == ["demo", "mini"]


def test_plain_and_back(small_config):
    """A config survives the way through JSON values: same classes, same arguments."""
    config = small_config("vasomim")
    back = from_plain(to_plain(config))
    assert back["method"]["type"] is VasoMIM
    assert to_plain(back) == to_plain(config)


def test_own_sizes_of_a_config(tmp_path):
    """`scales` brings sizes for parts the table does not know."""
    path = tmp_path / "pretrain.py"
    path.write_text(
        "from benchmark.nn.vit import VisionTransformer\n"
        "epochs = 800\n"
        "method = dict(type=VisionTransformer, depth=12, mlp_ratio=4.0)\n"
        "scales = dict(tiny={'method.mlp_ratio': 2.0})\n"
    )
    config = load_config(path, "tiny")
    assert (config.method.depth, config.method.mlp_ratio) == (4, 2.0)
    assert "scales" not in config
    assert load_config(path).method.mlp_ratio == 4.0


def test_own_sizes_by_class(tmp_path):
    """Every part of that class changes, in lists as well, whatever the table says."""
    path = tmp_path / "pretrain.py"
    text = (
        "from benchmark.nn.decoders.mae import MAEDecoder\n"
        "from benchmark.nn.vit import VisionTransformer\n"
        "method = dict(\n"
        "    encoder=dict(type=VisionTransformer, depth=12, mlp_ratio=4.0),\n"
        "    others=[dict(type=MAEDecoder), dict(type=VisionTransformer, depth=6)],\n"
        ")\n"
    )
    path.write_text(text + "scales = dict(tiny={'VisionTransformer.depth': 3})\n")
    method = load_config(path, "tiny").method
    decoder, other = method.others
    assert (method.encoder.depth, method.encoder.mlp_ratio, other.depth) == (3, 4.0, 3)
    assert (method.encoder.embed_dim, decoder.depth) == (96, 2)
    assert load_config(path).method.others[1].depth == 6
    for key, message in (
        ("VisionTransformers.depth", "no part of class VisionTransformers; did you mean 'Vision"),
        ("VisionTransformer.dept", "unknown key 'dept'; did you mean 'depth'"),
    ):
        path.write_text(text + f"scales = dict(tiny={{{key!r}: 3}})\n")
        with pytest.raises(InputError) as error:
            load_config(path, "tiny")
        assert str(error.value).startswith(f"{path}: scales['tiny'][{key!r}]: {message}")


def test_names_that_a_library_looks_up_stay_names():
    content = {"type": "torch.nn.Linear", "norm_cfg": {"type": "BN1d"}}
    assert from_plain(content) == {"type": torch.nn.Linear, "norm_cfg": {"type": "BN1d"}}


CLASSIC = """
_base_ = [{base!r}]
card = {card!r}
anatomy = True
method = dict(
    type="VasoMIM",
    masking=dict(type="AnatomyGuidedMasking", ratio=0.5, eta=0.5, beta_start=0.0, beta_end=0.5),
    objective=dict(type="PixelReconstruction", normalise=True),
    segmentor=dict(
        type="FrozenSegmentor",
        network=dict(type="UNeXt"),
        checkpoint="{{work}}/segmentor/unext_s/segmentor.safetensors",
    ),
    consistency=dict(type="AnatomicalConsistency", metric="ce"),
)
"""
CLASSIC_BASE = """
_base_ = {runtime!r}
epochs = 800
batch_size = 2048
micro_batch = 256
base_lr = 1.5e-4
lr_batch = 256
optimizer = dict(type="AdamW", betas=(0.9, 0.95), weight_decay=0.05)
schedule = dict(type="WarmupCosine", warmup_epochs=40)
frames = None
method = dict(
    views=dict(type="SingleView", size=224, scale=(0.2, 1.0), ratio=(3 / 4, 4 / 3), flip=0.5),
    encoder=dict(
        type="VisionTransformer", img_size=224, patch_size=16, embed_dim=768, depth=12, num_heads=12
    ),
    decoder=dict(type="MAEDecoder", width=512, depth=8, num_heads=16),
)
"""


@pytest.mark.parametrize("base", ["pure-Python", "classic"])
@pytest.mark.parametrize("scale", ["paper", "tiny"])
def test_a_classic_config_is_the_same_config(base, scale, tmp_path):
    """Names for classes, `_base_` for `read_base`: the same values at every scale, and one hash."""
    pure = load_config(VASOMIM, scale)
    bases = ROOT / "configs" / "_base_"
    if base == "pure-Python":
        file = str(bases / "mim.py")
    else:
        file = "classic_base.py"
        text = CLASSIC_BASE.format(runtime=str(bases / "pretraining.py"))
        (tmp_path / file).write_text(text, encoding="utf-8")
    path = tmp_path / "classic.py"
    path.write_text(CLASSIC.format(base=file, card=dict(pure.card)), encoding="utf-8")
    classic = load_config(path, scale)
    assert classic.method.type is VasoMIM
    assert config_differences(to_plain(pure), to_plain(classic)) == []
    assert config_hash(to_plain(pure)) == config_hash(to_plain(classic))


def test_a_classic_config_is_checked_like_any_other(tmp_path):
    path = tmp_path / "classic.py"
    path.write_text("_base_ = 'gone.py'\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"gone\.py: no such config"):
        load_config(path)
    path.write_text("_base_ = []\nmethod = dict(type='VasoMIM', maskin=1)\n", encoding="utf-8")
    with pytest.raises(InputError, match="unknown key 'maskin'; did you mean 'masking'"):
        load_config(path)
