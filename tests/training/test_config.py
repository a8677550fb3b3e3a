"""Configurations: presets, files, changes, and sentences for what is wrong with them."""

from __future__ import annotations

import ast
import inspect
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from training import config as config_file
from training import optimiser, schedule
from training.config import PRESETS, ConfigError, from_dict, known_keys, resolve
from training.schedule import Stage


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_written_to_yaml_is_read_back(name: str, tmp_path: Path) -> None:
    config = resolve(name)
    assert config == PRESETS[name]
    path = tmp_path / "run.yaml"
    path.write_text(config.to_yaml())
    assert resolve(str(path)) == config


@pytest.mark.parametrize("name", PRESETS)
def test_a_network_is_stored_at_the_size_of_its_last_stage(name: str) -> None:
    config, last = PRESETS[name], PRESETS[name].schedule.stages[-1]
    assert (config.model.size, config.model.frames) == (last.size, last.frames)


def test_changes_are_applied_and_typed() -> None:
    config = resolve(
        "demo",
        ["optimiser.lr=1e-2", "model.token_mode=single", "data.labels=[a, b]", "augmentation.flip=true",
         "schedule.stages=[{epochs: 2, size: 64, frames: 6}]"],
    )  # fmt: skip
    assert config.optimiser.lr == 0.01
    assert config.model.token_mode == "single"
    assert config.data.labels == ("a", "b")
    assert config.augmentation.flip is True
    assert config.schedule.stages == (Stage(epochs=2, size=64, frames=6),)
    assert (config.model.size, config.model.frames) == (64, 6)  # follow the last stage
    assert config.model.width == resolve("demo").model.width


def test_a_file_may_start_from_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("base: gym-cross\noptimiser:\n  lr: 0.5\n")
    config = resolve(str(path), ["run.seed=7"])
    assert (config.name, config.optimiser.lr, config.run.seed) == ("gym-cross", 0.5, 7)
    assert config.optimiser.ema == PRESETS["gym-cross"].optimiser.ema


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("optimizer.lr=1", "Unknown key optimizer; did you mean one of optimiser"),
        ("model.widht=8", "Unknown key model.widht; did you mean one of model.width"),
        ("lr=1", "Unknown key lr; did you mean one of optimiser.lr"),
        ("schedule.stages=[{epoch: 1}]", "Unknown key schedule.stages[0].epoch"),
        ("model.width=wide", "model.width is wide; expected int"),
        ("model.width=true", "model.width is True; expected int"),
        ("model.width=3", "width is 3; it must lie between 4 and 512"),
        ("data.labels=wave", "data.labels is wave; expected tuple"),
        ("run.precision=fp8", "run.precision is fp8; expected Literal['auto', 'fp32', 'bf16', 'fp16']"),
        ("optimiser.lr=-1", "optimiser.lr is -1.0; it must lie between 0 and 1"),
        ("run.seed=-1", "run.seed is -1; it must be at least 0"),
        ("schedule.stages=[{size: 50}]", "size 50; it must be a multiple of 8"),
        ("schedule.stages=[]", "schedule.stages is empty"),
        ("model=3", "model is 3; expected the keys of ModelConfig"),
        ("model.width", "holds no '='"),
        ("model.width=[", "is not a YAML value"),
    ],
)
def test_mistakes_are_named(change: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve("demo", [change])
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_presets_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'gym-cross'"):
        resolve("gym-cros")
    with pytest.raises(ConfigError, match="There is no configuration"):
        resolve(str(tmp_path / "none.yaml"))
    path = tmp_path / "bad.yaml"
    path.write_text("- a list")
    with pytest.raises(ConfigError, match="holds a list"):
        resolve(str(path))
    path.write_text("base: nothing")
    with pytest.raises(ConfigError, match="it must be a preset"):
        resolve(str(path))
    path.write_text("a: [")
    with pytest.raises(ConfigError, match="is not YAML"):
        resolve(str(path))


def test_yaml_runs_no_code(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: !!python/object/apply:os.getcwd []")
    with pytest.raises(ConfigError, match="is not YAML"):
        resolve(str(path))


def test_every_key_is_listed_and_plain() -> None:
    keys = set(known_keys())
    assert {"model.width", "schedule.stages", "run.seed", "augmentation.flip"} <= keys
    assert from_dict(yaml.safe_load(resolve("tiny").to_yaml())) == PRESETS["tiny"]


@pytest.mark.parametrize("module", [config_file, optimiser, schedule])
def test_fields_whose_name_does_not_say_it_all_are_documented(module: object) -> None:
    obvious = {"model", "data", "augmentation", "optimiser", "schedule", "run", "seed", "warmup_epochs", "beta1",
               "beta2", "contrast", "saturation", "brightness"}  # fmt: skip
    tree = ast.parse(inspect.getsource(module))  # type: ignore[arg-type]
    for node in tree.body:
        if not (isinstance(node, ast.ClassDef) and (node.name.endswith("Config") or node.name == "Stage")):
            continue
        cls = getattr(module, node.name)
        documented = {
            first.target.id
            for first, second in zip(node.body, node.body[1:], strict=False)
            if isinstance(first, ast.AnnAssign)
            and isinstance(first.target, ast.Name)
            and isinstance(second, ast.Expr)
            and isinstance(second.value, ast.Constant)
        }
        missing = {entry.name for entry in fields(cls)} - documented - obvious
        assert not missing, f"{node.name}: {sorted(missing)}"
