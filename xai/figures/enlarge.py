"""A figure at another size: everything that is measured in points (text, lines, marks, ticks) by one factor.

A figure is laid out for text of 7 points. For other text it is laid out on a sheet that is so much narrower or wider,
and then enlarged to the width that was asked for, so that nothing can lie over anything else at any size.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axis import Axis
from matplotlib.collections import Collection, PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

from xai.figures.strip import casing


def enlarge(figure: Figure, by: float) -> None:
    """Change the size of a finished figure in place."""
    if by == 1:
        return
    width, height = figure.get_size_inches()
    figure.set_size_inches(width * by, height * by)
    texts = {
        text: float(text.get_fontsize()) * by for text in figure.findobj(Text)
    }  # before the ticks get another size
    for axis in figure.findobj(Axis):
        ticks = axis.get_tick_params()
        points = {name: by * ticks[name] for name in ("length", "width", "pad", "labelsize") if name in ticks}
        axis.set_tick_params(**points)
        axis.labelpad *= by
    of_ticks = {
        line
        for axis in figure.findobj(Axis)
        for tick in (*axis.majorTicks, *axis.minorTicks)
        for line in (tick.tick1line, tick.tick2line, tick.gridline)
    }
    for artist in figure.findobj():
        if isinstance(artist, Line2D) and artist not in of_ticks:
            artist.set_linewidth(artist.get_linewidth() * by)
            artist.set_markersize(artist.get_markersize() * by)
            artist.set_markeredgewidth(artist.get_markeredgewidth() * by)
        elif isinstance(artist, Collection):
            artist.set_linewidth((np.atleast_1d(artist.get_linewidth()) * by).tolist())
            if isinstance(artist, PathCollection):
                artist.set_sizes(artist.get_sizes() * by**2)
            if artist.get_path_effects():
                artist.set_path_effects(casing(by))
        elif isinstance(artist, Patch):
            artist.set_linewidth(artist.get_linewidth() * by)
    for text, size in texts.items():
        text.set_fontsize(size)
