"""Pictures of the report in memory, with their texts."""

import warnings
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text


def drawn(draw: Callable, *args, **options) -> Figure:
    """Return the figure that a function of classifier/evaluation would save, rendered with warnings as errors."""
    with patch(f"{draw.__module__}.save_figure") as save, warnings.catch_warnings(action="error"):
        draw(*args, path=Path("unused.png"), **options)
        (fig, _), _ = save.call_args
        FigureCanvasAgg(fig).draw()
    return fig


def texts(fig: Figure) -> list[str]:
    """Return all texts in a figure."""
    return [text.get_text() for text in fig.findobj(Text) if text.get_text() and text.get_visible()]


def matrix(k: int) -> np.ndarray:
    """Return a confusion matrix of k labels, with confusions of nearly every pair."""
    return np.random.default_rng(0).integers(0, 50, (k, k)) + 200 * np.eye(k, dtype=int)
