"""The encoder of `configs/hpm/pretrain.py`, for fine-tuning."""

from benchmark.downstream.segmentation.model import EncoderBackbone

pretrain = "configs/hpm/pretrain.py"
encoder = dict(type=EncoderBackbone, folder="{work}/hpm/pretrain")
