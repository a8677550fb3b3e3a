"""Payload of the neighbours view, and the order test, against the network itself."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.xai.clips import noise_clip, random_recognizer
from tests.xai.test_framewise_evidence import T, framewise
from training.gym import clip as gym_clip
from xai.figures.neighbours import neighbours_payload
from xai.figures.order import order_figure, order_test
from xai.figures.player import size, unpack
from xai.framewise import listen, rollout_through_time, transfer, whole


@pytest.mark.parametrize("variant", ["vit", "msca-kv", "msca-v", "msca-q", "msca-patches-kv"])
def test_rows_come_back_to_one_part_in_255(variant: str) -> None:
    recognizer, clip = framewise(variant), noise_clip(2 * T, 40, 60)
    payload = neighbours_payload(recognizer, clip)
    _, taps = listen(recognizer, clip, recognizer.view(clip), whole)
    config, count = recognizer.network.config, 17
    rows = np.frombuffer(base64.b64decode(payload["rows"]), np.uint8)
    rows = rows.reshape(config.layers, config.heads, T, count, count) / 255 * unpack(payload["peak"])[..., None]
    for layer, tap in enumerate(taps):
        exact = np.nan_to_num(tap.rows(torch.arange(count))[0].transpose(0, 1).numpy())
        np.testing.assert_allclose(rows[layer], exact, atol=exact.max() / 255 + 2e-5)
    assert payload["grid"] == [4, 4]
    through = np.frombuffer(base64.b64decode(payload["through"]), np.uint8).reshape(T, T, count - 1) / 255
    exact = rollout_through_time(config, [transfer(tap) for tap in taps])[..., 1:]
    np.testing.assert_allclose(through * exact.max((1, 2), keepdims=True), exact, atol=exact.max() / 255)
    np.testing.assert_allclose(payload["shares"], exact.sum(2), atol=1e-5)
    reach = [sum(table[T // 2]) for table in payload["cone"]]
    assert reach[-1] == {"vit": 1, "msca-q": 3}.get(variant, 5)


def test_the_ends_say_that_there_is_no_frame() -> None:
    found = neighbours_payload(framewise("msca-kv"), noise_clip(2 * T, 40, 60))["from"]
    assert [row[0] for row in found] == [1, 1, 1, 1, None]
    assert [row[-1] for row in found] == [None, -1, -1, -1, -1]
    assert {row[1] for row in found} == {0}
    mixed = neighbours_payload(framewise("msca-patches-kv"), noise_clip(2 * T, 40, 60))["from"]
    assert isinstance(mixed[2][0], list)
    assert set(mixed[2][0]) == {-1, 0, 1}


@pytest.mark.parametrize(
    ("variant", "asks", "keys", "read"),
    [
        ("msca-q", [1, None], [0, 0], [0, 0]),
        ("msca-k", [0, 0], [1, None], [0, 0]),
        ("msca-v", [0, 0], [0, 0], [1, None]),
        ("msca-qk", [1, None], [1, None], [0, 0]),
        ("msca-qv", [1, None], [0, 0], [1, None]),
    ],
)
def test_what_is_read_are_values(variant: str, asks: list, keys: list, read: list) -> None:
    """In the first head, which looks ahead: in the first frame and in the last."""
    payload = neighbours_payload(framewise(variant), noise_clip(2 * T, 40, 60))
    assert [payload["asks"][t][0] for t in (0, -1)] == asks
    assert [payload["keys"][t][0] for t in (0, -1)] == keys
    assert [payload["from"][t][0] for t in (0, -1)] == read


def test_large_networks_send_the_class_tokens_only() -> None:
    payload = neighbours_payload(framewise("vit"), noise_clip(2 * T, 40, 60), budget=10_000)
    assert payload["queries"] == "cls"
    assert unpack(payload["peak"]).shape == (2, 4, T, 1)
    assert size(payload) < 60_000


def test_other_networks_are_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="shows frame-wise networks"):
        neighbours_payload(random_recognizer(), noise_clip())


def test_order_changes_nothing_without_mixing() -> None:
    clip = gym_clip("bow", 1, size=40, frames=2 * T, split="test")
    table = order_test([framewise("vit"), framewise("msca-kv")], clip)
    plain, mixed = np.array(list(table["orders"].values())).T
    assert table["label"] in ("a", "b", "c", "d")
    np.testing.assert_allclose(plain[:3], plain[0], atol=1e-5)
    assert abs(mixed[1] - mixed[0]) > 1e-4
    assert abs(plain[3] - plain[0]) > 1e-6
    assert [bar.name for bar in order_figure(table).data] == list(table["orders"])
    other = framewise("vit")
    other = replace(other, card=replace(other.card, labels=("e", "f", "g", "h")))
    with pytest.raises(ValueError, match="Not all of these networks know"):
        order_test([framewise("vit"), other], clip)
