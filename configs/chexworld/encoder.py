"""The encoder of `configs/chexworld/pretrain.py`, for fine-tuning."""

from benchmark.downstream.segmentation.model import EncoderBackbone

pretrain = "configs/chexworld/pretrain.py"
encoder = dict(type=EncoderBackbone, folder="{work}/chexworld/pretrain")
