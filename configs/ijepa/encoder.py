"""The encoder of `configs/ijepa/pretrain.py`, for fine-tuning."""

from benchmark.downstream.segmentation.model import EncoderBackbone

pretrain = "configs/ijepa/pretrain.py"
encoder = dict(type=EncoderBackbone, folder="{work}/ijepa/pretrain")
