"""The encoder of `configs/crossmae/pretrain.py`, for fine-tuning."""

from benchmark.downstream.segmentation.model import EncoderBackbone

pretrain = "configs/crossmae/pretrain.py"
encoder = dict(type=EncoderBackbone, folder="{work}/crossmae/pretrain")
