"""The encoder of `configs/spt/pretrain.py`, for fine-tuning."""

from benchmark.downstream.segmentation.model import EncoderBackbone

pretrain = "configs/spt/pretrain.py"
encoder = dict(type=EncoderBackbone, folder="{work}/spt/pretrain")
