"""RAD-DINO ViT-B/14 as released (Pérez-García et al., Nature Machine Intelligence 2025).

    tools/convert_checkpoint.py rad_dino FILE

See docs/released_encoders.md.
"""

from benchmark.downstream.segmentation.model import EncoderBackbone

card = dict(
    title="RAD-DINO",
    family="released weights",
    paper="Pérez-García et al., Nature Machine Intelligence 2025",
    paper_url="https://www.nature.com/articles/s42256-024-00965-w",
    code="https://huggingface.co/microsoft/rad-dino",
    licence="MIT (earlier: MSRLA)",
    pretraining="chest X-rays",
)

encoder = dict(type=EncoderBackbone, folder="{work}/released/rad_dino")
