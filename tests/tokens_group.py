"""Run the stage `tokenize` with batches of a few texts as one of several processes, for test_shares.py.

torchrun ... tests/tokens_group.py
"""

from classifier.runner.run import run
from stages import tokenize

if __name__ == "__main__":
    tokenize.TEXTS_PER_BATCH = 7
    run(tokenize.tokenize, distributed=True)
