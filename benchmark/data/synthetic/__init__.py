"""Procedural coronary angiograms with exact ground truth; see `angiogram`."""

from benchmark.data.synthetic.render import FILLED, Stenosis, SyntheticFrame, angiogram
from benchmark.data.synthetic.tree import SEGMENT_NAMES

__all__ = ["FILLED", "SEGMENT_NAMES", "Stenosis", "SyntheticFrame", "angiogram"]
