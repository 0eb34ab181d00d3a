#!/usr/bin/env bash
# Everything that only a GPU shows, in at most ten minutes on one card; --help says more.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || python=python3
exec "$python" "$root/tools/_acceptance.py" "$@"
