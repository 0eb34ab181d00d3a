"""Components, guided masking alone: L_rec without L_cons (tables IV and V, "none")."""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(title="VasoMIM, guidance alone")
method.update(consistency=None)
