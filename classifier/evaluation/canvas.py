"""Make the empty figure of a picture, and write the figure as PNG with the same bytes in every run.

All pictures have the style of figures.mplstyle. A picture is a white card with round corners, so that it looks right
on a dark page as well.
"""

from pathlib import Path

import numpy as np

from classifier.evaluation.fonts import font_families
from classifier.files.writing import replace_file

STYLE = Path(__file__).with_name("figures.mplstyle")
BLUE, BLACK, GREY, LIGHT = "#0969da", "#1f2328", "#8c959f", "#b6d4fe"  # they differ in brightness, too
WIDTH = 8.3  # inches: 830 pixels on a page, which is the width of a page of GitHub


def new_figure(width: float = 5.0, height: float = 4.0, columns: int = 1, **subplots):
    """Return (figure, axes) of matplotlib. pyplot does not keep the figure, so nothing has to close it.

    The style replaces all settings of matplotlib in this process, also those of the user's matplotlibrc.

    Args:
        width: Inches.
        height: Inches.
        columns: The number of plots side by side. If there are several plots, axes is an array.
        subplots: Further arguments of Figure.subplots.
    """
    from matplotlib import rcParams, style
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyBboxPatch

    style.use(["default", STYLE])
    rcParams["font.family"] = font_families()
    fig = Figure(figsize=(width, height))
    card = FancyBboxPatch((0, 0), width, height, "round,pad=0,rounding_size=0.08", fc="white", ec="none", zorder=-9)
    card.set_transform(fig.dpi_scale_trans)
    fig.add_artist(card)
    return fig, fig.subplots(ncols=columns, **subplots)


def save_figure(fig, path: Path) -> None:
    """Write a figure as PNG in 255 colours, twice as wide and twice as high as a page should show it.

    With so few colours the file is less than half as large. The palette's number 255, which no dot has after the
    reduction to 255 colours, becomes the transparent colour of the corners.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba()))
    alpha = picture.getchannel("A")
    colours = Image.new("RGB", picture.size, "white")
    colours.paste(picture, mask=alpha)
    colours = colours.quantize(255, dither=Image.Dither.NONE)
    colours.putpalette([*colours.getpalette(), *bytes(3 * 256)][: 3 * 256])
    colours.paste(255, mask=alpha.point(lambda opacity: 255 * (opacity < 128)))
    with replace_file(path) as part:
        colours.save(part, "PNG", optimize=True, transparency=255)


def show_percent(*axis) -> None:
    """Write the ticks of one or several axis objects of matplotlib, which count shares, as percentages."""
    for one in axis:
        one.set_major_formatter(lambda share, place: f"{round(100 * share, 6):g}%")


def page_width(path: Path) -> int:
    """Return the width in pixels at which a page should show a picture of `save_figure`: half of its dots."""
    from PIL import Image

    with Image.open(path) as picture:
        return picture.width // 2
