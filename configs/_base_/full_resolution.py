"""For networks whose last map is of the size of the image: a 1×1 convolution makes it logits."""

from mmseg.models.decode_heads import FCNHead

from benchmark.downstream.segmentation.model import BinaryCrossEntropy, BinaryDice

task = "segmentation"
model = dict(
    neck=None,
    decode_head=dict(
        type=FCNHead,
        in_index=-1,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0.0,
        num_classes=2,  # this and the next follow the classes of the task
        out_channels=1,
        threshold=0.5,
        loss_decode=[dict(type=BinaryCrossEntropy), dict(type=BinaryDice)],
    ),
)
