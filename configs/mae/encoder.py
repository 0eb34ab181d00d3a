"""The encoder of `configs/mae/pretrain.py`, for fine-tuning."""

from benchmark.downstream.segmentation.model import EncoderBackbone

pretrain = "configs/mae/pretrain.py"
encoder = dict(type=EncoderBackbone, folder="{work}/mae/pretrain")
