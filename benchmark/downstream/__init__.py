"""Fine-tuning and scoring; before anything below is imported, mmcv gets its operations."""

from benchmark.openmmlab.mmcv_ops import install_mmcv_ops

# Here, because it has to come before the first import of mmdetection, and mmsegmentation has one.
install_mmcv_ops()
