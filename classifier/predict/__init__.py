"""`from classifier.predict import Classifier`: the trained classifier in Python."""

from classifier.predict.classifier import Classifier

__all__ = ["Classifier"]
