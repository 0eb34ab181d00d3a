"""LocalMIM ViT-B/16 as released (Wang et al., CVPR 2023).

    tools/convert_checkpoint.py localmim_imagenet FILE

See docs/released_encoders.md.
"""

from benchmark.downstream.segmentation.model import EncoderBackbone

card = dict(
    title="LocalMIM, ImageNet",
    family="released weights",
    paper="Wang et al., CVPR 2023",
    paper_url="https://arxiv.org/abs/2303.05251",
    code="https://github.com/Haoqing-Wang/LocalMIM",
    pretraining="ImageNet-1K",
)

encoder = dict(type=EncoderBackbone, folder="{work}/released/localmim_imagenet")
