"""The painter's tools: shaded solids drawn on all frames of a clip at once, with analytic anti-aliasing.

Each tool computes a signed distance in a box around its shape, shades the solid that the outline suggests (a tapered
round limb, an ellipsoid) under one directional light, samples a texture that sticks to the solid, and lays it over
what was painted before. A second buffer keeps which part each pixel shows: masks and causes are read from it.
Frames are vectorised because the boxes are small: one NumPy call for sixteen of them costs little more than for one.
"""

from __future__ import annotations

import cv2
import numpy as np

AMBIENT, DIFFUSE = 0.60, 0.52


class Canvas:
    """Frames [T, H, W, 3] float32 (0 to 255, RGB) and parts [T, H, W] uint8, painted from far to near."""

    def __init__(self, frames: np.ndarray, light: np.ndarray) -> None:
        self.rgb = np.ascontiguousarray(frames, dtype=np.float32)
        self.part = np.zeros(frames.shape[:3], np.uint8)
        self.light = light.astype(np.float32)
        """Unit vector towards the light: right, down, towards the viewer."""
        self.length: int = frames.shape[0]
        self.height: int = frames.shape[1]
        self.width: int = frames.shape[2]
        self.soft = max(1.2, 0.02 * self.height)
        """Reach in pixels of the soft contact shadow that a near limb casts on the body behind it."""

    def _boxes(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes of one size over [low, high] ([N, 2] x, y) in each frame: x [N,1,w], y [N,h,1], origins [N,2]."""
        low = np.floor(low).astype(np.int64)
        extent = (np.ceil(high).astype(np.int64) - low).max(axis=0) + 1
        w, h = min(int(extent[0]), self.width), min(int(extent[1]), self.height)
        origin = np.minimum(np.maximum(low, 0), [self.width - w, self.height - h])
        x = (origin[:, 0, None] + np.arange(w)).astype(np.float32)[:, None, :]
        y = (origin[:, 1, None] + np.arange(h)).astype(np.float32)[:, :, None]
        return x, y, origin

    def _rim(
        self, places: np.ndarray, distance: np.ndarray, part: int, friends: tuple[int, ...], strength: np.ndarray | None
    ) -> None:
        """Darken other parts of the people at pixels `places` [K] where a shape comes within `soft` of them."""
        shaded = np.full(256, 0.34, np.float32)
        shaded[[0, part, *friends]] = 0.0
        depth = shaded.take(self.part.reshape(-1).take(places))
        hit = depth.nonzero()[0]
        if len(hit):
            near = np.minimum(np.maximum(1.0 - distance[hit] / np.float32(self.soft), 0), 1)
            rim = depth[hit] * near * near
            rgb = self.rgb.reshape(-1, 3)
            rgb[places[hit]] *= (1.0 - (rim if strength is None else rim * strength[hit]))[:, None]

    def _lay(self, places: np.ndarray, colour: np.ndarray, alpha: np.ndarray, part: int) -> None:
        """Composite `colour` [K, 3] with opacity `alpha` [K] at pixels `places` [K]."""
        rgb = self.rgb.reshape(-1, 3)
        under = rgb.take(places, axis=0)
        under += alpha[:, None] * (colour - under)
        rgb[places] = under
        self.part.reshape(-1)[places[alpha >= 0.5]] = part

    def _live(self, mask: np.ndarray, at: np.ndarray, origin: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where the boxes [N, h, w] are true: flat box index, frame row and flat canvas index, each [K]."""
        count, h, w = mask.shape
        live = mask.ravel().nonzero()[0]
        rows = np.arange(count)
        n = np.repeat(rows, np.count_nonzero(mask, axis=(1, 2)))
        corner = (at * self.height + origin[:, 1]) * self.width + origin[:, 0]
        step = (np.arange(h)[:, None] * self.width + np.arange(w)).ravel()
        return live, n, corner[n] + step[live - (rows * (h * w))[n]]

    def capsule(
        self,
        at: np.ndarray,
        start: np.ndarray,
        end: np.ndarray,
        width: np.ndarray,
        texture: np.ndarray,
        part: int,
        turn: float = 0.0,
        flat: tuple[float, float] = (1.0, 1.0),
        friends: tuple[int, ...] = (),
        rounded: float = 0.0,
        attached: bool = False,
    ) -> None:
        """A limb from `start` to `end` ([N, 2] pixels) in frames `at` [N].

        `width` [K] or [N, K]: half width in pixels along the axis. `texture` [A, B, 3]: rows along the axis, columns
        around it, the middle column facing forward. `turn`: how far the solid is turned about its axis (radians).
        `flat`: how much the two ends are flattened (1 is a half circle). `friends`: parts on which no contact shadow
        falls. `rounded`: how much the ends are shaded as balls. `attached`: the start grows out of what is below it, so
        the contact shadow begins further along.
        """
        if len(at) == 0:
            return
        width = (np.tile(width, (len(at), 1)) if width.ndim == 1 else width).astype(np.float32)
        soft = self.soft if part else 0.5
        reach = float(width.max()) + soft + 1.0
        x, y, origin = self._boxes(np.minimum(start, end) - reach, np.maximum(start, end) + reach)
        line = end - start
        length = np.hypot(line[:, 0], line[:, 1])
        axis = np.where(length[:, None] > 1e-3, line / np.maximum(length, 1e-3)[:, None], [0.0, 1.0])
        axis, begin = axis.astype(np.float32), start.astype(np.float32)
        ux, uy = axis[:, 0, None, None], axis[:, 1, None, None]
        size = np.maximum(length, 1e-3).astype(np.float32)[:, None, None]
        dx, dy = x - begin[:, 0, None, None], y - begin[:, 1, None, None]
        along = dx * ux + dy * uy
        aside = dy * ux - dx * uy
        over = along - np.minimum(np.maximum(along, 0.0), size)
        if flat != (1.0, 1.0):
            over = over * np.where(over < 0, np.float32(flat[0]), np.float32(flat[1]))
        # First a cheap bound with the largest width, then everything else only where it can matter.
        bound = (width.max(axis=1) + soft)[:, None, None]
        live, n, places = self._live(aside * aside + over * over < bound * bound, at, origin)
        along, aside, over = along.ravel()[live], aside.ravel()[live], over.ravel()[live]
        place = np.minimum(np.maximum(along / size.ravel()[n], 0), 1)
        steps = width.shape[1] - 1
        radius = width.ravel()[n * (steps + 1) + (place * steps + 0.5).astype(np.int32)]
        distance = np.sqrt(aside * aside + over * over) - radius
        if part:
            self._rim(
                places,
                distance,
                part,
                friends,
                np.minimum(np.maximum(3.0 * place - 1.0, 0.0), 1.0) if attached else None,
            )
        kept = (distance < 0.5).nonzero()[0]
        n, place, places = n[kept], place[kept], places[kept]
        aside, over, radius, distance = aside[kept], over[kept], radius[kept], distance[kept]
        side = aside / radius
        cap = over / radius * np.float32(rounded)
        rest = np.sqrt(np.maximum(1.0 - side * side - cap * cap, 0))
        ax, ay = axis[:, 0][n], axis[:, 1][n]
        lambert = (cap * ax - side * ay) * self.light[0] + (side * ax + cap * ay) * self.light[1] + rest * self.light[2]
        edge = 1.0 - rest
        tone = (AMBIENT + DIFFUSE * np.maximum(lambert, 0)) * (1.0 - 0.30 * edge * edge * edge)
        rows, columns = texture.shape[:2]
        row = (place * (rows - 1) + 0.5).astype(np.int32)
        # On screen, positive `side` lies to the left of an axis that points down; the texture runs left to right.
        angle = (0.5 - turn / (2 * np.pi)) - np.arcsin(np.minimum(np.maximum(side, -1), 1)) * np.float32(0.5 / np.pi)
        column = (angle * columns).astype(np.int32) % columns
        colour = texture.reshape(-1, 3).take(row * columns + column, axis=0) * tone[:, None]
        alpha = np.minimum(np.maximum(0.5 - distance, 0), 1)
        self._lay(places, colour, alpha, part)

    def ellipsoid(
        self,
        at: np.ndarray,
        centre: np.ndarray,
        radii: np.ndarray,
        axes: np.ndarray,
        texture: np.ndarray,
        part: int,
        friends: tuple[int, ...] = (),
    ) -> None:
        """An ellipsoid at `centre` [N, 2] pixels with half axes `radii` [N, 3] along the columns of `axes` [N, 3, 3].

        `axes` are in view coordinates (right, up, towards the viewer). `texture` [A, B, 4] (RGB and opacity 0 to 1):
        rows from the top pole to the bottom pole at equal heights, columns around, the middle column facing forward.
        """
        if len(at) == 0:
            return
        frame = (axes * np.array([1.0, -1.0, 1.0])[:, None]).astype(np.float64)  # rows: right, down, towards the viewer
        shape = np.einsum("nik,nk,njk->nij", frame, 1.0 / radii**2, frame)
        a, bx, by = shape[:, 2, 2], shape[:, 0, 2], shape[:, 1, 2]
        qxx, qxy, qyy = shape[:, 0, 0] - bx * bx / a, shape[:, 0, 1] - bx * by / a, shape[:, 1, 1] - by * by / a
        soft = self.soft if part else 0.5
        reach = float(radii.max()) + soft + 1.0
        x, y, origin = self._boxes(centre - reach, centre + reach)

        def column(values: np.ndarray) -> np.ndarray:
            return values.astype(np.float32)[:, None, None]

        dx, dy = x - column(centre[:, 0]), y - column(centre[:, 1])
        level = np.sqrt(np.maximum(column(qxx) * dx * dx + 2 * column(qxy) * dx * dy + column(qyy) * dy * dy, 1e-8))
        away = np.sqrt(dx * dx + dy * dy)
        distance = away - away / level
        live, n, places = self._live((distance < soft) | (level < 0.05), at, origin)
        level, distance = level.ravel()[live], np.minimum(distance, away).ravel()[live]
        shrink = 1.0 / np.maximum(level, 1.0)  # outside the outline, sample the nearest point of the outline
        px = np.broadcast_to(dx, away.shape).ravel()[live] * shrink
        py = np.broadcast_to(dy, away.shape).ravel()[live] * shrink
        a32, bx32, by32 = a.astype(np.float32)[n], bx.astype(np.float32)[n], by.astype(np.float32)[n]
        inside = np.minimum(level, 1.0)
        depth = (np.sqrt((1.0 - inside * inside) * a32) - bx32 * px - by32 * py) / a32
        to_local = (np.swapaxes(frame, 1, 2) / radii[:, :, None]).astype(np.float32)[n]
        local = to_local[:, :, 0] * px[:, None] + to_local[:, :, 1] * py[:, None] + to_local[:, :, 2] * depth[:, None]
        normal = (to_local * local[:, :, None]).sum(axis=1)
        normal /= np.maximum(np.sqrt((normal * normal).sum(axis=1, keepdims=True)), 1e-6)
        edge = 1.0 - normal[:, 2]
        tone = (AMBIENT + DIFFUSE * np.maximum(normal @ self.light, 0)) * (1.0 - 0.28 * edge * edge * edge)
        rows, columns = texture.shape[:2]
        row = np.minimum(np.maximum((0.5 - 0.5 * local[:, 1]) * rows, 0), rows - 1).astype(np.int32)
        around = (np.arctan2(local[:, 0], local[:, 2]) * np.float32(0.5 / np.pi) + 0.5) * columns
        column_of = np.minimum(around.astype(np.int32), columns - 1)
        sample = texture.reshape(-1, 4).take(row * columns + column_of, axis=0)
        alpha = np.minimum(np.maximum(0.5 - distance, 0), 1) * sample[:, 3]
        if part:
            self._rim(places, distance, part, friends, sample[:, 3])
        self._lay(places, sample[:, :3] * tone[:, None], alpha, part)

    def sprite(
        self, at: np.ndarray, centre: np.ndarray, size: np.ndarray, angle: np.ndarray, image: np.ndarray, part: int
    ) -> np.ndarray:
        """A flat picture `image` [h, w, 4] (opacity 0 to 1) of height `size` [N] pixels, turned clockwise by `angle`.

        Returns [T, H, W] bool: every pixel the picture touched, however faintly.
        """
        touched = np.zeros(self.part.shape, bool)
        high, wide = image.shape[:2]
        target = max(2, round(float(size.max()) * 1.4))
        if target < high:
            image = cv2.resize(image, (max(2, round(wide * target / high)), target), interpolation=cv2.INTER_AREA)
            high, wide = image.shape[:2]
        image = image * np.concatenate([image[..., 3:].repeat(3, 2), np.ones_like(image[..., 3:])], axis=2)
        for index, frame in enumerate(at):
            scale, reach = size[index] / high, 0.5 * size[index] * np.hypot(1.0, wide / high) + 1.5
            x0, y0 = np.maximum(np.floor(centre[index] - reach).astype(int), 0)
            x1 = min(int(np.ceil(centre[index, 0] + reach)) + 1, self.width)
            y1 = min(int(np.ceil(centre[index, 1] + reach)) + 1, self.height)
            if x1 <= x0 or y1 <= y0:
                continue
            c, s = np.cos(angle[index]) / scale, np.sin(angle[index]) / scale
            middle = np.array([(wide - 1) / 2, (high - 1) / 2])
            linear = np.array([[c, s], [-s, c]])  # from canvas pixels to picture pixels
            inverse = np.column_stack([linear, middle - linear @ (centre[index] - [x0, y0])])
            patch = cv2.warpAffine(image, inverse, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
            box = (frame, slice(y0, y1), slice(x0, x1))
            self.rgb[box] += patch[..., :3] - self.rgb[box] * patch[..., 3:]
            self.part[box][patch[..., 3] >= 0.5] = part
            touched[box] = patch[..., 3] > 0
        return touched

    def darken(self, mask: np.ndarray) -> None:
        """Multiply by 1 - mask, [T, H, W] in [0, 1]: shadows on the ground."""
        rows = np.flatnonzero(mask.any(axis=(0, 2)))
        if len(rows):
            part = slice(int(rows[0]), int(rows[-1]) + 1)
            self.rgb[:, part] *= (1.0 - mask[:, part])[..., None]
