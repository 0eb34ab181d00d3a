"""What `gpu_acceptance.sh` runs: the parts of `benchmark.acceptance`, whose parser it is."""

import _cli

from benchmark.acceptance.running import main

if __name__ == "__main__":
    _cli.run(main)
