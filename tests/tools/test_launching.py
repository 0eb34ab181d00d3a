"""Launchers: exit codes that mean something, signals that arrive, and jobs that go back in line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.training.distributed.signals import EXIT_NOT_FINITE, EXIT_SILENT, EXIT_STOPPED

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        ("signals.Stopped('saved')", EXIT_STOPPED, ""),
        ("signals.NotFinite('see there')", EXIT_NOT_FINITE, ""),
        ("signals.RankSilent('rank 1 is silent')", EXIT_SILENT, ""),
        ("InputError('x.py: wrong')", 2, "error: x.py: wrong\n"),
        ("KeyboardInterrupt", 130, "interrupted; run the same command again\n"),
        ("ModuleNotFoundError(name='torch')", 2, f"error: {sys.executable} has no module torch"),
        ("ModuleNotFoundError(name='benchmark.x')", 1, "Traceback"),
    ],
)
def test_exit_codes(raised, code, said):
    """Of what ends a run early; the run itself has said why, so the tool does not."""
    program = (
        "import _cli\nfrom benchmark.training.distributed import signals\n"
        "from benchmark.errors import InputError\n"
        f"def main():\n    raise {raised}\n_cli.run(main)"
    )
    command = [sys.executable, "-c", program]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tools")}
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert done.stderr.startswith(said)
    assert bool(done.stderr) == bool(said)


def executable(path: Path, text: str) -> Path:
    path.write_text(f"#!/usr/bin/env bash\n{text}")
    path.chmod(0o755)
    return path


# What a program that is asked to stop does: a run, and one that has no time to save.
SAVES = "trap 'exit 75' USR1; touch started; while :; do sleep 0.05; done"
DIES = "trap 'exit 9' USR1; touch started; while :; do sleep 0.05; done"


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start the Slurm script as sbatch would, with programs in the places of Slurm's own."""
    tools = tmp_path / "bin"
    tools.mkdir()
    executable(
        tools / "scontrol", 'echo "$@" >> scontrol\n[ "$1" != show ] || printf "n1\\nn2\\n"\n'
    )
    # srun starts the tasks, and passes signals on to them.
    executable(
        tools / "srun",
        'echo "$SRUN_CPUS_PER_TASK $1 $2" > srun\nshift 2\n'
        "export SLURM_PROCID=5 SLURM_LOCALID=1\n"
        "\"$@\" & task=$!\ntrap 'kill -USR1 $task' USR1\n"
        "while :; do wait $task; code=$?; kill -0 $task 2>/dev/null || exit $code; done\n",
    )
    submitted = tmp_path / "tools"
    submitted.mkdir()
    (submitted / "train.py").touch()

    def start(program: str, check: int = 0, **variables: str | None) -> subprocess.Popen[str]:
        python = executable(
            tmp_path / "python",
            f'case " $* " in *" --check 8 "*) exit {check};; esac\n'
            'echo "$RANK $LOCAL_RANK $WORLD_SIZE $MASTER_ADDR $MASTER_PORT $*" > started_with\n'
            + program,
        )
        environment = {
            **os.environ,
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PYTHON": str(python),
            "SLURM_SUBMIT_DIR": str(tmp_path),
            "SLURM_NTASKS": "8",
            "SLURM_JOB_NODELIST": "n[1-2]",
            "SLURM_JOB_ID": "41234",
            **variables,
        }
        environment = {key: value for key, value in environment.items() if value is not None}
        command = ["bash", str(ROOT / "tools" / "slurm_train.sh"), "configs/mae/pretrain.py"]
        return subprocess.Popen(
            [*command, "--seed", "1"],
            env=environment,
            cwd=tmp_path,
            text=True,
            stderr=subprocess.PIPE,
        )

    return start


def wait_for(process: subprocess.Popen[str], happened: Callable[[], bool]) -> None:
    until = time.monotonic() + 200
    while not happened():
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.05)


def requeued(folder: Path) -> bool:
    return "requeue 41234" in (folder / "scontrol").read_text()


