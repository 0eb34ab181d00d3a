"""What every kind of encoder offers, so that nothing else has to know which kind it is."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor, nn

from benchmark.errors import InputError


@runtime_checkable
class Encoder(Protocol):
    """A network from images to feature maps that can be exported, loaded and fine-tuned.

    It is an `nn.Module` as well. Calling it on B×C×H×W gives all it computes: the tokens,
    B×(prefix + N)×D after the final norm, or the list of its maps.

    Attributes:
        overrides: constructor arguments that do not change the weights (`drop_path`, …).
        unproven: constructor arguments that change no name or shape of the weights, or not always,
            so that weights alone do not tell them; who converts a file has to know them.
        arguments: the other constructor arguments, as JSON-able values.
        img_size: side of the images of the pre-training in pixels; multiples of the coarsest
            stride work as well.
        patch_size: side of a patch in pixels; None for a convolutional network.
        num_prefix_tokens: leading tokens that are not patches.
        strides: pixels of the image per pixel of each map, finest first.
        widths: channels of each map.
        norm_name: name of the norm after the last block; None if there is none.
    """

    overrides: ClassVar[frozenset[str]]
    unproven: ClassVar[frozenset[str]]
    arguments: dict[str, Any]
    img_size: int
    patch_size: int | None
    num_prefix_tokens: int
    strides: tuple[int, ...]
    widths: tuple[int, ...]
    norm_name: str | None

    def __call__(self, images: Tensor) -> Tensor | list[Tensor]: ...

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """B×C×H×W to a map B×width×(H/stride)×(W/stride) for each stride, finest first."""
        ...

    def layer_groups(self) -> list[list[str]]:
        """Names of all parameters in groups from the input to the output.

        The last group learns at the rate of what follows the encoder; it may be empty.
        """
        ...

    def trim(self, finest: int = 1, norm: bool = True) -> None:
        """Drop what the maps in use do not need, so that every parameter left gets a gradient.

        Args:
            finest: maps of smaller strides are dropped, unless there is only one map.
            norm: keep the final norm.
        """
        ...


def grouped(module: nn.Module, stages: Sequence[tuple[str, ...]]) -> list[list[str]]:
    """Names of the parameters of a module, those of each stage by the beginnings of their names.

    Raises:
        ValueError: a parameter belongs to no stage, or to several.
    """
    groups: list[list[str]] = [[] for _ in stages]
    for name, _ in module.named_parameters():
        homes = [group for group, begin in zip(groups, stages) if name.startswith(begin)]
        if len(homes) != 1:
            raise ValueError(f"{type(module).__name__}: {name} is in {len(homes)} of the stages")
        homes[0].append(name)
    return groups


def block_groups(module: nn.Module, early: tuple[str, ...], late: str) -> list[list[str]]:
    """The layers of a network of `blocks`: embeddings, each block, what follows (BEiT's rule).

    Args:
        module: has a list or sequence `blocks`.
        early: beginnings of the names of what precedes the blocks.
        late: beginning of the names of what follows them.
    """
    blocks = [(f"blocks.{number}.",) for number in range(len(module.blocks))]
    return grouped(module, [early, *blocks, (late,)])


def patch_map(tokens: Tensor, prefix: int, grid: tuple[int, int]) -> Tensor:
    """B×(prefix + rows·columns)×D to B×D×rows×columns, without the prefix tokens."""
    return tokens[:, prefix:].transpose(1, 2).unflatten(2, grid)


def weight_arguments(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a constructor that the weights depend on, JSON-able, in their order.

    Args:
        cls: class with `overrides`, whose constructor it is.
        values: what the constructor got, its `locals()`.
    """
    names = [name for name in inspect.signature(cls).parameters if name not in cls.overrides]
    return {
        name: list(values[name]) if isinstance(values[name], (list, tuple)) else values[name]
        for name in names
    }


class TimmTransformer:
    """What the transformers of timm have in common as encoders, to be mixed in before them."""

    def describe(self, arguments: dict[str, Any]) -> None:
        """Set the attributes of `Encoder` for one map of patch tokens behind a final norm."""
        self.arguments = arguments
        self.img_size: int = arguments["img_size"]
        self.patch_size: int = arguments["patch_size"]
        self.strides: tuple[int, ...] = (self.patch_size,)
        self.widths: tuple[int, ...] = (arguments["embed_dim"],)
        self.norm_name: str | None = "norm"

    def init_weights(self, needs_reset: bool | None = None) -> None:
        """timm's, from its constructor; mmengine calls it too, without arguments, and must not."""
        if needs_reset is not None:
            super().init_weights(needs_reset=needs_reset)  # type: ignore[misc]

    def grid(self, images: Tensor) -> tuple[int, int]:
        """Rows and columns of patches of B×C×H×W."""
        return (images.shape[-2] // self.patch_size, images.shape[-1] // self.patch_size)

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """See `Encoder`: one map of patch tokens, B×D×(H/P)×(W/P)."""
        return [patch_map(self(images), self.num_prefix_tokens, self.grid(images))]  # type: ignore

    def trim(self, finest: int = 1, norm: bool = True) -> None:
        """See `Encoder`."""
        if not norm:
            setattr(self, self.norm_name or "norm", nn.Identity())
            self.norm_name = None


def check_sizes(
    name: str, img_size: int, patch_size: int, embed_dim: int, num_heads: int, multiple: int = 1
) -> None:
    """Refuse sizes of a transformer that do not divide.

    Args:
        name: of the network, for the message.
        img_size, patch_size: in pixels.
        embed_dim: width of the tokens.
        num_heads: attention heads per block.
        multiple: of what the width of a head has to be a multiple.

    Raises:
        InputError: they do not.
    """
    if img_size % patch_size:
        raise InputError(f"{name}: patch_size={patch_size} does not divide img_size={img_size}")
    if embed_dim % num_heads:
        raise InputError(f"{name}: num_heads={num_heads} does not divide embed_dim={embed_dim}")
    if embed_dim % (multiple * num_heads):
        raise InputError(
            f"{name}: embed_dim={embed_dim} is no multiple of {multiple}·num_heads={num_heads}"
        )
