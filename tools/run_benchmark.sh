#!/usr/bin/env bash
# Run the matrix of a config: pre-trainings, fine-tunings, board. See docs/sweep.md.
#
#   tools/run_benchmark.sh configs/leaderboard/demo.py --dry-run
#   tools/run_benchmark.sh configs/leaderboard/demo.py --jobs 2
#   tools/run_benchmark.sh status configs/leaderboard/demo.py
set -euo pipefail

called=tools/run_benchmark.sh
[ -z "${ANGIO_SSL:-}" ] || called="angio-ssl run-benchmark"
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || python=python3
case ${1:-} in
    status | run) ;;
    *) set -- run "$@" ;;
esac
ANGIO_SSL_PROGRAM=$called exec "$python" "$root/tools/matrix.py" "$@"
