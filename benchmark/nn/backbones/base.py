"""What every kind of encoder offers, so that nothing else has to know which kind it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor, nn


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
