"""What is measured. Each case is a function of settings that returns something to call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import torch

from model.config import demo, paper
from model.cross_modal import ModalTokens
from model.framewise_config import VARIANTS, vit_b16
from model.stride import JointStrideAttention, TemporalStrideAttention
from model.transformer import DeformableAttention, DeformableTransformer, Layer

Case = Callable[[], object]
Mode = Literal["ours", "full"]


def _modes(mode: Mode) -> dict[str, Any]:
    return {} if mode == "ours" else {"deformable": "full", "joint": "full", "temporal": "full"}


def _bare(attention: Any) -> Any:
    """Without norms, projections and FFN, whose cost is linear in the tokens: what is left is who reads whom."""
    for name in ("norm", "query", "key", "value", "projection", "ffn_norm", "ffn"):
        setattr(attention.block, name, torch.nn.Identity())
    return attention


def block(
    mode: Mode,
    part: str = "block",
    size: int = 224,
    frames: int = 12,
    joints: int = 13,
    people: int = 1,
    bare: bool = False,
) -> Case:
    """One layer of the paper preset on random tokens: the whole of it, or one of its three attentions."""
    config = paper(frames=frames, size=size, joints=joints, **_modes(mode))
    torch.manual_seed(0)
    side = size // 8
    patches = torch.randn(1, frames, side * side, config.dim)
    pose = torch.randn(1, frames, joints * people, config.dim)
    modal = torch.randn(1, 3, frames, config.dim)
    visible = torch.ones(1, frames, joints * people, dtype=torch.bool)
    if part == "deformable":
        attention = DeformableAttention(config, 0, 0.0).eval()
        return lambda: attention(patches, modal[:, :2], (frames, side, side), ["cls", "rgb"])
    if part == "joint":
        joint = JointStrideAttention(config, 0, 0.0).eval()
        joint = _bare(joint) if bare else joint
        return lambda: joint(pose, modal[:, :2], visible, ["cls", "pose"])
    if part == "temporal":
        temporal = TemporalStrideAttention(config, 0, 0.0).eval()
        temporal = _bare(temporal) if bare else temporal
        return lambda: temporal(patches, pose, modal, visible, ["cls", "rgb", "pose"])
    layer = Layer(config, 0, ModalTokens(config)).eval()
    return lambda: layer(patches, pose, modal, visible, (frames, side, side))


def predict(preset: str = "paper", layers: int = 3, trace: bool = False) -> Case:
    """A whole forward pass of a preset on one random clip; with `trace`, the rows of the modal tokens are kept."""
    from xai.trace import Trace

    config = paper(layers=layers) if preset == "paper" else demo()
    torch.manual_seed(0)
    network = DeformableTransformer(config).eval()
    frames = torch.randn(1, 3, 12, config.size, config.size)
    joints = torch.rand(1, 12, 1, config.joints, 2) * config.size
    score = torch.ones(1, 12, 1, config.joints)

    def plain() -> object:
        return network(frames, joints, score)

    def traced() -> object:
        with Trace():
            return network(frames, joints, score)

    return traced if trace else plain


def trained(preset: str, keep: bool) -> Case:
    """A step forwards and backwards in the first stage of a preset, on random clips; with `keep`, in a process that
    keeps the memory that it frees, as that of a training command does."""
    from training.config import resolve
    from training.malloc import keep_freed_memory
    from training.trail import PLACES

    if keep:
        keep_freed_memory()
    config = resolve(preset, [])
    stage = config.schedule.stages[0]
    torch.manual_seed(0)
    network = DeformableTransformer(config.model)  # type: ignore[arg-type]
    shape = (stage.batch, stage.frames, 1, config.model.joints)  # type: ignore[union-attr]
    frames = torch.randn(stage.batch, 3, stage.frames, stage.size, stage.size)
    places = (PLACES,) if config.model.pose_trail else ()  # type: ignore[union-attr]
    joints, score = torch.rand(*shape, *places, 2) * stage.size, torch.ones(shape)

    @torch.inference_mode(False)
    def step() -> None:
        network.zero_grad()
        network(frames, joints, score).sum().backward()

    return step


def recognise(explain: bool) -> Case:
    """The demo preset on a 112 px clip through the public interface: predict, or predict and all evidence."""
    import model
    from training import gym
    from training.recognizer import Recognizer
    from xai.evidence import gather_evidence

    torch.manual_seed(0)
    network = DeformableTransformer(demo(classes=len(gym.LABELS))).eval()
    card = model.Card(labels=tuple(gym.LABELS), layout="jhmdb15", frames=12, size=112)
    recognizer, clip = Recognizer(network, card, "benchmark"), gym.clip(gym.LABELS[0], 0)
    return (lambda: gather_evidence(recognizer, clip)) if explain else (lambda: recognizer(clip))


def _asked(preset: str) -> Any:
    """The shipped gym network on a clip of 112 px, or the paper preset with random weights on one of 224 px; one person
    with 15 joints is seen in either."""
    import model
    from training import gym
    from training.recognizer import Recognizer

    clip = gym.clip("wave left hand", 0, size=224 if preset == "paper" else 112, split="test")
    if preset != "paper":
        return Recognizer.load("assets/checkpoints/gym-cross.safetensors", "cpu"), clip
    torch.manual_seed(0)
    network = DeformableTransformer(paper(classes=len(gym.LABELS), joints=15)).eval()
    card = model.Card(labels=tuple(gym.LABELS), layout="jhmdb15", frames=12, size=224)
    return Recognizer(network, card, "benchmark"), clip


def explained(
    method: str,
    on: str | None = None,
    preset: str = "demo",
    options: dict[str, Any] | None = None,
    trust: bool = False,
    passes: int | None = None,
) -> Case:
    """One method asked about one clip through the public interface; with `trust`, what it costs to doubt its map.

    `passes`: cancelled after so many, where all passes are alike and only their memory is asked for.
    """
    from xai.methods import explain, methods
    from xai.trust import trust as doubt

    recognizer, clip = _asked(preset)
    methods()  # what is imported with them is no cost of a map

    class EnoughError(Exception):
        pass

    def watch(done: int, total: int) -> None:
        if passes is not None and done >= passes:
            raise EnoughError

    @torch.inference_mode(False)
    def ask() -> Any:
        with suppress(EnoughError):
            return explain(recognizer, clip, method, on=on, progress=watch, **(options or {}))
        return None

    if not trust:
        return ask
    explanation = ask()
    return torch.inference_mode(False)(lambda: doubt(recognizer, clip, explanation))


def deformable_3d(whose: str) -> Case:
    """1 x 256 x 12 x 14 x 14: our 3D deformable attention, or `DeformableAttention3D` of `deformable-attention`."""
    torch.manual_seed(0)
    volume = torch.randn(1, 256, 12, 14, 14)
    if whose == "deformable-attention":
        from deformable_attention import DeformableAttention3D

        settings: dict[str, Any] = {
            "downsample_factor": (2, 2, 2),
            "offset_scale": (2, 2, 2),
            "offset_kernel_size": (4, 4, 4),
        }
        theirs = DeformableAttention3D(dim=256, dim_head=32, heads=8, dropout=0.0, **settings).eval()  # 294 keys
        return lambda: theirs(volume)
    config = paper(size=112, heads=8)
    ours = DeformableAttention(config, 0, 0.0).eval()
    patches, none = volume.flatten(3).permute(0, 2, 3, 1).contiguous(), torch.zeros(1, 0, 12, 256)
    return lambda: ours(patches, none, (12, 14, 14), [])


def timesformer(maps: bool = False) -> Case:
    """TimeSformer-base of `transformers`, 8 x 224, random weights; with `maps` it also returns what it has of its
    attention, the maps in space, for which it must attend eagerly."""
    from transformers import TimesformerConfig, TimesformerForVideoClassification

    torch.manual_seed(0)
    config = TimesformerConfig(attn_implementation="eager") if maps else TimesformerConfig()
    network = TimesformerForVideoClassification(config).eval()
    frames = torch.randn(1, 8, 3, 224, 224)
    return lambda: network(frames, output_attentions=maps)


def framewise_evidence(variant: str = "msca-kv", bf16: bool = False) -> Case:
    """ViT-B/16, 8 x 224, random weights, through the public interface: the answer and the evidence of every head."""
    import numpy as np

    import model
    from training.clip import Clip
    from training.recognizer import Recognizer
    from training.skeleton import COCO
    from xai.evidence import gather_evidence

    torch.manual_seed(0)
    network = model.FrameWise(vit_b16(classes=400, frames=8, **VARIANTS[variant])).eval()
    labels = tuple(f"class {number}" for number in range(400))
    card = model.Card(labels=labels, layout=COCO.name, frames=8, size=224)
    recognizer, generator = Recognizer(network, card, "benchmark"), np.random.default_rng(0)
    frames = generator.integers(0, 256, (8, 224, 224, 3), np.uint8)
    clip = Clip(frames, np.zeros((8, 0, 17, 2), np.float32), np.zeros((8, 0, 17), np.float32), COCO, np.arange(8) / 8)

    def run() -> object:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return gather_evidence(recognizer, clip)

    return run


CASES: dict[str, Callable[..., Case]] = {
    "block": block,
    "predict": predict,
    "trained": trained,
    "recognise": recognise,
    "explained": explained,
    "deformable_3d": deformable_3d,
    "timesformer": timesformer,
    "framewise_evidence": framewise_evidence,
}
