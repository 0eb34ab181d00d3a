"""The encoder of `configs/frepa/pretrain.py`, for fine-tuning."""

from benchmark.downstream.segmentation.model import EncoderBackbone

pretrain = "configs/frepa/pretrain.py"
encoder = dict(type=EncoderBackbone, folder="{work}/frepa/pretrain")
