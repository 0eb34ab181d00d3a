"""The sizes of `--scale`, in one place, for every config. Another scale is another entry here.

``paper`` is what the configs say. ``small`` fits one GPU for an hour, or a patient CPU; ``tiny``
takes seconds on a CPU and is what the tests and the demo run. ``mini`` is the reference run's: what
two CPU cores train overnight. Nothing else distinguishes a demo run from a real one.

``pretrain`` and ``finetune`` set top-level keys of those configs, unless the key is None there.
``parts`` sets arguments of a class wherever it stands in a config. Sizes that only one config needs
go into its own ``scales``, by the path of a key or as ``"Class.argument"``, and take precedence.
A scale with ``of`` has the sizes of that scale, also those of single configs, except what it names.
"""

# Plain ViTs, under whatever name.
_small_vit = {"img_size": 128, "embed_dim": 384, "depth": 6, "num_heads": 6}
_mini_vit = {"img_size": 96, "patch_size": 8, "embed_dim": 128, "depth": 6, "num_heads": 4}
_tiny_vit = {"img_size": 96, "patch_size": 8, "embed_dim": 96, "depth": 4, "num_heads": 3}

scales = {
    "paper": {"pretrain": {}, "finetune": {}, "parts": {}},
    "small": {
        # The linear rule would give small batches steps too small to learn anything in time.
        "pretrain": {"epochs": 100, "batch_size": 128, "lr_batch": 32, "log_interval": 10},
        "finetune": {"protocol": "small", "epochs": 50, "log_interval": 10},
        "parts": {
            "VisionTransformer": _small_vit,
            "MultiCropViT": _small_vit,
            "MAEDecoder": {"width": 256, "depth": 4, "num_heads": 8},
            "LossPredictingDecoder": {"width": 256, "depth": 4, "num_heads": 8},
            "CrossAttentionDecoder": {"width": 256, "depth": 4, "num_heads": 8},
            "LocalDecoder": {"width": 128, "num_heads": 4},
            "JEPAPredictor": {"width": 192, "depth": 3},
            "WorldPredictor": {"width": 192, "depth": 3},
            "EpochLinearMomentum": {"start": 0.99, "end": 0.999, "epochs": 12},
            "SingleView": {"size": 128},
            "TwoViews": {"size": 128},
            "MultiCrop": {"size": 128, "local_size": 64, "local_count": 4},
            "AttentionView": {"size": 128},
            "BlurredView": {"size": 128},
            "WorldViews": {"size": 128},
            "Resize": {"scale": (128, 128)},
            "SimpleFPN": {"widths": (32, 64, 128, 256)},
            "UNetDecoder": {"widths": (32, 64, 128, 256), "stem": 16},
            "WarmupCosine": {"warmup_epochs": 5},
            "WarmupMultiStep": {"warmup_epochs": 5},
            "StretchedWarmupCosine": {"warmup_epochs": 5},
            # One process trains more slowly than eight GPUs do while one of them probes.
            "ProbeHook": {"spacing": 200},
        },
    },
    "tiny": {
        "pretrain": {
            "epochs": 10,
            "batch_size": 16,
            "micro_batch": 8,
            "lr_batch": 8,
            "log_interval": 5,
            "num_workers": 0,
            "num_threads": 1,
            "checkpoint_interval": 5,
        },
        "finetune": {
            "protocol": "demo",
            "epochs": 20,
            "batch_size": 4,
            "log_interval": 10,
            "num_workers": 0,
            "num_threads": 1,
            "checkpoint_interval": 10,
        },
        "parts": {
            "VisionTransformer": _tiny_vit,
            "MultiCropViT": _tiny_vit,
            "MAEDecoder": {"width": 64, "depth": 2, "num_heads": 4},
            "LossPredictingDecoder": {"width": 64, "depth": 2, "num_heads": 4},
            "CrossAttentionDecoder": {"width": 64, "depth": 2, "num_heads": 4},
            "LocalDecoder": {"width": 64, "num_heads": 4},
            "JEPAPredictor": {"width": 48, "depth": 2},
            "WorldPredictor": {"width": 48, "depth": 2},
            "EpochLinearMomentum": {"start": 0.9, "end": 0.99, "epochs": 3},
            "SingleView": {"size": 96},
            "TwoViews": {"size": 96},
            "MultiCrop": {"size": 96, "local_size": 48, "local_count": 2},
            "AttentionView": {"size": 96},
            "BlurredView": {"size": 96},
            "WorldViews": {"size": 96},
            "Resize": {"scale": (96, 96)},
            "SimpleFPN": {"widths": (8, 16, 32, 64)},
            "UNetDecoder": {"widths": (8, 16, 32, 64), "stem": 8},
            "WarmupCosine": {"warmup_epochs": 2},
            "WarmupMultiStep": {"warmup_epochs": 2},
            "StretchedWarmupCosine": {"warmup_epochs": 2},
            "ProbeHook": {"spacing": 200},
        },
    },
    "mini": {
        "of": "tiny",
        # The linear rule would give this batch a step too small to learn anything in time.
        "pretrain": {
            "epochs": 10,
            "batch_size": 64,
            "micro_batch": 64,
            "lr_batch": 16,
            "log_interval": 50,
            "checkpoint_interval": 1,
        },
        "finetune": {"protocol": "mini", "epochs": 30, "batch_size": 8, "checkpoint_interval": 15},
        "parts": {
            "VisionTransformer": _mini_vit,
            "MultiCropViT": _mini_vit,
        },
    },
}
