"""Protocol `knn`: weighted nearest neighbours of frozen patch features (`docs/protocol.md`).

From DINO: cosine similarity, votes weighted by exp(similarity / 0.07), the 20 nearest neighbours. A
declared choice of this benchmark: patches instead of images, those of 16² pixels of the network's
image (maps of other strides are resized to them, so that all encoders are compared on the same
patches); a patch is vessel if one pixel of it is, as in the analysis of patch features.
"""

label_fraction = 1.0
metrics = ("patch_ap", "patch_dsc")
neighbours = 20
temperature = 0.07
patch = 16
vessel_pixels = 1
patches = 200_000
micro_batch = 16
num_threads = 0

scales = dict(tiny={"patch": 8})
