"""A fine-tuned model as a product: ``model.safetensors`` and ``model.json``.

The two files are all it takes: neither the run that made them nor its encoder is needed.
"""

from benchmark.downstream.fine_tuned.description import (
    NAME,
    ModelDescription,
    read_model_description,
)

__all__ = ["NAME", "ModelDescription", "read_model_description"]
