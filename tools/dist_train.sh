#!/usr/bin/env bash
# Pre-train on N processes of this machine (GPUs with nccl, CPUs with gloo), or on many machines:
#
#   usage: tools/dist_train.sh CONFIG N [options of the training]
#
# Several machines: set NNODES, NODE_RANK and MASTER_ADDR (and MASTER_PORT) on each of them.
# On SIGUSR1 or SIGTERM the run finishes its step, saves a checkpoint and ends with exit code 75. A
# process still alive GRACE_SECONDS (90) and 30 s after a SIGTERM is killed, exit code 137.
set -euo pipefail

called=tools/dist_train.sh
[ -z "${ANGIO_SSL:-}" ] || called="angio-ssl dist-train"

case ${1:-} in
    -h | --help)
        sed -n '/^#!/d; /^#SBATCH/d; /^#/!q; s/^# \{0,1\}//p' "$0" | sed "s#tools/dist_train.sh#$called#"
        exit
        ;;
esac

if [ $# -lt 2 ]; then
    echo "usage: $called CONFIG N [options of the training]" >&2
    exit 2
fi
if ! [[ $2 =~ ^[1-9][0-9]*$ ]]; then
    echo "error: N=$2: must be a number of processes; usage: $called CONFIG N [options]" >&2
    exit 2
fi
config=$1
processes=$2
shift 2
grace=${GRACE_SECONDS:-90}
if ! [[ $grace =~ ^[0-9]+$ ]]; then
    echo "error: GRACE_SECONDS=$grace: must be a number of seconds" >&2
    exit 2
fi
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || python=python3

# Errors that can be found before any process starts are reported once, not by each of them.
nodes=${NNODES:-1}
if [ "${NODE_RANK:-0}" -eq 0 ]; then
    "$python" "$root/tools/train.py" "$config" "$@" --check $((nodes * processes)) || exit $?
fi

rendezvous=(--standalone)
if [ "$nodes" -gt 1 ]; then
    rendezvous=(
        --node_rank "${NODE_RANK:?set NODE_RANK}"
        --master_addr "${MASTER_ADDR:?set MASTER_ADDR}"
        --master_port "${MASTER_PORT:-29500}"
    )
fi
"$python" "$root/tools/_launch.py" --nnodes "$nodes" --nproc_per_node "$processes" \
    "${rendezvous[@]}" "$root/tools/train.py" "$config" "$@" &
launcher=$!

# To the processes themselves: torchrun would kill them 30 s after forwarding a signal.
pass_on() {
    local children
    children=$(ps -A -o pid= -o ppid= | awk -v parent="$launcher" '$2 == parent { print $1 }')
    kill -s "$1" ${children:-"$launcher"}
}
# A process that is stopped or hangs can neither save nor exit.
timer=
end_later() {
    [ -z "$timer" ] || return 0
    (
        sleep "$grace" &
        trap 'kill $!' EXIT
        trap exit TERM
        wait $!
        kill -s TERM "$launcher"
    ) >/dev/null 2>&1 &
    timer=$!
}
trap 'pass_on USR1' USR1
trap 'end_later; pass_on TERM' TERM
trap : INT # the launcher receives it, too
# A signal ends `wait`, not the launcher.
status=0
wait "$launcher" || status=$?
while kill -0 "$launcher" 2>/dev/null; do
    status=0
    wait "$launcher" || status=$?
done
[ -z "$timer" ] || kill "$timer" 2>/dev/null || :
exit "$status"
