#!/usr/bin/env bash
# All tests that need a GPU, in at most ten minutes on one card; see --help.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || python=python3
exec "$python" "$root/tools/_acceptance.py" "$@"
