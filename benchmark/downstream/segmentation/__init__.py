"""Segmentation by mmsegmentation's models, with encoders, datasets and metrics of the benchmark."""

from benchmark.openmmlab.quiet import import_mmseg

import_mmseg()
