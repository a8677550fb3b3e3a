"""Every network trains with the same loop: the frame-wise ones from their presets to their checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import model
from model import VARIANTS, FrameWise, FrameWiseConfig
from model.framewise_config import tiny
from tests.training.squares import Squares
from tests.training.test_engine import small, start
from tests.training.test_resume import assert_equal
from training.checkpointing import load_state, save_state
from training.config import PRESETS, ConfigError, RunConfig, ScheduleConfig, TrainConfig, from_dict, known_keys, resolve
from training.cost import model_cost
from training.initialise import initialise, starting_weights
from training.optimiser import OptimiserConfig, parameter_groups
from training.schedule import Stage


def framewise(**changes: object) -> TrainConfig:
    stages = (Stage(epochs=1, size=32, frames=4, batch=4), Stage(epochs=1, size=48, frames=3, batch=4, restart=True))
    config = small(
        architecture="framewise", model=tiny(width=16), schedule=ScheduleConfig(stages=stages, warmup_epochs=0)
    )
    return replace(config, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("also", [{}, {"joint_task": 0.5}, {"mixup": 0.5}], ids=["alone", "joint task", "mixup"])
def test_a_framewise_network_trains_and_resumes_bit_for_bit(tmp_path: Path, also: dict[str, float]) -> None:
    data = Squares(train=12, val=4)
    recipe = framewise(optimiser=OptimiserConfig(**also))  # type: ignore[arg-type]
    whole = start(recipe, tmp_path / "whole", data)
    assert whole.train()
    network, card = model.load(tmp_path / "whole" / "best.safetensors")
    assert isinstance(network, FrameWise)
    assert (card.size, card.frames, network.config.classes) == (48, 3, 2)
    run = start(recipe, tmp_path / "cut", data)
    update = run._update

    def stop_then() -> None:
        update()
        run.stopped = run.step >= 2

    run._update = stop_then  # type: ignore[method-assign]
    assert not run.train()
    assert start(recipe, tmp_path / "cut", data, resume=True).train()
    states = [load_state(tmp_path / name / "last.pt") for name in ("whole", "cut")]
    for state in states:
        del state["log_bytes"]
    assert_equal(*states)


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_variant_has_a_preset_with_one_recipe(variant: str) -> None:
    config, vit = PRESETS[f"gym-{variant}"], PRESETS["gym-vit"]
    assert isinstance(config.model, FrameWiseConfig)
    changed = {key: getattr(config.model, key) for key in VARIANTS[variant]}
    assert changed == dict(VARIANTS[variant])
    assert replace(config, name=vit.name, model=vit.model) == vit
    assert resolve(f"gym-{variant}") == config


def test_a_configuration_without_an_architecture_is_deformable() -> None:
    values = PRESETS["gym-cross"].to_dict()
    del values["architecture"]
    assert from_dict(values) == PRESETS["gym-cross"]


def test_keys_of_the_model_are_those_of_its_architecture(tmp_path: Path) -> None:
    assert resolve("gym-vit", ["model.patch=8"]).model == replace(PRESETS["gym-vit"].model, patch=8)
    with pytest.raises(ConfigError, match=r"Unknown key model\.token_mode"):
        resolve("gym-vit", ["model.token_mode=single"])
    with pytest.raises(ConfigError, match=r"Unknown key model\.mixin; did you mean one of model\.mixing"):
        resolve("gym-vit", ["model.mixin=none"])
    with pytest.raises(ConfigError, match=r"Unknown key model\.patch"):
        resolve("gym-cross", ["model.patch=8"])
    with pytest.raises(ConfigError, match="architecture is 'vit'; expected one of deformable, framewise"):
        resolve("gym-vit", ["architecture=vit"])
    assert {"model.patch", "architecture"} <= set(known_keys(network=FrameWiseConfig))
    text = "base: gym-cross\narchitecture: framewise\nmodel: {width: 96, heads: 6}\n"
    (tmp_path / "mine.yaml").write_text(f"{text}schedule: {{stages: [{{epochs: 3, size: 112, frames: 12}}]}}\n")
    config = resolve(str(tmp_path / "mine.yaml"))
    assert isinstance(config.model, FrameWiseConfig)
    assert (config.model.width, config.model.size, config.data) == (96, 112, PRESETS["gym-cross"].data)


def test_a_stage_must_fit_the_patch() -> None:
    with pytest.raises(ConfigError, match=r"A stage has size 56; it must be a multiple of model\.patch, 16"):
        resolve("gym-vit", ["schedule.stages=[{size: 56, frames: 4}, {size: 112, frames: 4}]"])
    with pytest.raises(ValueError, match="architecture 'deformable' needs a ModelConfig"):
        TrainConfig(model=tiny())
    with pytest.raises(ConfigError, match="A stage has pictures false, and a frame-wise network sees nothing else"):
        resolve("gym-vit", ["schedule.stages=[{size: 112, frames: 4, pictures: false}]"])


def test_positions_and_cls_do_not_decay_and_a_vit_is_a_trunk() -> None:
    network = model.build(tiny())
    groups = parameter_groups(network, OptimiserConfig(lr=1.0, backbone_lr=0.3))
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    found = {group["name"]: {names[id(p)] for p in group["params"]} for group in groups}
    assert {"pos_embed", "cls_token", "norm.weight"} <= found["backbone, no decay"]
    assert "patch_embed.proj.weight" in found["backbone"]
    assert (found["base"], found["base, no decay"]) == ({"head.weight"}, {"head.bias"})
    assert {group["name"]: group["lr"] for group in groups}["backbone"] == 0.3
    assert sum(len(members) for members in found.values()) == len(names)


def test_framewise_weights_start_another_one_at_another_size(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = model.build(tiny(classes=2, mixing="none"))
    card = model.Card(labels=Squares.labels, layout="jhmdb15", frames=8, size=48)
    model.save(tmp_path / "vit.safetensors", source, card)
    network = model.build(tiny(classes=2, size=64, mixing="msca"))
    said = initialise(network, tmp_path / "vit.safetensors", Squares.labels)
    assert "with its head" in said
    assert "resized pos_embed" in said
    plain = model.build(tiny(classes=2, size=64, mixing="none"))
    plain.load_state_dict(network.state_dict())
    frames = torch.randn(1, 3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(source.eval()(frames, None, None), plain.eval()(frames, None, None), atol=1e-5)
    with pytest.raises(ConfigError, match="holds a framewise-vit, and the configuration asks for a deformable"):
        initialise(model.build(small().model), tmp_path / "vit.safetensors", Squares.labels)
    with pytest.raises(ConfigError, match="patch 8 instead of 16"):
        initialise(model.build(tiny(classes=2, patch=16)), tmp_path / "vit.safetensors", Squares.labels)


def test_backbone_weights_of_a_framewise_network_are_those_of_a_vit(tmp_path: Path) -> None:
    source, network = (model.build(tiny(classes=classes)) for classes in (2, 5))
    torch.save(source.state_dict(), tmp_path / "vit.pt")
    run = replace(framewise().run, backbone_weights=str(tmp_path / "vit.pt"))
    (said,) = starting_weights(network, run, ("a",) * 5)
    assert "tensors of the ViT" in said
    assert torch.equal(network.cls_token, source.cls_token)  # type: ignore[arg-type]


def test_a_trunk_that_is_not_learnt_reads_no_weights(tmp_path: Path) -> None:
    config = replace(small().model, backbone_reads="gradients")  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="has no convolutions to read them"):
        starting_weights(model.build(config), RunConfig(backbone_weights=str(tmp_path / "mc3_18.pth")), ("a", "b"))


def test_cost_of_a_framewise_network_by_hand() -> None:
    config = tiny(size=32, patch=16, width=16, layers=1, heads=2, ffn_ratio=2, frames=3, classes=2)
    parameters, flops = model_cost(config)
    assert parameters == sum(p.numel() for p in model.build(config).parameters())
    tokens, d = 4 + 1, 16
    patches = 2 * 4 * (3 * 16 * 16) * d
    block = 2 * tokens * (4 * d * d + 2 * 2 * d * d) + 2 * 2 * tokens * tokens * d
    assert flops == 3 * (patches + block) + 2 * d * 2


def test_a_run_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    """Its configuration lacks keys that were added since, and its state one of the sums."""
    data = Squares(train=8, val=2)
    run = start(small(), tmp_path / "x", data)
    state = load_state(tmp_path / "x" / "last.pt")
    del state["config"]["architecture"]
    state["sums"] = state["sums"][:6]
    save_state(tmp_path / "x" / "last.pt", state)
    run.log.close()
    assert start(small(), tmp_path / "x", data, resume=True).train()
