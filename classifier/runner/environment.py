"""Environment variables that set how glibc and OpenMP use memory and cores. No result depends on them."""

import os
import platform
import sys

# glibc's caches of small blocks are off: they keep freed memory of torch in pieces, too small for a large block.
MALLOC = "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0"
# Blocks of up to 32 MB are kept for reuse, since it takes long to get new ones from the kernel.
MALLOC += f":glibc.malloc.mmap_threshold={2**25}:glibc.malloc.trim_threshold={2**31 - 1}"
# How often an OpenMP thread looks for work before it sleeps. By default it looks for milliseconds. If another program
# occupies a core, all other threads then spin until the thread of that core gets its turn.
SPINS = "1000"


def let_idle_threads_sleep() -> None:
    """Let idle OpenMP threads sleep early, unless the environment says how threads wait. Call before torch loads."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def restart_with_malloc_settings() -> None:
    """Restart this process with MALLOC in GLIBC_TUNABLES, unless the variable is set.

    glibc reads the variable only when a process starts.
    """
    if platform.libc_ver()[0] == "glibc" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = MALLOC
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
