"""A part of the acceptance run, in the process that `running` starts for it."""

import sys

from benchmark.acceptance.running import main

sys.exit(main())
