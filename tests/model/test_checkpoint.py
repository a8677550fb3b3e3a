"""Checkpoints come back bit for bit, refuse everything else in one sentence, and run nothing."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import model
from model.checkpoint import METADATA
from tests.model.networks import build, inputs

CARD = model.Card(
    labels=("a", "b", "c"), layout="jhmdb15", frames=4, size=32, trained_on="nothing", metrics={"top1": 0.5}
)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model.save(tmp_path / "net.safetensors", build(token_mode="single"), CARD)
    return tmp_path / "net.safetensors"


def rewrite(path: Path, about: dict[str, object] | str | None = None, **tensors: torch.Tensor | None) -> None:
    """Change what the file says about its network, or its tensors."""
    with safe_open(path, framework="pt") as file:
        text = file.metadata()[METADATA]
    if isinstance(about, dict):
        text = json.dumps(json.loads(text) | about)
    elif about is not None:
        text = about
    state = load_file(path)
    for name, tensor in tensors.items():
        if tensor is None:
            del state[name]
        else:
            state[name] = tensor
    save_file(state, path, {METADATA: text})


def test_what_is_saved_comes_back(saved: Path) -> None:
    network, card = model.load(saved)
    given = inputs()
    with torch.no_grad():
        assert torch.equal(network(*given), build(token_mode="single")(*given))
    assert card == CARD
    assert not network.training
    assert model.read_card(saved)[0] == network.config
    assert [path.name for path in saved.parent.iterdir()] == ["net.safetensors"]


def test_a_network_that_knows_all_about_poses_comes_back(tmp_path: Path) -> None:
    network = build(pose_geometry=True, pose_distances=True, pose_trail=True, pose_track=True)
    model.save(tmp_path / "net.safetensors", network, CARD)
    frames, joints, score = inputs()
    given = frames, joints[..., None, :] + torch.randn(5, 2), score
    with torch.no_grad():
        assert torch.equal(network(*given), model.load(tmp_path / "net.safetensors")[0](*given))


def test_the_same_network_and_card_give_the_same_file(saved: Path) -> None:
    again = saved.with_name("again.safetensors")
    model.save(again, build(token_mode="single"), CARD)
    assert again.read_bytes() == saved.read_bytes()
    assert model.checkpoint_hash(again) == model.checkpoint_hash(saved)
    model.save(again, build(token_mode="single"), replace(CARD, name="other"))
    assert model.checkpoint_hash(again) != model.checkpoint_hash(saved)


def test_half_precision_halves_the_file_and_stays_close(saved: Path) -> None:
    small = saved.with_name("half.safetensors")
    model.save(small, build(token_mode="single"), CARD, half=True)
    assert small.stat().st_size < 0.62 * saved.stat().st_size
    network, _ = model.load(small)
    assert all(p.dtype is torch.float32 for p in network.parameters())
    with torch.no_grad():
        assert torch.allclose(network(*inputs()), build(token_mode="single")(*inputs()), atol=0.02)


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return (Path.touch, (tmp_path / "ran",))  # type: ignore[return-value]

    (tmp_path / "evil.safetensors").write_bytes(pickle.dumps(Hostile()))
    torch.save({"a": torch.zeros(1)}, tmp_path / "net.pt")
    for name in ("evil.safetensors", "net.pt"):
        with pytest.raises(model.CheckpointError, match="not a safetensors file"):
            model.load(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_damage_and_strangers_get_one_sentence(saved: Path) -> None:
    whole = saved.read_bytes()
    cases = [
        (lambda: saved.write_bytes(whole[: len(whole) // 2]), "not a safetensors file"),
        (lambda: saved.write_bytes(b""), "not a safetensors file"),
        (lambda: rewrite(saved, {"format_version": 99}), "format version 99"),
        (lambda: rewrite(saved, {"architecture": "resnet"}), "kind 'resnet'"),
        (lambda: rewrite(saved, {"config": {"layers": 1000000000}}), "cannot read"),
        (lambda: rewrite(saved, {"config": 7}), "cannot read"),
        (lambda: rewrite(saved, {"card": {"labels": ["a"], "layout": "x", "frames": 1, "size": 32}}), "1 labels"),
        (lambda: rewrite(saved, "["), "cannot read"),
        (lambda: rewrite(saved, "[" * 100_000), "cannot read"),
        (lambda: rewrite(saved, "[]"), "no format version"),
        (lambda: rewrite(saved, **{"head.bias": None}), "lacks 1 tensors of its network, first head.bias"),
        (lambda: rewrite(saved, **{"extra": torch.zeros(1)}), "no place for, first extra"),
        (lambda: rewrite(saved, **{"head.bias": torch.zeros(4)}), r"head.bias is \[4\]"),
    ]
    for damage, sentence in cases:
        saved.write_bytes(whole)
        damage()
        with pytest.raises(model.CheckpointError, match=sentence) as error:
            model.load(saved)
        assert "\n" not in str(error.value)
    with pytest.raises(model.CheckpointError, match="There is no checkpoint"):
        model.load(saved.with_name("nothing.safetensors"))


def test_a_failing_write_leaves_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("model.checkpoint.save_file", full_disk)
    with pytest.raises(OSError, match="No space"):
        model.save(saved, build(token_mode="single", seed=9), CARD)
    monkeypatch.undo()
    assert model.load(saved)[1] == CARD
    assert len(list(saved.parent.iterdir())) == 1


def test_the_hash_names_the_content(saved: Path) -> None:
    first = model.checkpoint_hash(saved)
    assert len(first) == 16
    model.save(saved, build(token_mode="single"), replace(CARD, name="other"))
    assert model.checkpoint_hash(saved) != first


def test_labels_must_match_the_classes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 labels"):
        model.save(tmp_path / "x.safetensors", build(), replace(CARD, labels=("a", "b")))
