"""The encoder of `configs/moco_v3/pretrain.py`, for fine-tuning."""

from benchmark.downstream.segmentation.model import EncoderBackbone

pretrain = "configs/moco_v3/pretrain.py"
encoder = dict(type=EncoderBackbone, folder="{work}/moco_v3/pretrain")
