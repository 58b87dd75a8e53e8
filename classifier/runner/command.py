"""The command lines of modules: the help of modules without arguments, and the errors that end a command."""

import csv
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from classifier.errors import InputError, out_of_memory
from classifier.runner.messages import disk_problem
from classifier.runner.terminal import escape_controls


def no_arguments(command: str, example: str) -> None:
    """Answer --help with the main module's docstring and an example; refuse any other argument with exit status 2.

    argparse prints the docstring as it is written, and it returns if there is no argument, so that the caller goes on.
    typer, which the commands with options use, would wrap the lines, load more modules before each stage, and end the
    process itself.

    Args:
        command: the command as the user types it.
        example: the example below the help, also a command.
    """
    import __main__

    parser = ArgumentParser(
        prog=command,
        description=__main__.__doc__,
        epilog=f"example:\n  {example}",
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.parse_args()


def run_command(main: Callable, module: str, help_text: str, **settings: Any) -> None:
    """Run a function with the arguments of the command line, as typer reads them.

    Args:
        main: the function; its annotations describe the options.
        module: the module that the user starts by `python -m`.
        help_text: the text of --help, whose lines stay as they are.
        **settings: typer's settings of the command.
    """
    from typer import Typer

    app = Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    as_written = "\n\n".join(f"\b\n{paragraph}" for paragraph in help_text.split("\n\n"))  # \b: do not wrap the lines
    app.command(help=as_written, **settings)(main)
    app(prog_name=f"python -m {module}")


def fields_of(option: str, line: str, **dialect: Any) -> list[str]:
    """Return the fields of an option's value, which is a line of CSV. Raises InputError if it has a line break."""
    try:
        return next(csv.reader([line], **dialect), [])
    except csv.Error as error:
        raise InputError(f"{option} {line!r:.60}: {error}; write the names between commas, on one line") from None


@contextmanager
def exit_on_user_error(name: str, when_interrupted: str = "") -> Iterator[None]:
    """End the process with one line and exit status 1 if the block fails with an error that the user can fix.

    Args:
        name: the name of the command, with which the line begins.
        when_interrupted: text to add to the line if Ctrl-C ends the process.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of stdout has ended; typer then ends quietly
    except InputError as error:
        sys.exit(escape_controls(f"{name}: {error}"))
    except OSError as error:
        sys.exit(escape_controls(f"{name}: {disk_problem(error) or error}"))
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        sys.exit(f"{name}: out of memory; if a GPU's memory is full, set DEVICE=cpu in the environment")
    except KeyboardInterrupt:
        sys.exit(f"{name}: interrupted{when_interrupted}")
