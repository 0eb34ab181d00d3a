"""DINOv3 ViT-B/16 as released (Siméoni et al., arXiv 2508.10104).

    tools/convert_checkpoint.py dinov3 FILE

See docs/released_encoders.md.
"""

from benchmark.downstream.segmentation.model import EncoderBackbone

card = dict(
    title="DINOv3",
    family="released weights",
    paper="Siméoni et al., arXiv 2508.10104",
    paper_url="https://arxiv.org/abs/2508.10104",
    code="https://github.com/facebookresearch/dinov3",
    licence="DINOv3 License",
    pretraining="LVD-1689M",
)

encoder = dict(type=EncoderBackbone, folder="{work}/released/dinov3")
