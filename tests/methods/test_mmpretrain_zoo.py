"""mmpretrain's algorithms on our packs and views, and its MAE as a witness for ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.models.heads import MAEPretrainHead
from mmpretrain.models.losses import PixelReconstructionLoss
from mmpretrain.models.necks import MAEPretrainDecoder
from mmpretrain.models.selfsup import MAE as TheirMAE
from mmpretrain.models.selfsup.mae import MAEViT
from mmpretrain.models.selfsup.maskfeat import HOGGenerator

from benchmark.checks.contract import CHECKS, BrokenContract, ContractTrial, prepare
from benchmark.data.views.single import SingleView
from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.method_cards import CONFIGS
from benchmark.nn.decoders.mae import MAEDecoder
from benchmark.nn.masking.random import RandomMasking
from benchmark.nn.objectives.pixels import PixelReconstruction
from benchmark.nn.state_dict_names import Rules, translate
from benchmark.nn.vit import VisionTransformer
from benchmark.training.config import fill_paths, load_config
from benchmark.training.train import assemble
from methods.mae import MAE
from methods.mmpretrain_zoo import BACKBONE_NAMES, LARS, MMPretrain

CONFIGURED = sorted(path.stem for path in (CONFIGS / "mmpretrain").glob("*.py"))
# The library's own gradients over several processes are not those of one; see the docstring.
CHECKED = [name for name in CHECKS if name != "two processes equal one"]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("zoo")


def trial(name: str, work: Path) -> ContractTrial:
    config = load_config(CONFIGS / "mmpretrain" / f"{name}.py", "tiny")
    fill_paths(config, work)
    prepare(config, work)
    return ContractTrial(config, work / name)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGURED)
def test_algorithms_satisfy_the_contract_on_one_process(name: str, work: Path) -> None:
    attempt = trial(name, work)
    for check in CHECKED:
        try:
            assert CHECKS[check](attempt)
        except BrokenContract as error:
            pytest.fail(f"{name}: {check}: {error}")


@torch.no_grad()
@pytest.mark.parametrize("name", CONFIGURED)
def test_exported_encoder_matches_the_backbone(name: str, work: Path) -> None:
    method = assemble(trial(name, work).config).method.eval()
    encoder = method.exports()["encoder"].eval()
    image = torch.randn(2, 3, encoder.img_size, encoder.img_size)
    backbone = method.algorithm.backbone
    theirs = backbone(image, None) if name == "maskfeat" else backbone(image)
    if name == "maskfeat":
        torch.testing.assert_close(encoder(image), theirs[0], rtol=1e-5, atol=1e-5)
    else:
        torch.testing.assert_close(encoder.feature_maps(image)[-1], theirs[-1])


def test_masks_reach_the_library_unchanged(work: Path) -> None:
    parts = assemble(trial("maskfeat", work).config)
    method: MMPretrain = parts.method.eval()
    progress = Progress(steps_per_epoch=3)
    views = method.views(next(iter(parts.loader)))["views"]
    mask = method.masking(views, progress).mask
    latent = method.algorithm.backbone(views["image"], mask.bool())
    predicted = method.algorithm.neck((latent.flatten(0, 1),))[0].unflatten(0, latent.shape[:2])
    target = method.algorithm.target_generator(views["image"])
    error = (predicted[:, 1:] - target).square().mean(dim=2)
    expected = (error * mask).sum() / mask.sum()
    found = method.loss(views, progress)["loss"]
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_histograms_are_not_rounded_under_autocast(work: Path, dtype: torch.dtype) -> None:
    """The targets of MaskFeat are those of the library's generator in float32, to the last bit."""
    method = assemble(trial("maskfeat", work).config).method
    target = method.algorithm.target_generator
    image = torch.randn(2, 3, 112, 112, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = HOGGenerator(target.nbins, target.pool, target.gaussian_window)(image.float())
    with torch.autocast("cpu", torch.bfloat16):
        found = target(image)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_mismatched_backbone_is_refused(work: Path) -> None:
    config = trial("simclr", work).config
    config.method.encoder.layers = (2, 2, 2, 3)
    method = assemble(config).method
    with pytest.raises(InputError, match=r"6 missing \(first: layer4\.2|missing \(first: layer4"):
        method.exports()
    config = trial("simclr", work).config
    config.method.names = "vit"
    with pytest.raises(InputError, match="no rule for the name"):
        assemble(config).method.exports()


def test_lars_adapts_weights_but_not_biases() -> None:
    """One step by hand: η‖w‖/(‖g‖ + λ‖w‖) where there is decay, 1 where there is none."""
    weight, bias = torch.nn.Parameter(torch.tensor([3.0, 4.0])), torch.nn.Parameter(torch.ones(1))
    groups = [
        {"params": [weight], "weight_decay": 0.1},
        {"params": [bias], "weight_decay": 0.0},
    ]
    optimizer = LARS(groups, lr=0.5, momentum=0.9)
    weight.grad, bias.grad = torch.tensor([0.6, 0.8]), torch.tensor([2.0])
    optimizer.step()
    local = 0.001 * 5 / (1 + 0.1 * 5 + 1e-8)
    before = np.array([3.0, 4.0])
    expected = before - 0.5 * local * (np.array([0.6, 0.8]) + 0.1 * before)
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-6)
    assert bias.item() == pytest.approx(1 - 0.5 * 2)


