"""LVM-Med ViT-B as released (Nguyen et al., NeurIPS 2023).

    tools/convert_checkpoint.py lvm_med FILE

See docs/released_encoders.md.
"""

from benchmark.downstream.segmentation.model import EncoderBackbone

card = dict(
    title="LVM-Med",
    family="released weights",
    paper="Nguyen et al., NeurIPS 2023",
    paper_url="https://arxiv.org/abs/2306.11925",
    code="https://github.com/duyhominhnguyen/LVM-Med",
    licence="CC BY-NC-ND 2.0",
    pretraining="1.3 M medical images",
)

encoder = dict(type=EncoderBackbone, folder="{work}/released/lvm_med")
