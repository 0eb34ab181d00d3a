"""The encoder of `configs/simmim/pretrain.py`, for fine-tuning."""

from benchmark.downstream.segmentation.model import EncoderBackbone

pretrain = "configs/simmim/pretrain.py"
encoder = dict(type=EncoderBackbone, folder="{work}/simmim/pretrain")
