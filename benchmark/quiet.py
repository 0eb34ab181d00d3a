"""Keeping the chatter of the OpenMMLab packages off the screen: it is about parts not used here."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Run imports and set-up of the libraries without their prints, warnings and INFO lines.

    Errors keep their way out: exceptions pass, and so does what is logged as an error.
    """
    from mmengine.logging import MMLogger

    from benchmark.engine.mmcv_ops import install_mmcv_ops

    # What is loaded here may load mmdetection, as mmpretrain's models do: too late for its
    # operations in whatever comes after.
    install_mmcv_ops()
    MMLogger.get_current_instance().setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
