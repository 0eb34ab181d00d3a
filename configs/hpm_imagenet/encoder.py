"""HPM ViT-B/16 as released (Wang et al., CVPR 2023).

    tools/convert_checkpoint.py hpm_imagenet FILE

See docs/released_encoders.md.
"""

from benchmark.downstream.segmentation.model import EncoderBackbone

card = dict(
    title="HPM, ImageNet",
    family="released weights",
    paper="Wang et al., CVPR 2023",
    paper_url="https://arxiv.org/abs/2304.05919",
    code="https://github.com/Haochen-Wang409/HPM",
    licence="Apache-2.0",
    pretraining="ImageNet-1K",
)

encoder = dict(type=EncoderBackbone, folder="{work}/released/hpm_imagenet")
