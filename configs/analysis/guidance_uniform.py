"""Guidance: guided patches drawn uniformly among those with vessels (table VII, last row)."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, uniform among vessel patches")
method["masking"].update(uniform_among_vessels=True)
