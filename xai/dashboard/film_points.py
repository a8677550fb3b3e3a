"""The sampling points of one block on the pictures of a film: a dot where the network read, a hair to its reference.

Blue was moved earlier in time, orange later, as in the player; the larger the dot, the more attention mass. A point
lies on the frame that is nearest to it in time. Made of a traced pass, or of the player's payload without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xai.dashboard.colours import rgb
from xai.dashboard.film import Film, Image, at, disc, line
from xai.figures.hues import MOVED
from xai.figures.player import unpack

SHOWN = 160
"""Points of most mass that are drawn, over all frames."""
EARLIER, STILL, LATER = rgb(MOVED[0]), rgb(MOVED[2]), rgb(MOVED[4])
NEAR = 0.25
"""Frames of displacement below which a point counts as not moved in time."""


@dataclass(frozen=True, eq=False)
class Points:
    """The points of one block."""

    place: np.ndarray
    """[P, 3] (t, x, y): frames that the network read, pixels of the clip."""
    reference: np.ndarray
    """[P, 3] where they were before the offsets."""
    mass: np.ndarray
    """[P] attention mass, mean over heads and queries."""

    @classmethod
    def of_payload(cls, payload: Mapping[str, Any]) -> tuple[Points, ...]:
        """Of every block; empty for a network that searches no tokens."""
        points = payload["points"]
        if points is None:
            return ()
        place, reference = unpack(points["place"]), unpack(points["reference"])
        mass = unpack(points["mass"]).mean(axis=(1, 2))
        return tuple(cls(*each) for each in zip(place, reference, mass, strict=True))

    def draw(self, images: list[Image], film: Film, width: int) -> None:
        """Onto the pictures of `film`; `width` is that of the clip whose pixels the places are."""
        zoom = film.zoom(max(images[0].shape[:2])) * film.frames.shape[2] / width
        most = float(self.mass.max(initial=0)) or 1.0
        for number in np.argsort(self.mass, kind="stable")[-SHOWN:]:
            t = int(np.clip(np.rint(self.place[number, 0]), 0, len(images) - 1))
            moved = self.place[number, 0] - self.reference[number, 0]
            colour = STILL if abs(moved) < NEAR else EARLIER if moved < 0 else LATER
            place, reference = (at(each[number, 1:], zoom) for each in (self.place, self.reference))
            line(images[t], reference, place, colour, 1)
            disc(images[t], place, 1.0 + 2.5 * float(np.sqrt(self.mass[number] / most)), colour)
