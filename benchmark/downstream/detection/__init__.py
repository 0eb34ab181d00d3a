"""Detection: mmdetection's Faster R-CNN on a ViTDet backbone, its dataset and its scores."""

from benchmark.openmmlab.mmcv_ops import install_mmcv_ops

# Before any part of mmdetection is imported, which the modules of this package do.
install_mmcv_ops()
