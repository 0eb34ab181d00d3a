"""LVM-Med ViT-B as released (Nguyen et al., NeurIPS 2023).

    tools/convert_checkpoint.py lvm_med FILE

See docs/released_encoders.md.
"""

from benchmark.downstream.segmentation.model import EncoderBackbone

card = dict(
    title="LVM-Med",
    family="released weights",
    paper="Nguyen et al., NeurIPS 2023",
    pretraining="1.3 M medical images",
)

encoder = dict(type=EncoderBackbone, folder="{work}/released/lvm_med")
