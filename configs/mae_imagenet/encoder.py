"""MAE ViT-B/16 as released (He et al., CVPR 2022).

    tools/convert_checkpoint.py mae_imagenet FILE

See docs/released_encoders.md.
"""

from benchmark.downstream.segmentation.model import EncoderBackbone

card = dict(
    title="MAE, ImageNet",
    family="released weights",
    paper="He et al., CVPR 2022",
    paper_url="https://arxiv.org/abs/2111.06377",
    code="https://github.com/facebookresearch/mae",
    licence="CC BY-NC 4.0",
    pretraining="ImageNet-1K",
)

encoder = dict(type=EncoderBackbone, folder="{work}/released/mae_imagenet")
