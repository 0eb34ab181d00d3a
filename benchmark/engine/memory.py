"""Memory of a process that trains on a CPU."""

from __future__ import annotations

import ctypes
import os

# Names and numbers of glibc's <malloc.h>.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGEST_THRESHOLD = 32 * 2**20
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Keep freed memory for the next step instead of giving it back to the system.

    By default glibc returns large blocks at once, and every step of a training has the system map
    and clear tens of thousands of pages anew. The peak stays the same. Blocks above 32 MiB, the
    most that glibc allows here, are still returned. On other systems nothing happens.

    Returns:
        Whether glibc took the settings.
    """
    if not hasattr(os, "confstr") or "CS_GNU_LIBC_VERSION" not in os.confstr_names:
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = {_M_MMAP_THRESHOLD: _LARGEST_THRESHOLD, _M_TRIM_THRESHOLD: _NEVER}
    return all(mallopt(setting, value) == 1 for setting, value in settings.items())
