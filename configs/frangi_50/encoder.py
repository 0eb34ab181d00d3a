"""The classical row with its threshold at percentile 50 (journal table X); see `configs/frangi`."""

from mmengine.config import read_base

with read_base():
    from ..frangi.encoder import *

card.update(title="Frangi filter, α = 50")
classical.update(alpha=50.0)
