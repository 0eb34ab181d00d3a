"""mmengine's visualizer of a run: TensorBoard and W&B get what ``metrics.jsonl`` holds."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

from mmengine.visualization import TensorboardVisBackend, WandbVisBackend

from benchmark.training.config import to_plain
from benchmark.training.run import Run

# What backends of mmengine's visualizer need, and are named after.
_PACKAGES = ("tensorboard", "wandb", "mlflow", "clearml", "neptune", "dvclive", "aim")


class TensorboardBackend(TensorboardVisBackend):
    """Scalars in fp64, on the disk with their line of the log.

    mmengine's rounds them to fp32, and a kill loses those of two minutes.
    """

    def add_scalar(self, name: str, value: float, step: int = 0, **_: Any) -> None:
        self.experiment.add_scalar(name, value, step, new_style=True, double_precision=True)

    def add_scalars(self, scalar_dict: dict[str, Any], step: int = 0, *args: Any, **_: Any) -> None:
        super().add_scalars(scalar_dict, step)
        self.experiment.flush()


class WandbBackend(WandbVisBackend):
    """Scalars and images at their steps; mmengine's counts calls instead."""

    def add_scalar(self, name: str, value: float, step: int = 0, **_: Any) -> None:
        self.experiment.log({name: value}, step=step)

    def add_scalars(self, scalar_dict: dict[str, Any], step: int = 0, *args: Any, **_: Any) -> None:
        self.experiment.log(scalar_dict, step=step)

    def add_image(self, name: str, image: Any, step: int = 0, **_: Any) -> None:
        wandb = self.experiment
        wandb.log({name: wandb.Image(image)}, step=step)

    def close(self) -> None:
        """mmengine's calls a method that current versions of wandb do not have."""
        if hasattr(self, "_wandb"):
            self._wandb.finish()


_OURS = {"TensorboardVisBackend": TensorboardBackend, "WandbVisBackend": WandbBackend}


def visualizer_config(run: Run) -> dict[str, Any] | None:
    """The config of a run's visualizer; None where it has none.

    A backend whose package is not installed is skipped, with a line that says so. All executions of
    a run write to one folder. A W&B run is offline unless ``WANDB_MODE`` or its ``init_kwargs`` say
    otherwise, and is named after the run.
    """
    visualizer = run.config.get("visualizer")
    if visualizer is None:
        return None
    kept = []
    for backend in visualizer.get("vis_backends", ()):
        name = getattr(backend["type"], "__name__", backend["type"])
        package = name.removesuffix("VisBackend").lower()
        if package in _PACKAGES and find_spec(package) is None:
            run.say(
                f"warning: visualizer: {name} is skipped, {package} is not installed "
                f"(pip install {package})"
            )
            continue
        kept.append({**backend, "type": _OURS.get(name, backend["type"])})
        if name == "WandbVisBackend":
            kept[-1]["init_kwargs"] = {**_wandb_run(run), **backend.get("init_kwargs", {})}
    return {"save_dir": str(run.folder / "mmengine"), **visualizer, "vis_backends": kept}


def _wandb_run(run: Run) -> dict[str, Any]:
    return {
        "project": "angio-ssl-bench",
        "name": run.title,
        "config": to_plain(run.config),
        "mode": os.environ.get("WANDB_MODE", "offline"),
        # ``train.log`` has the lines of the screen.
        "settings": {"console": "off"},
    }
