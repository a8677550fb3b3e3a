"""3D token search: where a point is drawn is where it was read (T != H != W throughout)."""

from __future__ import annotations

import pytest
import torch
from einops import rearrange

from model.tap import PointsTap, recording
from model.token_search import TokenSearch, kernel_size, reference_points, sample, to_index
from tests.model import literal
from tests.model.networks import build, inputs, small


@pytest.mark.parametrize(
    ("volume", "kernel"),
    [((12, 28, 28), (7, 7, 7)), ((12, 14, 14), (7, 7, 7)), ((8, 10, 4), (5, 6, 3)), ((1, 2, 4), (1, 2, 3))],
)
def test_kernel_fits_the_volume(volume: tuple[int, int, int], kernel: tuple[int, int, int]) -> None:
    assert kernel_size(7, volume) == kernel


def test_the_papers_setting_gives_2904_points() -> None:
    points = [n - k + 1 for n, k in zip((12, 28, 28), kernel_size(7, (12, 28, 28)), strict=True)]
    assert points == [6, 22, 22]


def test_zero_offsets_on_a_grid_of_equal_size_reproduce_the_input() -> None:
    volume = torch.randn(1, 3, 4, 5, 6)
    found = sample(volume, reference_points((4, 5, 6))[None])
    assert torch.allclose(found, volume, atol=2e-6)


def test_a_single_voxel_is_found_where_it_is() -> None:
    volume = torch.zeros(1, 1, 4, 5, 6)
    volume[0, 0, 1, 2, 3] = 1
    position = torch.tensor([(2 * i + 1) / n - 1 for i, n in zip((1, 2, 3), (4, 5, 6), strict=True)])
    assert sample(volume, position.view(1, 1, 1, 1, 3)).item() == pytest.approx(1, abs=1e-6)
    assert to_index(position, (4, 5, 6)).tolist() == pytest.approx([1, 2, 3], abs=1e-5)
    assert sample(volume, position.flip(-1).view(1, 1, 1, 1, 3)).item() < 0.5


def test_reading_between_cells_and_beyond_the_border_matches_the_gather() -> None:
    generator = torch.Generator().manual_seed(0)
    volume = torch.randn(1, 3, 4, 5, 6, generator=generator)
    position = torch.rand(1, 2, 3, 4, 3, generator=generator) * 2.4 - 1.2
    position = position.clamp(-1, 1)
    found = sample(volume, position)[0]
    index = to_index(position[0], (4, 5, 6))
    for t in range(2):
        for y in range(3):
            for x in range(4):
                expected = literal.trilinear(volume[0], *index[t, y, x].tolist())
                assert torch.allclose(found[:, t, y, x], expected, atol=1e-5)


def test_sampling_has_the_gradient_of_its_formula() -> None:
    """`sample` computes in float32, so the formula is differentiated in float64 and the two are compared."""
    torch.manual_seed(3)
    volume, position = torch.randn(1, 2, 3, 4, 5), torch.rand(1, 2, 1, 3, 3) * 1.2 - 0.6

    def formula(volume: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        size = torch.tensor(volume.shape[2:], dtype=position.dtype)
        index = ((position + 1) * size - 1) / 2
        lines = [torch.arange(n, dtype=position.dtype) for n in volume.shape[2:]]
        hats = [(1 - (index[..., i, None] - line).abs()).clamp_min(0) for i, line in enumerate(lines)]
        return torch.einsum("bcxyz,bpqrx,bpqry,bpqrz->bcpqr", volume, *hats)

    exact = volume.double().requires_grad_(), position.double().requires_grad_()
    assert torch.autograd.gradcheck(formula, exact)
    ours = volume.requires_grad_(), position.requires_grad_()
    assert torch.allclose(sample(*ours).double(), formula(*exact), atol=1e-5)
    sample(*ours).square().sum().backward()
    formula(*exact).square().sum().backward()
    for mine, theirs in zip(ours, exact, strict=True):
        assert torch.allclose(mine.grad.double(), theirs.grad, atol=1e-4)


@pytest.mark.parametrize("volume", [(5, 4, 6), (1, 4, 5), (9, 8, 7)])
def test_search_equals_algorithm_a3(volume: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    search = TokenSearch(small(), layer=0)
    torch.nn.init.normal_(search.offset.weight, std=0.5)
    frames, height, width = volume
    z = torch.randn(1, frames, height * width, 16)
    with torch.no_grad():
        assert torch.allclose(search(z, height, width)[0], literal.token_search(search, z[0], height, width), atol=1e-5)


@pytest.mark.parametrize(("mode", "largest"), [("volume", 1.0), ("cells", 2 / 3), ("tokens", 2 / 5)])
def test_offset_range_has_the_unit_it_says(mode: str, largest: float) -> None:
    search = TokenSearch(small(offset_mode=mode), layer=0)
    torch.nn.init.constant_(search.offset.weight, 100.0)
    z = torch.randn(1, 16, 5, 5, 5)
    offsets = search.offsets(z)
    assert offsets.shape == (1, 3, 3, 3, 3)
    assert offsets.abs().max().item() == pytest.approx(largest, rel=1e-4)


@pytest.mark.parametrize("mode", ["volume", "cells", "tokens"])
def test_time_may_have_a_range_of_its_own(mode: str) -> None:
    search = TokenSearch(small(offset_mode=mode, offset_time_range=0.25), layer=0)
    torch.nn.init.constant_(search.offset.weight, 100.0)
    largest = search.offsets(torch.randn(1, 16, 5, 5, 5)).abs().amax((0, 1, 2, 3))
    assert (largest / largest[1]).tolist() == pytest.approx([0.25, 1, 1], rel=1e-4)
    z = torch.randn(1, 5, 5 * 6, 16)
    with torch.no_grad():
        assert torch.allclose(search(z, 5, 6)[0], literal.token_search(search, z[0], 5, 6), atol=1e-5)


def test_points_are_tapped_inside_the_volume_and_stay_float32_under_autocast() -> None:
    taps: list[PointsTap] = []
    network = build()

    def record(_: str, value: object) -> None:
        if isinstance(value, PointsTap):
            taps.append(value)

    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), recording(record):
        network(*inputs())
    assert len(taps) == 2
    for points in taps:
        assert points.position.dtype is torch.float32
        assert points.position.abs().max() <= 1
        assert points.volume == (5, 5, 6)
        assert points.clamped.shape == points.position.shape[:-1]


def test_full_convolution_is_an_option() -> None:
    search = TokenSearch(small(offset_conv="full"), layer=0)
    z = torch.randn(1, 3, 20, 16)
    assert search(z, 4, 5).shape == (1, 2 * 2 * 3, 16)
    assert search.conv.weight.shape == (16, 16, 7, 7, 7)
    assert torch.isfinite(rearrange(search(z, 4, 5), "b n d -> (b n d)")).all()
