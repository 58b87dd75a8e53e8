"""The command line of a module that takes no arguments."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter


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
