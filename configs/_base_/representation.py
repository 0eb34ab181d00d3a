"""Analysis of patch features, protocol `journal` (table VI; `docs/representations.md`).

The papers state the data (XCAV, train), the three indices and t-SNE. All else is a declared choice
of this benchmark: a patch is vessel if one pixel of it is, as in the share of vessel patches among
masked ones; every patch of XCAV's training frames at 224² is analysed (of larger datasets equally
many, sampled uniformly); features are not standardised; perplexity and iterations are
scikit-learn's defaults. Frames are preprocessed as in the dataset's fine-tuning.
"""

from benchmark.downstream.representation.clusters import LinearProbe
from benchmark.downstream.representation.projection import TSNEProjection, UMAPProjection

split = "train"
patches = 40_000
vessel_pixels = 1
projection = "tsne"
tsne = dict(type=TSNEProjection, perplexity=30.0, iterations=1000)
umap = dict(type=UMAPProjection, neighbours=15, min_distance=0.1)
probe = dict(type=LinearProbe, folds=5, c=1.0, iterations=1000)
micro_batch = 16
num_threads = 0

scales = dict(
    tiny={"patches": 1500, "tsne.iterations": 500},
    small={"patches": 10_000},
)
