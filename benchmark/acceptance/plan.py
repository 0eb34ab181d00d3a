"""The parts of the acceptance run, in the order of what would be lost first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[2]
"""The clone of the project, whose tools and tests the parts run."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part.

    Attributes:
        name: for ``--only``, and the name of its log.
        title: what it shows.
        function: ``"module:function"`` in `benchmark.acceptance`; takes whether sizes are reduced,
            and yields findings.
        limit: seconds on one GPU, after which it is killed.
        needs: ``"nothing"``, ``"a GPU"`` or ``"two GPUs"``; two processes on a CPU stand for two
            GPUs.
    """

    name: str
    title: str
    function: str
    limit: int
    needs: Literal["nothing", "a GPU", "two GPUs"] = "nothing"


# The limits of the parts that do not need two GPUs add up to ten minutes.
PARTS = (
    Part("environment", "Check of the environment; TF32", "machine:environment", 30),
    Part("exports", "Encoders of all kinds, exported and loaded", "agreement:exports", 45),
    Part("tests", "pytest -m gpu", "machine:gpu_tests", 90, "a GPU"),
    Part("anatomy", "Vessel masks of 512², mixed sizes", "agreement:vessel_masks", 20),
    Part("views", "Views and masks of all methods", "agreement:views", 30),
    Part("methods", "Loss and gradient of all methods", "agreement:first_steps", 75),
    Part("waiting", "No step waits for the GPU", "runs:steps_without_waiting", 25, "a GPU"),
    Part("resume", "SIGUSR1, resume, export", "runs:interrupted_run", 45),
    Part("nan", "A batch with a non-finite loss", "runs:nonfinite_batch", 15),
    Part("tasks", "Ten steps and a test of every task", "tasks:all_tasks", 45),
    Part("memory", "Steps of the paper's size", "timings:paper_steps", 30),
    Part("speed-anatomy", "Extraction of vessel masks", "timings:anatomy", 15),
    Part("speed-step", "Step and loading", "timings:step", 45),
    Part("speed-mmpretrain", "MAE end to end", "timings:end_to_end", 50),
    Part("speed-vasomim", "VasoMIM at equal masks", "timings:equal_masks", 20),
    Part("speed-finetune", "Fine-tuning", "timings:finetuning", 20),
    Part("processes", "Two processes equal one", "processes:two_equal_one", 90, "two GPUs"),
    Part("killed", "One of two processes is killed", "processes:one_killed", 60, "two GPUs"),
)
