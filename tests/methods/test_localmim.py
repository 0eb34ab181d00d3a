"""LocalMIM against its formulas in double precision, and its official checkpoint."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from finite_differences import assert_slopes
from numpy_vit import Weights, block, double_weights, layer_norm, linear, patch_tokens, vit_layers
from official_shapes import Shapes, encoder, load_official, norm
from official_shapes import block as block_shapes
from official_shapes import linear as linear_shapes
from scipy.special import erf
from torch import Tensor

from benchmark.data.views.imagenet import IMAGENET_MEAN, IMAGENET_STD
from benchmark.data.views.single import SingleView
from benchmark.errors import InputError
from benchmark.method import Progress
from benchmark.nn.decoders.local import LocalDecoder
from benchmark.nn.masking.random import RandomMasking
from benchmark.nn.objectives.hog import HOG
from benchmark.nn.state_dict_names import translate
from benchmark.nn.vit import VisionTransformer
from methods.localmim import OFFICIAL_NAMES, LocalMIM, mask_at_scale

Factory = Callable[..., LocalMIM]
SCALES = (4, 2, 1, 0.5)


@pytest.fixture
def localmim(randomise) -> Factory:
    """32² pixels, 4×4 patches of 8², four blocks that all reconstruct: cells of 2, 4, 8, 16."""

    def make(**arguments: object) -> LocalMIM:
        torch.manual_seed(0)
        method = LocalMIM(
            views=dict(type=SingleView, size=32),
            encoder=VisionTransformer(32, 8, 32, depth=4, num_heads=4),
            decoder=dict(type=LocalDecoder, width=16, depth=1, num_heads=2),
            masking=dict(type=RandomMasking, ratio=0.75),
            target=dict(type=HOG, bins=9),
            **{"layers": (0, 1, 2, 3), "scales": SCALES, **arguments},
        )
        return randomise(method, 1)

    return make


def twice_as_fine(x: np.ndarray, weights: Weights, name: str) -> np.ndarray:
    """Transposed 2×2 convolution with stride 2: each pixel becomes a block of four."""
    kernel, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    fine = np.zeros((kernel.shape[1], 2 * x.shape[1], 2 * x.shape[2]))
    for row in range(x.shape[1]):
        for column in range(x.shape[2]):
            spread = np.einsum("i,iokl->okl", x[:, row, column], kernel)
            fine[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = spread
    return fine + bias[:, None, None]


def paper_head(x: np.ndarray, weights: Weights, scale: float) -> np.ndarray:
    """The layers behind a decoder's blocks: C×4×4 to 27×(4·scale)×(4·scale)."""
    last = {4: 4, 2: 1, 1: 0, 0.5: 1}[scale]
    if scale >= 2:
        x = twice_as_fine(x, weights, "pred.0")
    if scale == 4:
        x = layer_norm(x.transpose(1, 2, 0), weights, "pred.1").transpose(2, 0, 1)
        x = twice_as_fine(x * 0.5 * (1 + erf(x / np.sqrt(2))), weights, "pred.3")
    if scale == 0.5:
        x = x.reshape(len(x), 2, 2, 2, 2).mean(axis=(2, 4))
    kernel = weights[f"pred.{last}.weight"][:, :, 0, 0]
    return np.einsum("oi,irc->orc", kernel, x) + weights[f"pred.{last}.bias"][:, None, None]


