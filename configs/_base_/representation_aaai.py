"""Analysis of patch features, protocol `aaai` (table 3): by UMAP, else as in protocol `journal`."""

from mmengine.config import read_base

with read_base():
    from .representation import *

projection = "umap"
