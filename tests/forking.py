"""Run `dvc ARGS` and `python -m MODULE ARGS` in forks of a process that has already imported the large libraries.

Starting a new Python for each command would import DVC, torch and transformers each time, which takes longer than most
commands take on the tiny project. multiprocessing's fork server imports them once for each process that runs tests.
Forks of that process itself would not do: after torch has trained in a process, it does not train in a fork of it.

If the forked DVC starts a stage, the stage is a fork of it. forked_programs.py is for commands that make, bash and
torchrun start.

The garbage collector of a fork leaves the inherited objects alone (see `spare_inherited`): it would write into all of
them, and the operating system would copy each page that it writes to.
"""

import gc
import importlib
import logging
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing import forkserver
from typing import IO

import quick_yaml  # noqa: F401

PRELOADED = [
    *("dvc.cli.parser", "dvc.repo", "dvc.scm", "dvc.stage.run", "dulwich.client", "colorama", "tomllib"),
    *("dvc.cachemgr", "dvc.data_cloud", "dvc.dirs", "dvc.lock", "dvc.repo.artifacts", "dvc.repo.experiments"),
    *("dvc.repo.graph", "dvc.repo.index", "dvc.repo.metrics.diff", "dvc.repo.params.diff", "dvc.repo.plots"),
    *("dvc_data.index.checkout", "dulwich.ignore", "dulwich.worktree", "fsspec.implementations.memory", "pygit2"),
    *("datasets", "jinja2", "matplotlib.pyplot", "pandas", "peft", "pyarrow.parquet", "scipy.optimize"),
    *("sklearn.feature_extraction.text", "sklearn.linear_model", "sklearn.model_selection", "sklearn.metrics"),
    *("captum.attr", "matplotlib.backends.backend_agg", "ruamel.yaml", "torch", "transformers", "typer"),
    *("transformers.models.bert.modeling_bert", "transformers.models.distilbert.modeling_distilbert"),
    *("transformers.models.mpnet.modeling_mpnet", "transformers.models.roberta.modeling_roberta"),
    "torch.distributed.run",
    # What these packages import when it is first used.
    *("pydantic.main", "pydantic.fields", "pydantic.types", "pydantic.type_adapter", "pydantic.functional_validators"),
    *("pydantic.plugin._loader", "transformers.optimization", "transformers.models.align", "safetensors.numpy"),
    *("transformers.models.bert.tokenization_bert", "typer._click.decorators"),
    *("peft.utils.transformers_weight_conversion", "pandas.io.formats.csvs", "pandas.core.methods.to_dict"),
    *("PIL.BmpImagePlugin", "PIL.GifImagePlugin", "PIL.JpegImagePlugin", "PIL.PpmImagePlugin"),
]
# Packages that a command imports anew: the code of the project, and the settings of the Hub, which are fixed when
# huggingface_hub is imported. (transformers and datasets keep the preloaded one; the stages fetch without them.)
IMPORTED_ANEW = ("stages", "classifier", "apps", "huggingface_hub")
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(PRELOADED)


def spare_inherited() -> None:
    """Let the garbage collector leave the objects alone that this process has now, and let it run rarely."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def start_server() -> None:
    """Start the fork server of this process. It imports in the background."""
    forkserver.ensure_running()


class Command(CONTEXT.Process):
    """A running command, with the methods of subprocess.Popen that the tests use."""

    @property
    def returncode(self) -> int | None:
        return self.exitcode

    def poll(self) -> int | None:
        """Return the exit status; None while the command runs."""
        return self.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit status."""
        self.join(timeout)
        if self.exitcode is None:
            raise subprocess.TimeoutExpired(self.name, timeout)
        return self.exitcode


