"""Windows of Algorithms A1 and A2: who reads whom, and that cutting and merging lose nothing."""

from __future__ import annotations

import pytest
import torch

from model.config import tiny
from model.stride import merge, windows
from model.tap import ROLE_KIND, Kind, attention_tap, recording
from model.transformer import DeformableTransformer
from tests.model import literal


def test_the_example_of_thirteen_joints() -> None:
    table = windows(13, 4)
    assert table.query.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, -1, -1, -1]]
    assert table.key.tolist() == [[2, 3, 4, 5], [6, 7, 8, 9], [10, 11, 12, -1], [-1, -1, 0, 1]]


@pytest.mark.parametrize("length", [1, 2, 3, 5, 12, 13, 25, 50])
@pytest.mark.parametrize("window", [1, 2, 3, 4, 5, 8, 19])
def test_every_element_is_query_once_and_key_once_and_no_window_is_without_keys(length: int, window: int) -> None:
    table = windows(length, window)
    assert sorted(i for i in table.query.flatten().tolist() if i >= 0) == list(range(length))
    assert sorted(i for i in table.key.flatten().tolist() if i >= 0) == list(range(length))
    assert ((table.key >= 0).any(1)).all()
    assert [(q.tolist(), k.tolist()) for q, k in zip(table.query, table.key, strict=True)] == literal.window_pairs(
        length, window
    )


def test_other_pairings() -> None:
    assert torch.equal(windows(8, 4, pairing="self").key, windows(8, 4).query)
    assert windows(8, 4, pairing="both").key.tolist() == [[0, 1, 2, 3, 4, 5], [4, 5, 6, 7, 0, 1]]
    slide = windows(8, 4, pairing="slide")
    assert slide.query.tolist() == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7], [6, 7, 0, 1]]
    assert slide.key.tolist() == [[2, 3, 4, 5], [4, 5, 6, 7], [6, 7, 0, 1], [0, 1, 2, 3]]
    assert windows(8, 4, stride=1).key.tolist() == [[1, 2, 3, 4], [5, 6, 7, 0]]


def test_without_wrapping_the_last_window_loses_the_first_elements_but_never_all_keys() -> None:
    assert windows(8, 4, wrap=False).key.tolist() == [[2, 3, 4, 5], [6, 7, -1, -1]]
    assert windows(9, 4, wrap=False).key.tolist() == [[2, 3, 4, 5], [6, 7, 8, -1], [8, -1, -1, -1]]


@pytest.mark.parametrize("pairing", ["cyclic", "self", "slide", "both"])
@pytest.mark.parametrize("length", [1, 5, 8, 13])
def test_merging_what_was_cut_gives_it_back(length: int, pairing: str) -> None:
    table = windows(length, 4, pairing=pairing)
    tokens = torch.randn(2, length, 3)
    assert torch.allclose(merge(tokens[:, table.query.clamp_min(0)], table, length), tokens, atol=1e-6)


def test_merging_averages_overlaps() -> None:
    table = windows(4, 2, pairing="slide")  # queries 0 1 | 1 2 | 2 3 | 3 0
    cut = torch.tensor([[1.0, 2.0], [4.0, 6.0], [8.0, 10.0], [20.0, 3.0]])[None, ..., None]
    assert merge(cut, table, 4).flatten().tolist() == [2.0, 3.0, 7.0, 15.0]


@pytest.mark.parametrize("mode", ["cross", "single", "none"])
def test_after_the_last_layer_only_what_the_head_reads_is_asked(mode: str) -> None:
    network = DeformableTransformer(tiny(token_mode=mode, layers=2)).eval()
    taps = {}
    with recording(lambda name, value: taps.update({name: value})), torch.no_grad():
        network(torch.randn(1, 3, 8, 32, 40), torch.rand(1, 8, 2, 15, 2) * 32, torch.ones(1, 8, 2, 15))
    kinds = [set(taps[attention_tap(layer, "temporal")].queries.kind.unique().tolist()) for layer in (0, 1)]
    modal = {int(ROLE_KIND[role]) for role in network.config.roles}
    everything = {int(Kind.PATCH), int(Kind.JOINT)} | modal
    assert kinds[0] == everything
    assert kinds[1] == (modal or everything)
    assert set(taps[attention_tap(1, "temporal")].keys.kind.unique().tolist()) == everything
