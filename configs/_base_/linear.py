"""Protocol `linear`: batch norm and one linear layer on frozen patch features (`docs/protocol.md`).

From DINOv2 and DINOv3 (linear segmentation, ADE20K): the patch features of the last layer after its
norm, batch norm, one linear layer, logits up-sampled bilinearly to the image, batches of 16, AdamW
with a peak learning rate of 1e-3 and a weight decay of 1e-4 (DINOv2; DINOv3's code: 1e-2). All
else is a declared choice of this benchmark: the losses of fine-tuning, full frames and their
mirror images in place of random crops, so that features are extracted once, a half cosine without
warm-up, 1,000 steps instead of 40,000, however many frames there are, and average precisions before
DSC, of the logits of patches (those of `knn`) and of the pixels: one logit per patch may rank thin
vessels first without lifting any pixel above one half, and cannot say where in the patch they are.
"""

from torch.optim import AdamW

from benchmark.downstream.segmentation.model import BinaryCrossEntropy, BinaryDice

label_fraction = 1.0
metrics = ("patch_ap", "pixel_ap", "dsc")
patch = 16
vessel_pixels = 1
mirrored = True
steps = 1000
batch_size = 16
base_lr = 1e-3
optimizer = dict(type=AdamW, weight_decay=1e-4)
losses = [dict(type=BinaryCrossEntropy), dict(type=BinaryDice)]
micro_batch = 16
num_threads = 0

# Narrower features need larger steps.
scales = dict(
    tiny={"base_lr": 1e-2, "steps": 300, "patch": 8}, small={"base_lr": 3e-3, "steps": 500}
)
