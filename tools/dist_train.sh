#!/usr/bin/env bash
# Pre-train on N processes of this machine (GPUs with nccl, CPUs with gloo), or on many machines:
#
#   tools/dist_train.sh CONFIG N [arguments of tools/train.py]
#
# Several machines: set NNODES, NODE_RANK and MASTER_ADDR (and MASTER_PORT) on each of them.
set -euo pipefail

if [ $# -lt 2 ] || ! [[ $2 =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: tools/dist_train.sh CONFIG PROCESSES [arguments of tools/train.py]" >&2
    exit 2
fi
config=$1
processes=$2
shift 2
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || python=python3

# torchrun wraps the one line of an error in a page of its own; what can be found before, is.
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
exec "$python" -m torch.distributed.run --nnodes "$nodes" --nproc_per_node "$processes" \
    "${rendezvous[@]}" "$root/tools/train.py" "$config" "$@"
