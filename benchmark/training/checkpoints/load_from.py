"""Starting a new run from existing weights: a checkpoint or an exported network."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.encoders.encoder import load_encoder
from benchmark.errors import InputError
from benchmark.files import list_folder
from benchmark.method import Method
from benchmark.training.checkpoints.checkpoint import checkpoint_paths, read_checkpoint
from benchmark.weights import load_strict, read_tensors


def weights_file(path: Path) -> Path:
    """The file that holds the weights a run starts from.

    `path` is a checkpoint of a run (``.pth``), an exported network (``NAME.safetensors``), or a
    folder: then its exported encoder, else its only other network, else its newest checkpoint.

    Raises:
        InputError: there is no such file, or nothing of this kind in the folder.
    """
    if path.is_dir():
        encoder = path / "encoder.safetensors"
        networks = [encoder] if encoder.is_file() else list_folder(path, "*.safetensors")
        found = networks if len(networks) == 1 else checkpoint_paths(path)
        if not found:
            raise InputError(
                f"{path}: --load-from finds neither encoder.safetensors nor a checkpoint there; "
                "name a file"
            )
        path = found[0]
    if not path.is_file():
        raise InputError(f"{path}: no such file to load from")
    if path.suffix not in (".pth", ".safetensors"):
        raise InputError(
            f"{path}: --load-from takes a checkpoint of a run (.pth), an exported network "
            "(.safetensors) or a folder of either; convert others with tools/convert_checkpoint.py"
        )
    return path


def load_initial_weights(method: Method, file: Path) -> None:
    """Load the weights a run starts from, strictly, from a file that `weights_file` has found.

    A checkpoint has to be of the same method, and replaces all of its weights. An exported
    network is loaded into the part the method exports under its name, and into all parts that start
    as a copy of it, such as EMA teachers; the rest keeps its initial values.

    Raises:
        InputError: the file is damaged or refused, or does not fit the method.
    """
    if file.suffix == ".pth":
        load_strict(method, read_checkpoint(file).model, file)
        return
    exports = method.exports()
    if file.stem not in exports:
        raise InputError(
            f"{file}: {type(method).__name__} exports {', '.join(exports)}, and so can start from "
            f"a file of that name or from a checkpoint, not from {file.stem!r}"
        )
    if file.stem == "encoder":
        # What is exported may be the EMA of the encoder that is trained.
        network, tensors = method.get_submodule(method.encoder_name), _encoder_tensors(method, file)
    else:
        network, tensors = exports[file.stem], read_tensors(file)
    for part in _copies(method, network):
        load_strict(part, tensors, file)


def _encoder_tensors(method: Method, file: Path) -> dict[str, Tensor]:
    """The tensors of an exported encoder, whose features and intensities have been checked."""
    encoder, card = load_encoder(file.parent)
    for key in ("mean", "std"):
        own = getattr(method.views, key, None)
        if isinstance(own, Tensor):
            expected = torch.tensor(getattr(card, key)) * 255
            if not torch.allclose(own.flatten(), expected.to(own), rtol=1e-3):
                raise InputError(
                    f"{file}: was trained on intensities with {key}={getattr(card, key)}; set "
                    f"method.views.{key} to it"
                )
    return encoder.state_dict()


def _copies(method: Method, network: nn.Module) -> list[nn.Module]:
    """A part of a method, and all others that have the same names and values."""
    state = network.state_dict()

    def equal(other: nn.Module) -> bool:
        values = other.state_dict()
        return values.keys() == state.keys() and all(
            torch.equal(values[name], value) for name, value in state.items()
        )

    return [network, *(m for m in method.modules() if m is not network and equal(m))]
