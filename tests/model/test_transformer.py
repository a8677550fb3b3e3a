"""The whole network against the paper written out, every variant at every shape, and errors in one sentence."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from model.config import PRESETS, ModelConfig
from tests.model import literal
from tests.model.networks import build, inputs, small


@pytest.mark.parametrize("frames", [1, 3, 4])
def test_network_equals_the_paper_written_out(frames: int) -> None:
    network = build()
    video, joints, score = inputs(frames=frames, height=32, width=40, people=1)
    with torch.no_grad():
        fast, slow = network(video, joints, score)[0], literal.forward(network, video, joints, score)
    assert torch.allclose(fast, slow, atol=1e-5), (fast, slow)


@pytest.mark.parametrize("token_mode", ["none", "single", "cross"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"deformable": "full", "joint": "full", "temporal": "full"},
        {"deformable": "off", "joint_pairing": "both", "temporal_pairing": "slide"},
        {"joint": "off", "temporal_wrap": False},
        {"temporal": "off", "joint_pairing": "slide"},
        {"joint_stride": 1, "temporal_stride": 1, "joint_pairing": "self", "temporal_pairing": "both"},
        {"backbone_reads": "motion"},
        {"backbone_reads": "gradients"},
    ],
)
def test_every_variant_equals_the_paper_written_out(token_mode: str, changes: dict[str, object]) -> None:
    network = build(token_mode=token_mode, **changes)
    people = 2 if token_mode == "cross" else 1  # written out, each person costs seconds
    video, joints, score = inputs(frames=5, height=32, width=40, people=people)
    with torch.no_grad():
        fast, slow = network(video, joints, score)[0], literal.forward(network, video, joints, score)
    assert torch.allclose(fast, slow, atol=1e-5), (fast, slow)


@pytest.mark.parametrize("token_mode", ["none", "single", "cross"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"deformable": "full", "joint": "full", "temporal": "full"},
        {"deformable": "off"},
        {"joint": "off"},
        {"temporal": "off"},
        {"joint_pairing": "slide", "temporal_pairing": "both"},
        {"temporal_wrap": False, "joint_pairing": "self", "fa_from": "stem"},
        {"attention_prenorm": False, "normalise_heatmap": False, "pose_geometry": True, "backbone_norm": "group"},
        {"pose_geometry": True, "pose_distances": True, "pose_trail": True},
        {"pose_geometry": True, "pose_trail": True, "pose_track": True},
    ],
)
def test_every_variant_runs_at_every_shape(token_mode: str, changes: dict[str, object]) -> None:
    network = build(token_mode=token_mode, **changes)
    for frames, size, people in [(1, 32, 1), (4, 40, 2), (7, 64, 3)]:
        with torch.no_grad():
            video, joints, score = inputs(frames=frames, height=size, width=size + 8, people=people, batch=2)
            if network.reads_trail:
                with pytest.raises(ValueError, match=r"M, J, 5, 2\]"):
                    network(video, joints, score)
                joints = joints[..., None, :] + torch.randn(5, 2)
            logits = network(video, joints, score)
        assert logits.shape == (2, 3)
        assert torch.isfinite(logits).all()


@pytest.mark.parametrize("token_mode", ["none", "single", "cross"])
def test_every_parameter_learns(token_mode: str) -> None:
    poses = {"pose_geometry": True, "pose_distances": True, "pose_trail": True, "pose_track": True}
    network = build(token_mode=token_mode, **poses).train()
    video, joints, score = inputs(batch=2)
    joints = joints[..., None, :] + torch.randn(*joints.shape[:-1], 5, 2)
    torch.nn.functional.cross_entropy(network(video, joints, score), torch.tensor([0, 1])).backward()
    silent = [n for n, p in network.named_parameters() if p.numel() and (p.grad is None or not p.grad.abs().sum() > 0)]
    # A key bias adds the same number to every score of a row, which softmax ignores.
    assert [name for name in silent if not name.endswith("key.bias")] == []


@pytest.mark.parametrize("reads", ["colour", "motion", "gradients"])
def test_no_pictures_are_pictures_of_the_mean_colour(reads: str) -> None:
    network = build(backbone_reads=reads)
    video, joints, score = inputs(frames=4, height=32, width=40, people=1)
    with torch.no_grad():
        blank, none = network(torch.zeros_like(video), joints, score), network(video, joints, score, pictures=False)
        assert torch.allclose(blank, none, atol=1e-6)
        assert not torch.allclose(blank, network(video, joints, score), atol=1e-3)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train()
    network(video, joints, score, pictures=False).sum().backward()
    assert network.training
    assert network.backbone.training
    assert all(weight.grad is None for weight in network.backbone.parameters())
    for name, value in network.backbone.state_dict().items():
        assert torch.equal(before[f"backbone.{name}"], value), name
    assert network.head.weight.grad is not None


@pytest.mark.parametrize("token_mode", ["none", "single", "cross"])
def test_no_joint_seen_at_all_is_finite_and_equals_any_place(token_mode: str) -> None:
    network = build(token_mode=token_mode)
    video, joints, score = inputs()
    with torch.no_grad():
        logits = network(video, joints, torch.zeros_like(score))
        assert torch.isfinite(logits).all()
        assert torch.equal(logits, network(video, joints * 0, torch.zeros_like(score)))


@pytest.mark.parametrize("token_mode", ["none", "single", "cross"])
def test_the_ledger_adds_up_to_the_logit(token_mode: str) -> None:
    network = build(token_mode=token_mode)
    with torch.no_grad():
        tokens = network.features(*inputs(batch=2))
        parts = network.ledger(tokens)
        assert parts.shape == (2, 3, len(network.slots), 5)
        assert torch.allclose(parts.sum((2, 3)) + network.head.bias, network.classify(tokens), atol=1e-5)


def test_a_clip_does_not_depend_on_its_neighbours_in_the_batch() -> None:
    network = build()
    video, joints, score = inputs(batch=3)
    with torch.no_grad():
        together = network(video, joints, score)
        alone = torch.cat([network(video[i : i + 1], joints[i : i + 1], score[i : i + 1]) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_eight_clips_are_learned_by_heart() -> None:
    network = build(width=8, classes=4).train()
    video, joints, score = inputs(frames=4, height=32, width=32, batch=8)
    labels = torch.arange(8) % 4
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    start = [p.detach().clone() for n, p in network.named_parameters() if n.endswith("offset.weight")]
    for _ in range(60):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(video, joints, score), labels)
        loss.backward()
        optimiser.step()
        if loss.item() < 0.02:
            break
    assert (network(video, joints, score).argmax(1) == labels).all()
    moved = [p for n, p in network.named_parameters() if n.endswith("offset.weight")]
    assert all((a - b).abs().max() > 0 for a, b in zip(start, moved, strict=True))


def test_presets_are_what_they_say() -> None:
    assert set(PRESETS) == {"paper", "demo", "tiny"}
    assert PRESETS["paper"]() == ModelConfig(size=224, width=64, frames=12)
    assert PRESETS["demo"](token_mode="single").roles == ("shared",)
    assert ModelConfig.from_dict(PRESETS["demo"]().to_dict()) == PRESETS["demo"]()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"frames": (1, 5, 40, 48)}, r"Frames must be \[B, 3, T, H, W\]"),
        ({"frames": (1, 3, 5, 41, 48)}, "multiples of 8 from 32 up"),
        ({"frames": (1, 3, 5, 24, 24)}, "multiples of 8 from 32 up"),
        ({"joints": (1, 4, 2, 5, 2)}, "like the frames"),
        ({"joints": (1, 5, 2, 6, 2)}, "built for 5 joints"),
        ({"score": (1, 5, 2, 4)}, "Scores must be"),
    ],
)
def test_wrong_shapes_get_one_sentence(wrong: dict[str, tuple[int, ...]], sentence: str) -> None:
    video, joints, score = inputs()
    given = {"frames": video, "joints": joints, "score": score} | {n: torch.zeros(s) for n, s in wrong.items()}
    with pytest.raises(ValueError, match=sentence) as error:
        build()(**given)
    assert "\n" not in str(error.value)


def test_people_may_change_places_where_every_window_holds_all() -> None:
    """With `self` and full windows nothing depends on who comes first but the person embeddings (method, 7.6)."""
    network = build(joint_pairing="self", joint="full", people=2)
    video, joints, score = inputs(people=2)
    turned = joints.flip(2), score.flip(2)
    with torch.no_grad():
        straight = network(video, joints, score)
        assert not torch.allclose(network(video, *turned), straight, atol=1e-4)
        embedding = network.tokenizer.person_embedding
        embedding.copy_(embedding.flip(0))
        assert torch.allclose(network(video, *turned), straight, atol=1e-5)


def test_wrong_values_get_one_sentence() -> None:
    network, (video, joints, score) = build(), inputs()
    for frames, sentence in (
        (video.double(), "float64"),
        (video.half(), "float16"),
        (video.where(video < 2, float("nan")), "finite"),
        (video.where(video < 2, float("inf")), "finite"),
        (video.to("meta"), "this network is on cpu"),
    ):
        with pytest.raises(ValueError, match=sentence):
            network(frames, *(each.to(frames.device) for each in (joints, score)))
    joints[0, 0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="finite"):
        network(video, joints, score)
    with pytest.raises(ValueError, match="floating point"):
        network(video.to(torch.uint8), *inputs()[1:])
    with pytest.raises(ValueError, match="one device"):
        network(video, *(t.to("meta") for t in inputs()[1:]))


@pytest.mark.parametrize(
    "settings",
    [{"token_mode": "triple"}, {"layers": 10**9}, {"heads": 3}, {"size": 50}, {"joint_stride": 9}, {"width": 0}],
)
def test_impossible_configurations_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings)).split("_")[0]):
        small(**settings)


def test_config_files_with_unknown_names_or_types_are_refused() -> None:
    with pytest.raises(ValueError, match="Unknown model settings widht"):
        ModelConfig.from_dict({"widht": 3})
    with pytest.raises(ValueError, match="type int"):
        ModelConfig.from_dict({"width": "64"})


def test_drop_path_and_dropout_only_in_training() -> None:
    network = build(drop_path=0.5, dropout=0.5)
    given = inputs()
    with torch.no_grad():
        assert torch.equal(network(*given), network(*given))
        torch.manual_seed(0)
        runs = [network.train()(*given) for _ in range(2)]
    assert not torch.equal(*runs)


@pytest.mark.parametrize(("people", "window"), list(product([1, 5], [1, 30])))
def test_more_people_than_embeddings_and_any_window(people: int, window: int) -> None:
    with torch.no_grad():
        assert torch.isfinite(build(joint_window=window)(*inputs(people=people))).all()
