"""The classical row with its threshold at percentile 80 (journal table X); see `configs/frangi`."""

from mmengine.config import read_base

with read_base():
    from ..frangi.encoder import *

card.update(title="Frangi filter, α = 80")
classical.update(alpha=80.0)
