"""LocalMIM ViT-B/16 as released (Wang et al., CVPR 2023).

    tools/convert_checkpoint.py localmim_imagenet FILE

See docs/released_encoders.md.
"""

from benchmark.downstream.segmentation.model import EncoderBackbone

card = dict(
    title="LocalMIM, ImageNet",
    family="released weights",
    paper="Wang et al., CVPR 2023",
    pretraining="ImageNet-1K",
)

encoder = dict(type=EncoderBackbone, folder="{work}/released/localmim_imagenet")
