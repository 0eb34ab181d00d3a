"""Fine-tuning and scoring; mmcv's operations are installed before anything below is imported."""

from benchmark.openmmlab.mmcv_ops import install_mmcv_ops

# Here, because it must precede the first import of mmdetection, which mmsegmentation imports.
install_mmcv_ops()
