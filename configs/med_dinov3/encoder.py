"""MedDINOv3 ViT-B/16 as released (Li et al., arXiv 2509.02379).

    tools/convert_checkpoint.py med_dinov3 FILE

See docs/released_encoders.md.
"""

from benchmark.downstream.segmentation.model import EncoderBackbone

card = dict(
    title="MedDINOv3",
    family="released weights",
    paper="Li et al., arXiv 2509.02379",
    paper_url="https://arxiv.org/abs/2509.02379",
    code="https://github.com/ricklisz/MedDINOv3",
    pretraining="CT-3M",
)

encoder = dict(type=EncoderBackbone, folder="{work}/released/med_dinov3")
