"""The classical row: vesselness, percentile threshold, region growing; nothing is trained.

The filter is `sato`, which is what the code released with VasoMIM runs under the name Frangi.
"""

from mmcv.transforms import LoadImageFromFile
from mmseg.datasets.transforms import PackSegInputs

from benchmark.downstream.segmentation.classical import VesselnessSegmentor

card = dict(
    title="Frangi filter",
    family="classical",
    paper="Frangi et al., MICCAI 1998",
    pretraining="—",
)

task = "segmentation"
classical = dict(type=VesselnessSegmentor, kind="sato", alpha=92.0, border=20)
# Its scale of a few pixels is meant for frames at native size.
test_pipeline = [
    dict(type=LoadImageFromFile, imdecode_backend="pillow"),
    dict(type=PackSegInputs),
]
