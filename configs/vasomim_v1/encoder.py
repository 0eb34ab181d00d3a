"""The encoder of `configs/vasomim_v1/pretrain.py`, for fine-tuning."""

from benchmark.downstream.segmentation.model import EncoderBackbone

pretrain = "configs/vasomim_v1/pretrain.py"
encoder = dict(type=EncoderBackbone, folder="{work}/vasomim_v1/pretrain")
