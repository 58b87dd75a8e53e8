"""The trained classifier as a Python function: `from classifier.predict import Classifier`."""

from classifier.predict.classifier import Classifier

__all__ = ["Classifier"]
