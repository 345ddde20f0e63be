"""Giving freed memory back to the system, and looking for garbage less often.

Arrow's default pool and glibc's per-thread arenas keep what other threads free: while Lance writes what Python read,
the driver's memory grew with the rows (one unit of 122k pairs: 348 MB, of 969k: 633 MB). With Arrow on malloc, two
arenas and eager trimming, the larger one took 329 MB. `benchmarks/build.py` measures the whole build.

Python looks for cycles after every 700 new objects; nearly all of ours die without. Rarer looks save 5 to 10 % of the
CPU of starting up and of fetching.
"""

from __future__ import annotations

import ctypes
import gc
import sys

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_ARENA_MAX = -1, -8
TRIM_BYTES, ARENAS = 64 << 10, 2
GARBAGE_THRESHOLDS = (20_000, 20, 100)


def return_freed_memory() -> None:
    """Set this process' allocators so that its memory follows what it holds. For processes that are tuwen's own."""
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    if sys.platform == "linux":
        try:
            mallopt = ctypes.CDLL(None).mallopt
        except (OSError, AttributeError):  # another C library
            return
        mallopt(M_ARENA_MAX, ARENAS)
        mallopt(M_TRIM_THRESHOLD, TRIM_BYTES)
