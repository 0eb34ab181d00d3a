"""Procedural coronary angiograms with exact ground truth; see `angiogram`."""

from benchmark.data.synthetic.render import SyntheticFrame, angiogram

__all__ = ["SyntheticFrame", "angiogram"]
