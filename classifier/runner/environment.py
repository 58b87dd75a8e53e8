"""What a launcher says in the environment of the processes that it starts, and what a process sets there for itself."""

import os
import platform
import sys

# glibc's caches of small pieces are off: they keep apart what torch frees, so that large blocks do not fit between.
MALLOC = "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0"
# Blocks of up to 32 MB are kept for the next one: to fetch each anew takes long.
MALLOC += f":glibc.malloc.mmap_threshold={2**25}:glibc.malloc.trim_threshold={2**31 - 1}"
# How often a thread of OpenMP looks for work before it sleeps. By itself it looks for milliseconds, and where another
# program has one of the cores, all threads wait so for the one that stood there.
SPINS = "1000"


def share_cores() -> None:
    """Let threads that wait soon sleep, unless the environment says how they wait; to be called before torch is loaded.
    No result changes.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def restart_with_malloc_settings() -> None:
    """Replace this process by one with MALLOC, unless the environment has other tunables: glibc reads them at a
    process's start alone. No result changes.
    """
    if platform.libc_ver()[0] == "glibc" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = MALLOC
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
