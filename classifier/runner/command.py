"""The --help of a command that takes no arguments."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter


def no_arguments(command: str, example: str) -> None:
    """--help of a command that takes no arguments: its module's docstring and an example. Others are refused."""
    import __main__

    parser = ArgumentParser(
        prog=command,
        description=__main__.__doc__,
        epilog=f"example:\n  {example}",
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.parse_args()
