"""Entry point of `gpu_acceptance.sh`; parts and options are in `benchmark.acceptance`."""

import _cli

from benchmark.acceptance.running import main

if __name__ == "__main__":
    _cli.run(main)
