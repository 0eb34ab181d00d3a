"""CheXWorld ViT-B/16 as released (Yue et al., CVPR 2025).

    tools/convert_checkpoint.py chexworld_cxr500k FILE

See docs/released_encoders.md.
"""

from benchmark.downstream.segmentation.model import EncoderBackbone

card = dict(
    title="CheXWorld, X-rays-500K",
    family="released weights",
    paper="Yue et al., CVPR 2025",
    paper_url="https://arxiv.org/abs/2504.13820",
    code="https://github.com/LeapLabTHU/CheXWorld",
    pretraining="X-rays-500K",
)

encoder = dict(type=EncoderBackbone, folder="{work}/released/chexworld_cxr500k")
