"""A sweep on a cluster of one machine: Slurm's commands are stand-ins that run the job at once."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import textwrap
from pathlib import Path

import pytest

from benchmark.errors import InputError
from benchmark.sweep.execution import PROFILES, run_plan
from benchmark.sweep.plan import SweepSettings, make_plan

_SBATCH = """\
    #!{python}
    import os, subprocess, sys
    from pathlib import Path

    folder = Path({folder!r})
    number = str(len(list(folder.glob("*.state"))) + 1)
    state = folder / f"{{number}}.state"
    state.write_text("RUNNING")
    with (folder / "submitted.txt").open("a") as stream:
        print(" ".join(word for word in sys.argv[1:] if "--wrap" not in word), file=stream)
    (wrapped,) = [word[len("--wrap="):] for word in sys.argv if word.startswith("--wrap=")]
    script = f"({{wrapped}}); [ $? = 0 ] && s=COMPLETED || s=FAILED; printf $s > {{state}}"
    environment = {{**os.environ, "SLURM_JOB_ID": number, "CUDA_VISIBLE_DEVICES": "7"}}
    with open(folder / f"{{number}}.log", "w") as log:
        subprocess.Popen(["bash", "-c", script], stdout=log, stderr=log, env=environment)
    print(number)
"""
_SACCT = """\
    #!{python}
    from pathlib import Path

    for state in Path({folder!r}).glob("*.state"):
        print(f"{{state.stem}}|{{state.read_text()}}")
"""
_SRUN = """\
    #!/bin/bash
    while [ "${{1#-}}" != "$1" ]; do shift; done
    exec "$@"
"""
_NOTHING = "#!/bin/sh\n"


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder in which the stand-ins keep what they were told."""
    folder, programs = tmp_path / "slurm", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    scripts = dict.fromkeys(("sinfo", "squeue", "scontrol", "scancel", "sshare"), _NOTHING)
    for name, text in {**scripts, "sbatch": _SBATCH, "sacct": _SACCT, "srun": _SRUN}.items():
        text = textwrap.dedent(text).format(python=sys.executable, folder=str(folder))
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    monkeypatch.delenv("ANGIO_DEVICE", raising=False)  # the cluster decides
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("snakemake_executor_plugin_slurm") is None,
    reason="needs snakemake-executor-plugin-slurm",
)
def test_every_job_becomes_a_job_of_the_cluster(sweep, slurm, tmp_path):
    """With the resources of the profile, and the GPU that the cluster gave it."""
    profile = tmp_path / "profile"
    shutil.copytree(PROFILES / "slurm", profile)
    with (profile / "config.yaml").open("a", encoding="utf-8") as stream:
        stream.write(
            "slurm-init-seconds-before-status-checks: 1\nseconds-between-status-checks: 1\n"
        )
    sweep = sweep.only(methods=("mae",), datasets=("synthetic_v",), seeds=(0, 1))
    with pytest.raises(InputError, match="letters, digits and _@"):
        run_plan(sweep.plan(), profile, None, None)
    assert not (sweep.work / "sweep").exists()
    sweep = sweep.only(work=str(sweep.work.rename(tmp_path / "work")))
    sweep.change(broken=["mae-synthetic_v-1"])
    settings = SweepSettings(tools=sweep.tools, cell_gpus=1, pretrain_gpus=1)
    plan = make_plan(sweep.matrix, sweep.resolve, settings)
    assert run_plan(plan, profile, None, None) != 0
    snakemake = (sweep.work / "sweep" / "snakemake.log").read_text(encoding="utf-8")
    assert sweep.states() == {
        "mae": "done",
        "mae-synthetic_v-0": "done",
        "mae-synthetic_v-1": "failed",
    }, snakemake
    first, *others = (slurm / "submitted.txt").read_text(encoding="utf-8").splitlines()
    assert all(word in first for word in ("-t 2880", "--mem 128000", "--gpus=1"))
    assert len(others) == 2
    assert all("-t 240" in line and "--mem 48000" in line for line in others)
    log = sweep.work / "sweep" / "logs" / "finetune-demo-mae-synthetic_v-seed0.log"
    assert "CUDA_VISIBLE_DEVICES=7 " in log.read_text(encoding="utf-8")
