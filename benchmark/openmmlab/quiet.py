"""The OpenMMLab packages with silenced logging and isolated global state."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from benchmark.openmmlab.without_transformers import hidden


class LibraryState(contextlib.AbstractContextManager):
    """The process-wide state of mmengine, isolated for one user of it.

    mmengine looks up the default scope of names, the logger, the message hub and the visualizer in
    lists of all instances ever made, and takes the newest: a later run in the same process, in a
    notebook for example, would get those of an earlier one. Within the context the lists hold only
    what was made within it before, at first nothing; afterwards they are restored. It may be
    entered repeatedly, also while it is entered.
    """

    def __init__(self) -> None:
        self._kept: dict[type, OrderedDict[str, Any]] = {}
        self._entered = 0

    def __enter__(self) -> LibraryState:
        if not self._entered:
            self._swap()
        self._entered += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._entered -= 1
        if not self._entered:
            self._swap()

    def _swap(self) -> None:
        """Swap the instance lists of all managers, including those that imports have added."""
        from mmengine.utils import ManagerMixin

        managers: list[type] = [ManagerMixin]
        for manager in managers:
            managers += manager.__subclasses__()
        for manager in dict.fromkeys(managers):
            current = manager._instance_dict
            manager._instance_dict = self._kept.pop(manager, OrderedDict())
            self._kept[manager] = current


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence prints, warnings and INFO logs of the libraries while they are imported and set up.

    Exceptions pass, and so does what is logged as an error. The process-wide state of the libraries
    is restored afterwards, see `LibraryState`.
    """
    from mmengine.logging import MMLogger

    from benchmark.openmmlab.mmcv_ops import install_mmcv_ops

    # An import here may import mmdetection, as mmpretrain's models do: after that it would be too
    # late to supply its operations.
    install_mmcv_ops()
    with LibraryState(), warnings.catch_warnings():
        MMLogger.get_current_instance().setLevel(logging.ERROR)
        with contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield


def import_mmseg() -> None:
    """Import mmsegmentation without mmdetection and mmpretrain, which double its start-up.

    Two of its heads and one of its datasets are incomplete without them; import mmdet
    before this if a config names ``MaskFormerHead`` or ``Mask2FormerHead`` of mmseg.
    """
    missing = [name for name in ("mmdet", "mmpretrain") if name not in sys.modules]
    with hidden(*missing), quiet_libraries():
        import mmseg.datasets
        import mmseg.models  # noqa: F401
