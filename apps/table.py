"""Show the experiments as a table, sorted by validation loss, the lowest first.

    make table
    make table SHOW=--csv     (SHOW: options of `dvc exp show`)

The table has the params and the validation metrics that differ between the experiments. The test metrics are hidden:
settings are chosen by validation, and the test split is for the experiment that is chosen.
"""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter

# Columns to leave out: regular expressions that DVC matches from the start of a column's name. The column of a metric
# is named NAME or, if several files have a metric of that name, PATH:NAME.
HIDDEN_COLUMNS = (
    "Created|State|Executor",
    r"(temperature|bias|thresholds|labels|above_threshold|sets|slices|slices_left_out|worst_slice)[.].*",
    r".*/(?!training.json:validation)",  # every PATH:NAME except training.json:validation_...
    r"(?!validation_|dataset|model|method)[a-z0-9_]+$",  # every NAME except validation_... and the three selections
)


def main() -> int:
    """Run `dvc exp show`; return its exit status."""
    from dvc.cli import main as dvc

    parser = ArgumentParser("python -m apps.table", None, __doc__, formatter_class=RawDescriptionHelpFormatter)
    _, options = parser.parse_known_args()
    hidden = "|".join(HIDDEN_COLUMNS)
    return dvc(["exp", "show", "--only-changed", "--sort-by", "validation_loss", *options, "--drop", hidden])


if __name__ == "__main__":
    sys.exit(main())
