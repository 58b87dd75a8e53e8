"""transformers' pipeline behind FastAPI, as people write it: `python -m benchmarks.serving_peer FOLDER PORT`.

FOLDER has a classifier in the format of transformers. FastAPI calls a plain function in one of 40 threads, so that many
requests are scored at the same time, each text alone.
"""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

from classifier.distributed.devices import device


class Review(BaseModel):
    """The body of a request."""

    text: str


def main(folder: str, port: str) -> None:
    """Serve the model of a folder."""
    app, classify = FastAPI(), pipeline("text-classification", model=folder, device=device())

    @app.post("/predict")
    def predict(review: Review) -> dict[str, str | float]:
        return classify(review.text, truncation=True)[0]

    uvicorn.run(app, port=int(port), log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])
