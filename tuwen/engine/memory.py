"""Giving freed memory back to the system.

Arrow's default pool and glibc's per-thread arenas keep what other threads free: while Lance writes what Python read,
the driver's memory grew with the rows (one unit of 122k pairs: 348 MB, of 969k: 633 MB). With Arrow on malloc, two
arenas and eager trimming, the larger one took 329 MB. `benchmarks/build.py` measures the whole build.
"""

from __future__ import annotations

import ctypes
import sys

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_ARENA_MAX = -1, -8
TRIM_BYTES, ARENAS = 64 << 10, 2


def return_freed_memory() -> None:
    """Set this process' allocators so that its memory follows what it holds. For processes that are tuwen's own."""
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    if sys.platform == "linux":
        try:
            mallopt = ctypes.CDLL(None).mallopt
        except (OSError, AttributeError):  # another C library
            return
        mallopt(M_ARENA_MAX, ARENAS)
        mallopt(M_TRIM_THRESHOLD, TRIM_BYTES)
