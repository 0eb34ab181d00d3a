"""Procedural coronary angiograms with exact ground truth; see `angiogram`."""

from benchmark.data.synthetic.render import SyntheticFrame, angiogram, close_up

__all__ = ["SyntheticFrame", "angiogram", "close_up"]
