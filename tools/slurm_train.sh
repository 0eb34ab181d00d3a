#!/usr/bin/env bash
#SBATCH --job-name=angio-pretrain
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
# Pre-train under Slurm, one task per GPU, over as many time limits as it takes:
#
#   usage: tools/slurm_train.sh [--nodes=2 --partition=...] CONFIG [options of the training]
#
# The options before CONFIG are for sbatch, which it calls; from the repository, sbatch can also be
# called by hand: sbatch [--nodes=2 ...] tools/slurm_train.sh CONFIG. Two minutes before the time limit
# the run saves a checkpoint and the job requeues itself, to resume from there.
set -euo pipefail

called=tools/slurm_train.sh
[ -z "${ANGIO_SSL:-}" ] || called="angio-ssl slurm-train"

case ${1:-} in
    -h | --help)
        sed -n '/^#!/d; /^#SBATCH/d; /^#/!q; s/^# \{0,1\}//p' "$0" | sed "s#tools/slurm_train.sh#$called#"
        exit
        ;;
esac

submitted=()
if [ -z "${SLURM_JOB_ID:-}" ]; then
    while [[ ${1:-} == -* ]]; do
        submitted+=("$1")
        shift
    done
fi
if [ $# -lt 1 ]; then
    echo "usage: $called [options of sbatch, as --KEY=VALUE] CONFIG [options of the training]" >&2
    exit 2
fi
if [ -z "${SLURM_JOB_ID:-}" ]; then
    if ! command -v sbatch >/dev/null; then
        echo "error: sbatch: not found; submit from a machine with Slurm" >&2
        exit 2
    fi
    # Slurm runs a copy of this script from another folder.
    ANGIO_ROOT=$(cd "$(dirname "$0")/.." && pwd)
    export ANGIO_ROOT
    exec sbatch ${submitted[@]+"${submitted[@]}"} "$0" "$@"
fi
root=${ANGIO_ROOT:-${SLURM_SUBMIT_DIR:?submit this script with sbatch}}
if [ ! -f "$root/tools/train.py" ]; then
    echo "error: $root: submit from the repository, tools/train.py is not there" >&2
    exit 2
fi
python=${PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || python=python3

# Slurm sets SLURM_NTASKS only if --ntasks was given.
tasks=${SLURM_NTASKS:-}
if [ -z "$tasks" ]; then
    if ! [[ ${SLURM_NTASKS_PER_NODE:-} =~ ^[0-9]+$ && ${SLURM_NNODES:-} =~ ^[0-9]+$ ]]; then
        echo "error: SLURM_NTASKS: not set, nor are SLURM_NNODES and SLURM_NTASKS_PER_NODE;" \
            "submit with --ntasks-per-node" >&2
        exit 2
    fi
    tasks=$((SLURM_NNODES * SLURM_NTASKS_PER_NODE))
fi
# Since Slurm 22.05 srun does not inherit this from sbatch: a task would have one core.
if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then
    export SRUN_CPUS_PER_TASK=${SRUN_CPUS_PER_TASK:-$SLURM_CPUS_PER_TASK}
fi

# A wrong command does not get better in the queue.
"$python" "$root/tools/train.py" "$@" --resume --check "$tasks" || exit $?

hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
MASTER_ADDR=${hosts%%$'\n'*}
MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
export MASTER_ADDR MASTER_PORT

asked=0
# srun forwards signals to its tasks.
trap 'asked=1; kill -s USR1 "$step"' USR1
trap 'asked=1; kill -s TERM "$step"' TERM

# shellcheck disable=SC2016  # expanded by each task
srun --ntasks="$tasks" --kill-on-bad-exit=1 bash -c '
    export RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID WORLD_SIZE=$0
    exec "$@"' "$tasks" "$python" "$root/tools/train.py" "$@" --resume &
step=$!
status=0
wait "$step" || status=$?
while kill -0 "$step" 2>/dev/null; do
    status=0
    wait "$step" || status=$?
done

# 75: stopped by a signal and saved. Asked to stop but ended otherwise: there was no time to save, and
# the run resumes from the previous checkpoint. Bad input (2) and non-finite steps (3) would recur.
case $status in
    0 | 2 | 3) ;;
    75) scontrol requeue "$SLURM_JOB_ID" ;;
    *) [ "$asked" -eq 0 ] || scontrol requeue "$SLURM_JOB_ID" ;;
esac
exit "$status"
