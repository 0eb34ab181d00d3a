"""VasoMIM-v1: guidance by the extracted vessels alone, η = 1 (AAAI version, arXiv 2508.10794).

    tools/dist_train.sh configs/vasomim_v1/pretrain.py 8

As `configs/vasomim/pretrain.py` otherwise; the AAAI paper trained on XA-20K with batch 256.
"""

from mmengine.config import read_base

with read_base():
    from ..vasomim.pretrain import *

card.update(
    title="VasoMIM-v1",
    paper="Huang et al., AAAI 2026",
    paper_url="https://arxiv.org/abs/2508.10794",
)
method.masking.update(eta=1.0)
