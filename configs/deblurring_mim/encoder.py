"""The encoder of `configs/deblurring_mim/pretrain.py`, for fine-tuning."""

from benchmark.downstream.segmentation.model import EncoderBackbone

pretrain = "configs/deblurring_mim/pretrain.py"
encoder = dict(type=EncoderBackbone, folder="{work}/deblurring_mim/pretrain")
