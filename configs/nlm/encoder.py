"""Non-local means (Buades et al., CVPR 2005) by scikit-image; nothing is trained.

Patches of 7×7 within 21×21 pixels, the sizes of the paper, in the fast form with equal weights
(Darbon et al., ISBI 2008). The noise of each frame is estimated from the frame.
"""

from benchmark.downstream.denoising.classical import NonLocalMeans

card = dict(
    title="NLM",
    family="classical",
    paper="Buades et al., CVPR 2005",
    pretraining="—",
)

task = "denoising"
classical = dict(type=NonLocalMeans, patch_size=7, patch_distance=10, strength=0.8, fast=True)
