"""The encoder of `configs/models_genesis/pretrain.py`, for fine-tuning."""

from benchmark.downstream.segmentation.model import EncoderBackbone

pretrain = "configs/models_genesis/pretrain.py"
encoder = dict(type=EncoderBackbone, folder="{work}/models_genesis/pretrain")