DECODER_NAMES: Rules = (
    (r"(decoder_embed\.|mask_token|decoder_pos_embed|decoder_pred\.)", r"\1"),
    (r"decoder_blocks\.(\d+)\.ln1\.", r"decoder_blocks.\1.norm1."),
    (r"decoder_blocks\.(\d+)\.ln2\.", r"decoder_blocks.\1.norm2."),
    (r"decoder_blocks\.(\d+)\.attn\.", r"decoder_blocks.\1.attn."),
    (r"decoder_blocks\.(\d+)\.ffn\.layers\.0\.0\.", r"decoder_blocks.\1.mlp.fc1."),
    (r"decoder_blocks\.(\d+)\.ffn\.layers\.1\.", r"decoder_blocks.\1.mlp.fc2."),
    (r"ln1\.", "decoder_norm."),
)


def test_mae_matches_mmpretrain(monkeypatch: pytest.MonkeyPatch, randomise) -> None:
    arch = dict(embed_dims=32, num_layers=2, num_heads=4, feedforward_channels=128)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        theirs = TheirMAE(
            backbone=dict(type=MAEViT, arch=arch, img_size=32, patch_size=8, mask_ratio=0.75),
            neck=dict(
                type=MAEPretrainDecoder,
                num_patches=16,
                patch_size=8,
                embed_dim=32,
                decoder_embed_dim=16,
                decoder_depth=2,
                decoder_num_heads=2,
            ),
            head=dict(
                type=MAEPretrainHead,
                norm_pix=True,
                patch_size=8,
                loss=dict(type=PixelReconstructionLoss, criterion="L2"),
            ),
        )
    theirs.init_weights()
    randomise(theirs, 7)
    ours = MAE(
        views=dict(type=SingleView, size=32),
        encoder=dict(
            type=VisionTransformer, img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4
        ),
        decoder=dict(type=MAEDecoder, width=16, depth=2, num_heads=2),
        masking=dict(type=RandomMasking, ratio=0.75),
        objective=dict(type=PixelReconstruction, normalise=True),
    )
    for part, network, rules in (
        (ours.encoder, theirs.backbone, BACKBONE_NAMES["vit"]),
        (ours.decoder, theirs.neck, DECODER_NAMES),
    ):
        state = network.state_dict()
        part.load_state_dict({translate(name, rules): value for name, value in state.items()})
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(3, 3, 32, 32, generator=generator)
    noise = torch.rand(3, 16, generator=generator)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "rand", lambda *shape, **options: noise)
        expected = theirs.loss(images, [])["loss"]
    views = {"image": images, "index": torch.arange(3), "mask_noise": noise}
    found = ours.loss(views, Progress())["loss_reconstruction"]
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    expected.backward()
    found.backward()
    gradients = dict(theirs.backbone.named_parameters())
    for name, parameter in gradients.items():
        if parameter.grad is not None:
            mine = ours.encoder.get_parameter(translate(name, BACKBONE_NAMES["vit"])).grad
            torch.testing.assert_close(mine, parameter.grad, rtol=1e-4, atol=1e-6)
