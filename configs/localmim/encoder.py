"""The encoder of `configs/localmim/pretrain.py`, for fine-tuning."""

from benchmark.downstream.segmentation.model import EncoderBackbone

pretrain = "configs/localmim/pretrain.py"
encoder = dict(type=EncoderBackbone, folder="{work}/localmim/pretrain")
