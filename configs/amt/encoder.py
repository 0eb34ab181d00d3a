"""The encoder of `configs/amt/pretrain.py`, for fine-tuning."""

from benchmark.downstream.segmentation.model import EncoderBackbone

pretrain = "configs/amt/pretrain.py"
encoder = dict(type=EncoderBackbone, folder="{work}/amt/pretrain")