def start(command: str, args: Sequence[str | bytes], out: IO, err: IO, stdin: IO | None = None) -> Command:
    """Start a command in this process's folder and environment, as the leader of a process group.

    Args:
        command: "dvc", or the name of a module to run as `python -m` does.
        args: its arguments.
        out, err: named files to which stdout and stderr are appended.
        stdin: named file to read; None for an empty one.
    """
    streams = [os.path.abspath(file.name) if file else os.devnull for file in (stdin, out, err)]
    args = [os.fsdecode(arg) for arg in args]
    place = os.getcwd(), dict(os.environ), sys.path, sys.executable
    process = Command(target=run_command, args=(command, args, streams, *place))
    process.start()
    return process


def run_dvc(args: Sequence[str]) -> tuple[int, str]:
    """Run `dvc ARGS`; return (exit status, what it printed to both streams)."""
    with tempfile.NamedTemporaryFile("r") as out:
        return start("dvc", args, out, out).wait(), out.read()


def run_module(module: str, args: Sequence[str | bytes] = (), stdin: bytes = b"") -> tuple[int, str, str]:
    """Run `python -m MODULE ARGS` with these bytes on stdin; return (exit status, stdout, stderr)."""
    with (
        tempfile.NamedTemporaryFile("r") as out,
        tempfile.NamedTemporaryFile("r") as err,
        tempfile.NamedTemporaryFile() as file,
    ):
        file.write(stdin)
        file.flush()
        return start(module, args, out, err, file).wait(), out.read(), err.read()


def run_command(
    command: str,
    args: list[str],
    streams: list[str],
    folder: str,
    environment: dict[str, str],
    path: list[str],
    python: str,
) -> None:
    """Run a command in this process, which was forked for it.

    Args:
        command, args, streams, folder, environment: As start() makes them.
        path, python: sys.path and sys.executable.
    """
    spare_inherited()
    os.setsid()
    files = [os.open(name, os.O_WRONLY | os.O_APPEND if number else os.O_RDONLY) for number, name in enumerate(streams)]
    sys.path[:], sys.executable = path, python
    enter(folder, environment)
    connect_streams(files)
    if command == "dvc":
        sys.stderr = sys.stdout
        dvc_main(args)
    else:
        module_main(command, args)


def connect_streams(files: Sequence[int]) -> None:
    """Make three file descriptors stdin, stdout and stderr, as Python opens them, and restore the handler of Ctrl-C."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    encoding = os.environ.get("PYTHONIOENCODING")
    sys.stdin = open(0, encoding=encoding, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", buffering=1, encoding=encoding, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, encoding=encoding, closefd=False, errors="backslashreplace")  # noqa: SIM115


def enter(folder: str, environment: dict[str, str]) -> None:
    """Change to a folder, with this environment and no other variable."""
    os.chdir(folder)
    os.environ.clear()
    os.environ |= environment


def dvc_main(args: list[str]) -> None:
    """Run DVC's command line, with each stage in a fork of this process."""
    import colorama
    from dvc import cli
    from dvc.stage import run

    for handler in logging.getLogger("dvc").handlers:
        handler.stream = sys.stdout
    colorama.init()  # DVC resets stdout to the one that colorama saw last
    run_in_shell = run._run

    def run_stage(executable, cmd, cwd, env, **kwargs):
        if "LAUNCH" in env or "PYTHONHASHSEED" in env:  # a fork keeps the hash seed; a launcher starts Pythons itself
            return run_in_shell(executable, cmd, cwd=cwd, env=env, **kwargs)

        def stage_main():
            spare_inherited()
            enter(cwd, env)
            module_main(cmd.split()[-1], [])

        process = multiprocessing.get_context("fork").Process(target=stage_main)
        process.start()
        process.join()
        if process.exitcode:
            raise run.StageCmdFailedError(cmd, process.exitcode)

    run._run = run_stage
    sys.exit(cli.main(args))


def module_main(module: str, args: list[str]) -> None:
    """Run `python -m MODULE ARGS` in this process and the current folder."""
    for name in [name for name in sys.modules if name.split(".")[0] in IMPORTED_ANEW]:
        del sys.modules[name]
    sys.dont_write_bytecode = False  # the next stages of the project then need not compile the code
    sys.path.insert(0, os.getcwd())
    importlib.invalidate_caches()
    sys.argv = [module, *args]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
