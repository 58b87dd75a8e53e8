"""Measure how much memory calls of a function need, in a process of their own."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import forking
import psutil


def peaks(function: Callable, *arguments) -> list[int]:
    """Call a function with one argument after another, all in one new process in the current folder.

    Return the most bytes that the process has had in memory up to the end of each call, sampled every 5 ms. The
    function is pickled, so it must be at the top of its module.
    """
    with ProcessPoolExecutor(1, forking.CONTEXT) as pool:
        return pool.submit(peaks_here, Path.cwd(), function, arguments).result()


def peaks_here(folder: Path, function: Callable, arguments: tuple) -> list[int]:
    """Do the work of `peaks` in this process."""
    forking.spare_inherited()
    os.chdir(folder)
    process, ended, found, peak = psutil.Process(), threading.Event(), [], 0

    def sample() -> None:
        nonlocal peak
        while not ended.wait(0.005):
            peak = max(peak, process.memory_info().rss)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        for argument in arguments:
            function(argument)
            found.append(peak)
    finally:
        ended.set()
        thread.join()
    return found