def paper_losses(
    weights: dict[str, Weights], views: dict[str, Tensor], targets: list[np.ndarray]
) -> list[float]:
    """One loss per scale: Σ error · mask / Σ mask, the mask of a coarse cell being a share."""
    vit = weights["encoder"]
    above, below = np.zeros(4), np.zeros(4)
    for sample, image in enumerate(views["image"].double().numpy()):
        order = np.argsort(views["mask_noise"][sample].numpy())
        visible = order[:4]
        hidden = np.ones(16)
        hidden[visible] = 0
        _, *layers = vit_layers(patch_tokens(image, vit), vit, visible=visible)
        for number, (scale, x) in enumerate(zip(SCALES, layers)):
            decoder = weights[f"decoder.{number}"]
            norms = (weights["norms"], f"{number}") if number < 3 else (vit, "norm")
            latent = linear(layer_norm(x, *norms), decoder, "embed")
            full = np.repeat(decoder["mask_token"][0], 16, axis=0)
            full[visible] = latent[1:]
            y = np.concatenate([latent[:1], full]) + decoder["pos_embed"][0]
            y = layer_norm(block(y, decoder, "blocks.0", 2), decoder, "norm")[1:]
            predicted = paper_head(y.T.reshape(-1, 4, 4), decoder, scale)
            error = ((predicted - targets[number][sample]) ** 2).mean(axis=0)
            for row in range(error.shape[0]):
                for column in range(error.shape[1]):
                    if scale >= 1:
                        weight = hidden[int(row // scale) * 4 + int(column // scale)]
                    else:
                        corner = 8 * row + 2 * column
                        weight = hidden[[corner, corner + 1, corner + 4, corner + 5]].mean()
                    above[number] += error[row, column] * weight
                    below[number] += weight
    return (above / below).tolist()


def test_losses_and_gradients_match_the_paper(
    localmim: Factory, tiny_views: dict[str, Tensor]
) -> None:
    method = localmim()
    weights = {f"decoder.{n}": double_weights(part) for n, part in enumerate(method.decoder)}
    weights |= {"encoder": double_weights(method.encoder), "norms": double_weights(method.norms)}
    spread, centre = (torch.tensor(v).view(3, 1, 1) for v in (IMAGENET_STD, IMAGENET_MEAN))
    intensities = ((tiny_views["image"] * spread + centre) * 255).round()
    targets = [t.double().numpy() for t in HOG(9)(intensities, (2, 4, 8, 16))]

    terms = method.loss(tiny_views, Progress())
    losses = {name: value for name, value in terms.items() if "loss" in name}
    assert list(losses) == ["loss_2px", "loss_4px", "loss_8px", "loss_16px"]
    found = [value.item() for value in losses.values()]
    assert found == pytest.approx(paper_losses(weights, tiny_views, targets), rel=1e-5)

    sum(losses.values()).backward()
    places = [
        ("encoder", "cls_token", (0, 0, 5)),
        ("encoder", "norm.weight", (3,)),
        ("norms", "0.bias", (4,)),
        ("decoder.0", "pred.3.weight", (2, 1, 0, 1)),
        ("decoder.0", "pred.1.weight", (3,)),
        ("decoder.2", "mask_token", (0, 0, 2)),
        ("decoder.3", "pred.1.weight", (9, 4, 0, 0)),
    ]
    assert_slopes(
        lambda: sum(paper_losses(weights, tiny_views, targets)),
        [(method.get_submodule(part), weights[part], name, at) for part, name, at in places],
    )


def test_mask_at_every_scale_by_hand() -> None:
    mask = torch.tensor([[1.0, 0.0, 0.0, 1.0]])
    assert mask_at_scale(mask, (2, 2), 1)[0, 0].tolist() == [[1, 0], [0, 1]]
    fine = mask_at_scale(mask, (2, 2), 2)[0, 0].tolist()
    assert fine == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    assert mask_at_scale(mask, (2, 2), 0.5)[0, 0].tolist() == [[0.5]]


def test_published_layers_and_cells() -> None:
    """ViT-B/16: blocks 1, 3, 9 and 11 reconstruct cells of 4, 8, 16 and 32 pixels."""
    method = LocalMIM(
        views=dict(type=SingleView),
        encoder=dict(type=VisionTransformer, img_size=224, embed_dim=32, depth=12, num_heads=4),
        decoder=dict(type=LocalDecoder, width=16, depth=1, num_heads=2),
        masking=dict(type=RandomMasking),
        target=dict(type=HOG),
    )
    assert method.layers == (1, 3, 9, 11)
    assert method.cells == (4, 8, 16, 32)


def test_official_checkpoint_fits(localmim: Factory) -> None:
    """Four norms included, filters excluded."""
    shapes: Shapes = encoder(32, 4, 16, 8, final_norm=False)
    up, last = {"pred.0.weight": (16, 8, 2, 2), "pred.0.bias": (8,)}, (27,)
    finest = {**up, **norm("pred.1", 8), "pred.3.weight": (8, 4, 2, 2), "pred.3.bias": (4,)}
    heads: list[Shapes] = [
        {**finest, "pred.4.weight": (27, 4, 1, 1), "pred.4.bias": last},
        {**up, "pred.1.weight": (27, 8, 1, 1), "pred.1.bias": last},
        {"pred.0.weight": (27, 16, 1, 1), "pred.0.bias": last},
        {"pred.1.weight": (27, 16, 1, 1), "pred.1.bias": last},
    ]
    for number, head in enumerate(heads):
        own: Shapes = {"mask_token": (1, 1, 16), "pos_embed": (1, 17, 16), **head}
        own |= linear_shapes("embed", 32, 16) | block_shapes("blocks.0", 16) | norm("norm", 16)
        shapes |= {f"decoder.{number}.{name}": shape for name, shape in own.items()}
        shapes |= norm(f"norm.{number}", 32)
        shapes[f"hog_enc.{number}.conv.weight"] = (2, 1, 3, 3)
    load_official(localmim(), shapes, OFFICIAL_NAMES)
    assert translate("norm.3.weight", OFFICIAL_NAMES) == "encoder.norm.weight"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": (0, 1, 3, 2)}, r"layers=\(0, 1, 3, 2\) must rise within 4 blocks"),
        ({"layers": (0, 1, 2, 4)}, r"layers=\(0, 1, 2, 4\) must rise within 4 blocks"),
        ({"layers": (1, 3, -3, -1)}, r"layers=\(1, 3, -3, -1\) must rise within 4 blocks"),
        ({"layers": (0, 1, 2), "scales": (2, 1, 0.5)}, "must end with the last block"),
        ({"scales": (4, 2, 1)}, "4 layers but 3 scales"),
        ({"scales": (3, 2, 1, 0.5)}, "do not divide a patch of 8"),
    ],
)
def test_invalid_arguments_are_refused(localmim: Factory, arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        localmim(**arguments)
