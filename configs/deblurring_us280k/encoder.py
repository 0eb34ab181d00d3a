"""DeblurringMIM ViT-B/16 as released (Kang et al., MedIA 2024).

    tools/convert_checkpoint.py deblurring_us280k FILE

See docs/released_encoders.md.
"""

from benchmark.downstream.segmentation.model import EncoderBackbone

card = dict(
    title="DeblurringMIM, US-Esaote-280K",
    family="released weights",
    paper="Kang et al., MedIA 2024",
    paper_url="https://arxiv.org/abs/2306.08249",
    code="https://github.com/openmedlab/DeblurringMIM",
    licence="CC BY-NC 4.0",
    pretraining="US-Esaote-280K",
)

encoder = dict(type=EncoderBackbone, folder="{work}/released/deblurring_us280k")