@pytest.mark.parametrize(("program", "code"), [(SAVES, 75), (DIES, 9)])
def test_a_job_before_its_limit_goes_back_in_line(job, tmp_path, program, code):
    """USR1 to the script reaches the run; one that could not save is requeued, too."""
    process = job(program)
    wait_for(process, (tmp_path / "started").exists)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(30) == code
    assert requeued(tmp_path)
    train = f"{tmp_path}/tools/train.py configs/mae/pretrain.py --seed 1 --resume"
    assert (tmp_path / "started_with").read_text() == f"5 1 8 n1 21234 {train}\n"


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_other_ends_of_a_job_are_final(job, tmp_path, code):
    """Done, a defect, bad input and steps that are not finite: the queue would change nothing."""
    assert job(f"exit {code}").wait(30) == code
    assert not requeued(tmp_path)


def test_bad_input_does_not_start_a_job(job, tmp_path):
    assert job(SAVES, check=2).wait(30) == 2
    assert not (tmp_path / "started_with").exists()


@pytest.mark.parametrize(
    ("variables", "cores"),
    [
        ({"SLURM_CPUS_PER_TASK": "6"}, "6"),
        ({"SLURM_CPUS_PER_TASK": "6", "SRUN_CPUS_PER_TASK": "3"}, "3"),
        ({"SLURM_CPUS_PER_TASK": None, "SRUN_CPUS_PER_TASK": None}, ""),
        (dict(SLURM_NTASKS=None, SLURM_NNODES="2", SLURM_NTASKS_PER_NODE="4"), ""),
    ],
)
def test_tasks_have_their_cores_and_number(job, tmp_path, variables, cores):
    """srun does not take them from sbatch, and the number of tasks may have to be worked out."""
    assert job("exit 0", **variables).wait(30) == 0
    assert (tmp_path / "srun").read_text() == f"{cores} --ntasks=8 --kill-on-bad-exit=1\n"
    assert (tmp_path / "started_with").read_text().startswith("5 1 8 n1 ")


@pytest.mark.parametrize("per_node", [None, "8(x2)"])
def test_a_job_without_a_number_of_tasks_is_refused(job, tmp_path, per_node):
    process = job("exit 0", SLURM_NTASKS=None, SLURM_NNODES="2", SLURM_NTASKS_PER_NODE=per_node)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert err == (
        "error: SLURM_NTASKS: not set, nor are SLURM_NNODES and SLURM_NTASKS_PER_NODE; submit with "
        "--ntasks-per-node\n"
    )
    assert not (tmp_path / "started_with").exists()


