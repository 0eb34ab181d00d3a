"""The encoder of `configs/dino/pretrain.py`, for fine-tuning."""

from benchmark.downstream.segmentation.model import EncoderBackbone

pretrain = "configs/dino/pretrain.py"
encoder = dict(type=EncoderBackbone, folder="{work}/dino/pretrain")
