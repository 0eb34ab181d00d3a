"""Corruptions of test frames, protocol `corruptions` (`docs/protocol.md`).

Seven kinds typical of angiography, each at five severities, mildest first. The design is that of
ImageNet-C (Hendrycks & Dietterich, ICLR 2019); kinds and levels are a declared choice of this
benchmark, made by looking at frames of DCA1, CADICA and the stenosis dataset: at severity 1 a
reader sees the difference beside the clean frame, at severity 5 thin branches are lost. Lengths and
photons are for a frame 512 pixels wide.
"""

seed = 0
corruptions = dict(
    quantum_noise=(400, 150, 60, 25, 10),  # photons per white pixel; 400, 150, 60 as in denoising
    electronic_noise=(0.02, 0.04, 0.07, 0.1, 0.15),  # standard deviation, white being 1
    motion_blur=(5, 9, 14, 21, 30),  # pixels
    contrast_dilution=(0.7, 0.5, 0.35, 0.22, 0.12),  # remaining share of the contrast medium
    window=((0.85, 1.2), (0.7, 1.45), (0.57, 1.75), (0.47, 2.1), (0.4, 2.5)),  # width, gamma
    jpeg=(40, 20, 12, 8, 5),  # quality
    resolution=(2, 3, 5, 7, 10),  # side of a pixel, relative to the native one
)