def test_the_slurm_script_submits_itself(tmp_path):
    """Outside of a job, from any folder; the options before the config are those of sbatch."""
    executable(tmp_path / "sbatch", 'printf "%s\\n" "$ANGIO_ROOT" "$@"\n')
    script = str(ROOT / "tools" / "slurm_train.sh")
    outside = {name: value for name, value in os.environ.items() if name[:5] != "SLURM"}
    environment = {**outside, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    words = ["--nodes=2", "--partition=gpu", "mae", "--seed", "1"]

    def run(words, **environment):
        command = ["bash", script, *words]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    done = run(words, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n")[:-1] == [str(ROOT), *words[:2], script, *words[2:]]
    without = run(words, **outside)
    assert (without.returncode, without.stderr) == (
        2,
        "error: sbatch: not found; submit from a machine with Slurm\n",
    )
    assert run(words[:2], **environment).returncode == 2


def test_a_submitted_job_finds_the_package(job, tmp_path):
    """Where the script was, not where it was submitted from."""
    (tmp_path / "tools" / "train.py").unlink()
    assert job("exit 0").wait(30) == 2
    assert job("exit 0", ANGIO_ROOT=str(ROOT)).wait(30) == 0
    assert f" {ROOT}/tools/train.py configs/mae" in (tmp_path / "started_with").read_text()


def pack(folder: Path) -> Path:
    from benchmark.data.packs import build_pack
    from benchmark.data.sources import open_source

    source = open_source("synthetic", patients="2", videos="1", frames="8", size="64")
    return build_pack(source, folder, size=64, progress=False).path


def launch(folder: Path, *more: str, **variables: str) -> subprocess.Popen[str]:
    """A run of two processes that would take hours."""
    launcher = ["bash", str(ROOT / "tools" / "dist_train.sh"), "configs/mae/pretrain.py", "2"]
    options = ("batch_size=4", "micro_batch=2", "num_workers=0", "num_threads=1", "log_interval=1")
    options += ("epochs=20000", "checkpoint_interval=20000", *more)
    command = [
        *(*launcher, "--scale", "tiny", "--packs", str(folder / "pack")),
        *("--work-dir", str(folder / "run"), "--resume", "--cfg-options", *options),
    ]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1", **variables},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def last_step(folder: Path) -> int:
    """Of the log, 0 before its first line."""
    log = folder / "run" / "metrics.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    return json.loads(lines[-1])["step"] if lines else 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_launched_run_stops_and_goes_on(tmp_path, number):
    """Two processes through torchrun: one line, code 75, a checkpoint where they stopped."""
    pack(tmp_path / "pack")
    for _ in range(2):
        before = last_step(tmp_path)
        process = launch(tmp_path)
        wait_for(process, lambda before=before: last_step(tmp_path) > before)
        process.send_signal(number)
        out, err = process.communicate(timeout=100)
        assert process.returncode == EXIT_STOPPED, err
        assert f"MAE: {number.name}: saved after step" in out
        assert "Traceback" not in err


def workers_of(folder: Path) -> dict[int, int]:
    """Process ids of the training processes, by rank."""
    listed = ["ps", "-A", "-ww", "-o", "pid=", "-o", "args="]
    found = subprocess.run(listed, capture_output=True, text=True, check=True).stdout
    ours = [line for line in found.splitlines() if str(folder / "run") in line]
    numbers = [
        int(line.split()[0]) for line in ours if "_launch.py" not in line and "bash" not in line
    ]
    ranks = {}
    for number in numbers:
        variables = Path(f"/proc/{number}/environ").read_bytes().split(b"\0")
        (rank,) = [int(text[5:]) for text in variables if text.startswith(b"RANK=")]
        ranks[rank] = number
    return ranks


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_stopped_process_ends_the_launch_by_itself(tmp_path, rank):
    """One line that names it, a code of its own, nothing left running; the run can be resumed."""
    pack(tmp_path / "pack")
    process = launch(tmp_path, "timeout_minutes=0.1")
    wait_for(process, lambda: last_step(tmp_path) > 0)
    workers = workers_of(tmp_path)
    os.kill(workers[rank], signal.SIGSTOP)
    _, err = process.communicate(timeout=100)
    assert process.returncode == EXIT_SILENT
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, err
    assert lines[0].startswith(f"error: rank {rank} (process {workers[rank]} on ")
    assert "no sign of life for 0.1 min, last: " in lines[0]
    assert "Traceback" not in err
    assert workers_of(tmp_path) == {}


@pytest.mark.slow
def test_a_stopped_process_cannot_outlive_sigterm(tmp_path):
    """The others are given their time to save; then all are killed, and it says so."""
    pack(tmp_path / "pack")
    process = launch(tmp_path, GRACE_SECONDS="2")
    wait_for(process, lambda: last_step(tmp_path) > 0)
    os.kill(workers_of(tmp_path)[1], signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 128 + signal.SIGKILL
    assert "did not end after SIGTERM and was killed; --resume continues" in err
    assert workers_of(tmp_path) == {}


@pytest.mark.parametrize(
    ("codes", "expected"),
    [((75, 9), 9), *(pytest.param((code, 75), 75, marks=pytest.mark.slow) for code in (0, 75))],
)
def test_a_launcher_that_is_asked_to_stop_ends_as_its_processes(codes, expected, tmp_path):
    """75 says that all have saved."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os, signal, sys, time\n"
        f"code = {codes}[int(os.environ['RANK'])]\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(code))\n"
        f"open(os.path.join({str(tmp_path)!r}, os.environ['RANK']), 'w').close()\n"
        "time.sleep(100)\n"
    )
    launcher = [sys.executable, str(ROOT / "tools" / "_launch.py"), "--standalone"]
    process = subprocess.Popen([*launcher, "--nproc_per_node", "2", str(program)])
    wait_for(process, lambda: (tmp_path / "0").exists() and (tmp_path / "1").exists())
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == expected


@pytest.mark.slow
def test_a_killed_process_ends_the_launch(tmp_path):
    """Which says so in a line; nothing is left running."""
    pack(tmp_path / "pack")
    process = launch(tmp_path)
    wait_for(process, lambda: last_step(tmp_path) > 0)
    workers = workers_of(tmp_path)
    assert len(workers) == 2
    os.kill(workers[1], signal.SIGKILL)
    _, err = process.communicate(timeout=100)
    assert process.returncode not in (0, EXIT_STOPPED)
    assert "was ended by SIGKILL" in err or "Traceback" in err
    assert workers_of(tmp_path) == {}
