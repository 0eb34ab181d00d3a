"""The encoder of `configs/ibot/pretrain.py`, for fine-tuning."""

from benchmark.downstream.segmentation.model import EncoderBackbone

pretrain = "configs/ibot/pretrain.py"
encoder = dict(type=EncoderBackbone, folder="{work}/ibot/pretrain")
