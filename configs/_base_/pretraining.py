"""What every pre-training run starts from."""

from mmengine.config import read_base

with read_base():
    from .runtime import *

seed = 0
clip_grad = None

packs = ["{work}/packs/xa170k"]
anatomy = False
resident = "auto"
compile = False
timeout_minutes = 30
