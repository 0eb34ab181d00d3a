"""The encoder of `configs/vasomim/pretrain.py`, for fine-tuning."""

from benchmark.downstream.segmentation.model import EncoderBackbone

pretrain = "configs/vasomim/pretrain.py"
encoder = dict(type=EncoderBackbone, folder="{work}/vasomim/pretrain")
