"""Procedural coronary angiograms with exact ground truth; see `angiogram`."""

from benchmark.data.synthetic.render import FILLED, Stenosis, SyntheticFrame, angiogram

__all__ = ["FILLED", "Stenosis", "SyntheticFrame", "angiogram"]
