"""mmcv without its compiled operations: those the detectors need come from torchvision.

mmdetection asks mmcv for its extension module ``mmcv._ext``, which takes a quarter of an hour
to build for every version of torch. The detectors of this benchmark use two operations of it, and
torchvision has both: non-maximum suppression, supplied here, and RoIAlign, which mmcv takes from
torchvision by itself when a config says ``use_torchvision=True``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from benchmark.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

EXTENSION = "mmcv._ext"


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Greedy non-maximum suppression with the signature of mmcv's operation.

    Args:
        boxes: N×4, x0, y0, x1, y1.
        scores: N.
        iou_threshold: a box is dropped if it overlaps a better one by more than this.
        offset: 0 for exclusive edges (a box is x1 − x0 wide), 1 for inclusive ones.

    Returns:
        int64 indices of the boxes that are kept, best first.
    """
    from torchvision import ops

    if offset:
        # Sizes and overlaps of boxes with inclusive edges are those of boxes one pixel longer.
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return ops.nms(boxes, scores, iou_threshold)


class _Extension(ModuleType):
    """Has every operation that mmcv looks up on import; only those above can be called."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

        def refuse(*args: Any, **kwargs: Any) -> Any:
            raise InputError(
                f"mmcv's operation {name!r} needs the compiled mmcv, which is not installed; "
                "choose a model without it, use_torchvision=True where mmcv offers that, or build "
                "it with MMCV_WITH_OPS=1 pip install --no-binary onedl-mmcv onedl-mmcv"
            )

        refuse.__name__ = refuse.__qualname__ = name
        return refuse


class _Finder(MetaPathFinder, Loader):
    """Finds the extension if nothing else does: it is the last of Python's finders."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, origin=__file__) if fullname == EXTENSION else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Extension(spec.name, "torchvision in place of mmcv's compiled operations.")

    def exec_module(self, module: ModuleType) -> None:
        module.nms = nms  # type: ignore[attr-defined]


def install_mmcv_ops() -> None:
    """Let mmcv find its extension module; an installed compiled one takes precedence.

    Imports nothing, so it may be called anywhere, any number of times; but before mmdetection or
    mmsegmentation is imported (the latter imports parts of the former): without the extension
    they replace the operations, silently and for good, by functions that fail when called.

    Raises:
        RuntimeError: mmdetection is imported already, without its operations.
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    if EXTENSION not in sys.modules and any(
        name.startswith("mmdet.models.") for name in sys.modules
    ):
        raise RuntimeError(
            "install_mmcv_ops() comes too late: mmdet has been imported without its operations; "
            "call it before the first import of mmdet or mmseg"
        )
    sys.meta_path.append(_Finder())
