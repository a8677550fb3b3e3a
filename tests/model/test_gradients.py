"""The trunk of oriented gradients: written out pixel by pixel, and what it says of edges whose motion is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from model.gradients import CHANNELS, DARK, DIRECTIONS, FLAT, Gradients, halved, oriented_gradients
from tests.model.networks import small

PICTURE, FLOW, CHANGE = (slice(kind * DIRECTIONS, (kind + 1) * DIRECTIONS) for kind in range(3))


def written_out(frames: np.ndarray) -> np.ndarray:
    """[3, T, H, W] -> [T, CHANNELS, H, W], one pixel after the other."""
    _, length, height, width = frames.shape
    out = np.zeros((length, CHANNELS, height, width))

    def sobel(picture: np.ndarray, y: int, x: int) -> tuple[float, float]:
        def at(row: int, column: int) -> float:
            return float(picture[min(max(row, 0), height - 1), min(max(column, 0), width - 1)])

        right = sum(w * (at(y + k, x + 1) - at(y + k, x - 1)) for k, w in ((-1, 1), (0, 2), (1, 1))) / 8
        down = sum(w * (at(y + 1, x + k) - at(y - 1, x + k)) for k, w in ((-1, 1), (0, 2), (1, 1))) / 8
        return right, down

    for t in range(length):
        this = frames[:, t].mean(0)
        first = min(t, length - 2)  # the last frame changes as the one before it did
        change = (frames[:, first + 1] - frames[:, first]).mean(0) if length > 1 else np.zeros_like(this)
        for y in range(height):
            for x in range(width):
                edge = sobel(this + change / 2, y, x)
                slope = math.sqrt(edge[0] ** 2 + edge[1] ** 2 + FLAT)
                flow = [-change[y, x] * part / slope for part in edge]
                for kind, (right, down) in enumerate((sobel(this, y, x), flow, sobel(change, y, x))):
                    for k in range(DIRECTIONS):
                        angle = 2 * math.pi * k / DIRECTIONS
                        value = math.cos(angle) * right + math.sin(angle) * down
                        out[t, kind * DIRECTIONS + k, y, x] = max(value, 0)
    return out


def blurred(picture: np.ndarray) -> np.ndarray:
    """[H, W] -> [H/2, W/2]: the nine pixels around every second one."""
    height, width = picture.shape
    out = np.zeros((height // 2, width // 2))
    for i in range(height // 2):
        for j in range(width // 2):
            for dy, wy in ((-1, 1), (0, 2), (1, 1)):
                for dx, wx in ((-1, 1), (0, 2), (1, 1)):
                    pixel = picture[min(max(2 * i + dy, 0), height - 1), min(max(2 * j + dx, 0), width - 1)]
                    out[i, j] += wy * wx * pixel / 16
    return out


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_the_trunk_equals_its_formulas_written_out(frames: int) -> None:
    torch.manual_seed(0)
    trunk = Gradients(small(backbone_reads="gradients", width=4)).eval()
    film = torch.randn(1, 3, frames, 16, 24)
    wanted = written_out(film[0].double().numpy())
    assert np.allclose(oriented_gradients(film).numpy(), wanted, atol=1e-5)
    half = np.stack([[blurred(channel) for channel in frame] for frame in wanted])
    eighth = np.stack([[blurred(blurred(channel)) for channel in frame] for frame in half])
    with torch.no_grad():
        features = trunk(film)
    for found, seen, norm, project in zip(
        features, (half, eighth), (trunk.norm_a, trunk.norm_b), (trunk.project_a, trunk.project_b), strict=True
    ):
        root = torch.from_numpy(np.sqrt(seen + DARK) - math.sqrt(DARK)).float()
        for t in range(frames):
            for y in range(root.shape[2]):
                for x in range(root.shape[3]):
                    here = root[t, :, y, x][None, :, None, None, None]
                    assert torch.allclose(found[0, :, t, y, x], project(norm(here)).flatten(), atol=1e-5)


def bar(columns: list[int], across: bool) -> Tensor:
    """A bright step that ends at the given column of each frame, or, `across`, at the given row."""
    film = torch.zeros(1, 3, len(columns), 16, 24)
    for t, end in enumerate(columns):
        if across:
            film[:, :, t, :end] = 1
        else:
            film[..., t, :, :end] = 1
    return film


@pytest.mark.parametrize(("ends", "across", "way"), [([10, 11], False, 0), ([11, 10], False, 4), ([7, 8], True, 2)])
def test_the_flow_of_an_edge_points_where_it_goes(ends: list[int], across: bool, way: int) -> None:
    """To the right is direction 0, down 2 and left 4, whatever side of the edge is bright."""
    for sign in (1, -1):
        strength = oriented_gradients(sign * bar(ends, across))[0, FLOW].sum((-2, -1))
        assert int(strength.argmax()) == way
        assert strength[(way + DIRECTIONS // 2) % DIRECTIONS] == 0


def test_what_stands_still_has_a_picture_and_no_motion() -> None:
    found = oriented_gradients(bar([10, 10, 10], across=False))
    assert found[:, PICTURE].amax() > 0.4
    assert int(found[:, PICTURE].sum((0, 2, 3)).argmax()) == 4  # it gets brighter to the left
    assert not found[:, FLOW].any()
    assert not found[:, CHANGE].any()


@pytest.mark.parametrize("place", [(4, 10), (8, 16), (0, 0)])
def test_a_cell_is_centred_on_its_pixel(place: tuple[int, int]) -> None:
    """One lit pixel under the centre of a cell lights that cell most, and its neighbours on both sides alike."""
    dot = torch.zeros(1, 1, 24, 40)
    dot[0, 0, place[0], place[1]] = 1
    for cell, grid in ((2, halved(dot)), (8, halved(halved(halved(dot))))):
        if place[0] % cell or place[1] % cell:
            continue
        y, x = place[0] // cell, place[1] // cell
        lit = grid[0, 0]
        assert divmod(int(lit.argmax()), lit.shape[1]) == (y, x)
        if y and x:
            assert torch.allclose(lit[y - 1, x], lit[y + 1, x])
            assert torch.allclose(lit[y, x - 1], lit[y, x + 1])


def test_gradients_reach_the_frames_of_a_black_film() -> None:
    """The square root has a finite slope at zero, so attribution by gradients works on it."""
    film = torch.zeros(1, 3, 2, 16, 16, requires_grad=True)
    sum(part.sum() for part in Gradients(small(backbone_reads="gradients"))(film)).backward()  # type: ignore[union-attr]
    assert film.grad is not None
    assert film.grad.isfinite().all()
