"""The protocol that all encoders implement, and what their implementations share."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor, nn

from benchmark.errors import InputError


@runtime_checkable
class Encoder(Protocol):
    """A network from images to feature maps that can be exported, loaded and fine-tuned.

    It is also an `nn.Module`, which maps B×C×H×W to its tokens, B×(prefix + N)×D after the final
    norm, or to the list of its feature maps.

    Attributes:
        overrides: constructor arguments that do not change the weights (`drop_path`, …).
        unproven: constructor arguments that cannot always be inferred from names and shapes of
            the weights, and must be known to convert a file.
        arguments: all constructor arguments but `overrides`, as JSON-able values.
        img_size: side of the pre-training images in pixels; multiples of the coarsest stride
            work as well.
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
        """Names of all parameters, grouped by layer from input to output.

        The last group has the learning rate of the head; it may be empty.
        """
        ...

    def trim(self, finest: int = 1, norm: bool = True) -> None:
        """Drop unused layers, so that every remaining parameter gets a gradient.

        Args:
            finest: drop maps of smaller strides, unless there is only one map.
            norm: keep the final norm.
        """
        ...


def group_parameters(module: nn.Module, stages: Sequence[tuple[str, ...]]) -> list[list[str]]:
    """Names of the parameters of each stage, which is given by its name prefixes.

    Raises:
        ValueError: a parameter belongs to no stage, or to several.
    """
    groups: list[list[str]] = [[] for _ in stages]
    for name, _ in module.named_parameters():
        matching = [group for group, prefix in zip(groups, stages) if name.startswith(prefix)]
        if len(matching) != 1:
            raise ValueError(f"{type(module).__name__}: {name} is in {len(matching)} stages")
        matching[0].append(name)
    return groups


def block_groups(module: nn.Module, early: tuple[str, ...], late: str) -> list[list[str]]:
    """Layers of a transformer as in BEiT: what begins with `early`, each block, then `late`."""
    blocks = [(f"blocks.{number}.",) for number in range(len(module.blocks))]
    return group_parameters(module, [early, *blocks, (late,)])


def patch_map(tokens: Tensor, prefix: int, grid: tuple[int, int]) -> Tensor:
    """B×(prefix + rows·columns)×D to B×D×rows×columns, without the prefix tokens."""
    return tokens[:, prefix:].transpose(1, 2).unflatten(2, grid)


def weight_arguments(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The constructor arguments that the weights depend on, JSON-able and in order.

    Args:
        cls: class with `overrides`.
        values: the `locals()` of its constructor.
    """
    names = [name for name in inspect.signature(cls).parameters if name not in cls.overrides]
    return {
        name: list(values[name]) if isinstance(values[name], (list, tuple)) else values[name]
        for name in names
    }


class TimmTransformer:
    """Mixin that makes a transformer of timm an `Encoder`.

    Its subclasses share the arguments img_size, patch_size, embed_dim, depth, num_heads, mlp_ratio,
    in_channels and drop_path, which are those of `benchmark.nn.vit.VisionTransformer`.
    """

    def build_timm(
        self, cls: type, values: Mapping[str, Any], norm_layer: type[nn.Module], **others: Any
    ) -> None:
        """Call the constructor of timm, then set the attributes of `Encoder`.

        Args:
            cls, values: see `weight_arguments`.
            norm_layer: gets the subclass's `norm_eps`.
            others: arguments of this architecture.
        """
        arguments = weight_arguments(cls, values)
        same = ("img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio")
        super().__init__(
            **{name: values[name] for name in same},
            in_chans=values["in_channels"],
            num_classes=0,
            drop_path_rate=values["drop_path"],
            norm_layer=partial(norm_layer, eps=values["norm_eps"]),
            **others,
        )
        self.arguments = arguments
        self.img_size: int = arguments["img_size"]
        self.patch_size: int = arguments["patch_size"]
        self.strides: tuple[int, ...] = (self.patch_size,)
        self.widths: tuple[int, ...] = (arguments["embed_dim"],)
        self.norm_name: str | None = "norm"

    def init_weights(self, needs_reset: bool | None = None) -> None:
        """timm's, called by its constructor; a no-op when mmengine calls it without arguments."""
        if needs_reset is not None:
            super().init_weights(needs_reset=needs_reset)  # type: ignore[misc]

    def grid(self, images: Tensor) -> tuple[int, int]:
        """Rows and columns of patches of B×C×H×W."""
        return (images.shape[-2] // self.patch_size, images.shape[-1] // self.patch_size)

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """One map of patch tokens, B×D×(H/P)×(W/P)."""
        return [patch_map(self(images), self.num_prefix_tokens, self.grid(images))]  # type: ignore

    def trim(self, finest: int = 1, norm: bool = True) -> None:
        if not norm:
            setattr(self, self.norm_name or "norm", nn.Identity())
            self.norm_name = None


def check_sizes(
    name: str, img_size: int, patch_size: int, embed_dim: int, num_heads: int, multiple: int = 1
) -> None:
    """Check that the sizes of a transformer are divisible, the width of a head by `multiple`.

    Raises:
        InputError: they are not; the message begins with `name`.
    """
    if img_size % patch_size:
        raise InputError(f"{name}: patch_size={patch_size} does not divide img_size={img_size}")
    if embed_dim % num_heads:
        raise InputError(f"{name}: num_heads={num_heads} does not divide embed_dim={embed_dim}")
    if embed_dim % (multiple * num_heads):
        raise InputError(
            f"{name}: embed_dim={embed_dim} is not a multiple of {multiple}·num_heads={num_heads}"
        )
