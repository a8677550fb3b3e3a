"""One frozen dataclass tree that says everything about a run; the YAML file of a run maps onto it one to one.

    gym-cross                        a preset
    my.yaml                          a file; `base: gym-cross` in it starts from a preset
    --set optimiser.lr=1e-3          changes one value of either, checked against its type
    architecture: framewise          the keys of `model` are then those of FrameWiseConfig

jsonargparse reads values and checks them against the type hints; unknown keys are found here, to name their neighbours.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import yaml

from model import VARIANTS, FrameWiseConfig, ModelConfig, NetworkConfig
from model.config import demo, paper, tiny
from model.framewise_config import demo as framewise_demo
from training.errors import ClipError
from training.optimiser import OptimiserConfig
from training.schedule import Stage
from training.transforms import Augmentation, Normalisation
from training.view import Shown


class ConfigError(ClipError):
    """A configuration that cannot be used; the message names the key and what it should be."""


@dataclass(frozen=True)
class DataConfig:
    """Which clips."""

    source: str = "gym"
    """`gym`, `gym?train=4000&size=112`, `jhmdb:FOLDER?split=2`, or `pack:FILE`."""
    train_clips: int = 0
    """Use so many training clips only, spread evenly over the labels; 0 is all."""
    val_clips: int = 0
    """The same for validation."""
    labels: tuple[str, ...] = ()
    """Use only these labels; empty is all."""
    hold_out: bool = True
    """False trains on the validation clips too, once all choices are made: nothing is validated then, and the last
    epoch is the result. Test clips are never among them."""
    pack: bool = True
    """Decode or render once, into `cache`."""
    pack_size: int = 128
    """Short side of packed frames in pixels."""
    pack_workers: int = 0
    """Processes that decode or render for the pack."""
    cache: str = "~/.cache/kinescope"
    """Folder of the packs."""
    together: int = 1
    """So many consecutive clips are always in one batch and in one view: 2 shows the minimal pairs of the gym."""
    workers: int = -1
    """Processes that prepare batches; -1 is one less than there are processors with CUDA, and none without."""

    repeat: dict[str, int] = field(default_factory=dict)
    """How often an epoch shows the training clips of a label; 1 for those that are not named. Labels that are not in
    `labels` are not shown at all."""

    def __post_init__(self) -> None:
        if short := [label for label, times in self.repeat.items() if times < 1]:
            raise ValueError(f"data.repeat of {short[0]!r} is {self.repeat[short[0]]}; it must be at least 1.")
        if self.together < 1:
            raise ValueError(f"data.together is {self.together}; it must be at least 1.")


@dataclass(frozen=True)
class ScheduleConfig:
    """When."""

    stages: tuple[Stage, ...] = (Stage(),)
    """One after the other, with the same weights; the last one decides what the checkpoint is for."""
    warmup_epochs: float = 5
    final_lr: float = 0.01
    """Learning rate at the end of a cosine, as a part of the peak."""
    validate_every: int = 1
    """Epochs from one validation to the next. The last epoch of each stage is always validated."""


@dataclass(frozen=True)
class RunConfig:
    """How and where."""

    seed: int = 0
    device: str = "auto"
    """`auto` is CUDA if there is one, else the CPU."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """`auto` is bf16 on CUDA and fp32 on the CPU, where bf16 is slow without hardware for it."""
    threads: int = 0
    """Threads of one operation on the CPU; 0 is torch's choice, all cores."""
    deterministic: bool = True
    """Algorithms that give the same sums every time, where torch has them."""
    log_every: int = 20
    """Steps from one line of the log to the next."""
    checkpoint_minutes: float = 5
    """Minutes from one checkpoint to the next within an epoch."""
    backbone_weights: str = ""
    """Where the trunk starts from: a state dict of `mc3_18`, a checkpoint of ours (`.safetensors`), or for a frame-wise
    network that of a ViT (timm's names). Set `normalisation` to what its weights were trained with: timm's ViT-B/16
    means 0.5 and deviations 0.5."""
    init_from: str = ""
    """A `.safetensors` checkpoint to start from. Unlike --resume, it brings weights only."""

    def __post_init__(self) -> None:
        for name, low in (("seed", 0), ("threads", 0), ("log_every", 1), ("checkpoint_minutes", 0)):
            if getattr(self, name) < low:
                raise ValueError(f"run.{name} is {getattr(self, name)}; it must be at least {low}.")


Architecture = Literal["deformable", "framewise"]
NETWORKS: dict[str, type[NetworkConfig]] = {"deformable": ModelConfig, "framewise": FrameWiseConfig}


@dataclass(frozen=True)
class TrainConfig:
    """Everything about a run."""

    name: str = "paper"
    """Name on the card of the checkpoint."""
    architecture: Architecture = "deformable"
    """The 3D deformable transformer, or the frame-wise ViT, TokenShift and MSCA."""
    model: NetworkConfig = field(default_factory=ModelConfig)
    """The network. Classes and joints are taken from the data, size and frames from the last stage."""
    data: DataConfig = field(default_factory=DataConfig)
    augmentation: Augmentation = field(default_factory=Augmentation)
    normalisation: Normalisation = field(default_factory=Normalisation)
    """Mean and deviation of the colours that the weights expect; give those of pretrained weights."""
    fit: Shown = "crop"
    """What of a clip is shown: crops of the frame, or of a square around the person, whose appearance then fills the
    image wherever it stands."""
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    run: RunConfig = field(default_factory=RunConfig)
    limits: str = ""
    """What the network should not be used for; printed on its card."""
    licence: str = ""
    """Licence of the weights; printed on the card."""

    def __post_init__(self) -> None:
        if not isinstance(self.model, NETWORKS[self.architecture]):
            raise ValueError(f"architecture {self.architecture!r} needs a {NETWORKS[self.architecture].__name__}.")
        patch = self.model.patch if isinstance(self.model, FrameWiseConfig) else 8
        if odd := [stage.size for stage in self.schedule.stages if stage.size % patch]:
            raise ValueError(f"A stage has size {odd[0]}; it must be a multiple of model.patch, {patch}.")
        if self.architecture == "framewise" and not all(stage.pictures for stage in self.schedule.stages):
            raise ValueError("A stage has pictures false, and a frame-wise network sees nothing else; leave it out.")

    def to_dict(self) -> dict[str, Any]:
        return _plain(asdict(self))

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)


RELATIONAL = ("pick up", "put down", "step toward sign", "step away from sign", "hand over", "receive")
"""Labels of the gym that no single cue tells: an order and a thing, a direction and a sign, a person and a cap."""
GYM_DATA = DataConfig(
    source="gym?train=3600&val=360",
    pack_size=112,
    pack_workers=2,
    together=2,
    repeat=dict.fromkeys(RELATIONAL, 2),
)
GYM_AUGMENTATION = Augmentation(smallest=0.92, aspect=1.05, outside=0.02)
"""Little cropping: the sign of the pair `step` stands at the border of the frame."""


def gym(token_mode: Literal["cross", "single", "none"]) -> TrainConfig:
    """The recipe of the shipped gym networks.

    Small clips first: a step at 56 px and 8 frames costs a sixth of one at 112 px and 12 frames. The two clips of a
    minimal pair come in one batch and in one view, and pairs that no single cue tells come twice. Dropout is off,
    because drawing its noise is a fifth of a step on the CPU and rendered clips are many. The last epochs have the full
    size and a rate of their own: at the end of the first cosine there is too little left to get used to it.
    """
    return TrainConfig(
        name=f"gym-{token_mode}",
        model=demo(classes=18, token_mode=token_mode, dropout=0.0),
        data=GYM_DATA,
        augmentation=GYM_AUGMENTATION,
        optimiser=OptimiserConfig(lr=7e-4, ema=0.998, label_smoothing=0.05),
        schedule=ScheduleConfig(
            stages=(
                Stage(epochs=20, size=56, frames=8, batch=8),
                Stage(epochs=1, size=80, frames=12, batch=8),
                Stage(epochs=1, size=112, frames=12, batch=8),
                Stage(epochs=3, size=112, frames=12, batch=8, lr=0.4, restart=True),
            ),
            warmup_epochs=0.5,
            final_lr=0.1,
            validate_every=2,
        ),
        limits="Rendered figures only; says nothing about people.",
        licence="Apache-2.0",
    )


JHMDB_DATA = DataConfig(source="jhmdb:data/jhmdb")
JHMDB_AUGMENTATION = Augmentation(flip=True, smallest=0.75, aspect=1.3, outside=0.08, rotation=10, shortest=0.7)
JHMDB_LIMITS = "Trained on 14 classes of JHMDB: one person, staged or sports clips."
JHMDB_LICENCE = "CC BY 4.0. Data: JHMDB (Jhuang et al., ICCV 2013), videos of HMDB51 (Kuehne et al., ICCV 2011)."


def jhmdb(token_mode: Literal["cross", "single", "none"] = "cross", literal: bool = False) -> TrainConfig:
    """JHMDB: few clips, so many epochs and much augmentation. Set `data.source` to your folder and split.

    The pose tokens of the paper carry what a joint looks like and not where it is; here they also know where, how fast
    and how far from each other the joints are, where they go between the frames that are read, and what the whole pose
    does meanwhile. The backbone sees the person and not the whole frame, through filters that are not learnt. Half of
    the clips lack one modality and one in four has that of another clip, so that a network that knows its few clips by
    heart still learns what each modality says alone and how far to trust it. `literal` is the paper's network in the
    same recipe, on crops of the frame.
    """
    return TrainConfig(
        name=f"jhmdb-{token_mode}{'-literal' * literal}",
        model=demo(
            classes=21, people=1, size=48, frames=12, token_mode=token_mode, dropout=0.1, drop_path=0.0,
            **{} if literal else {
                "sigma": 5.0, "backbone_reads": "gradients",
                "pose_geometry": True, "pose_distances": True, "pose_trail": True, "pose_track": True,
            },
        ),
        data=JHMDB_DATA,
        fit="crop" if literal else "person",
        augmentation=replace(
            JHMDB_AUGMENTATION, smallest=0.75 if literal else 0.85, aspect=1.3 if literal else 1.2,
            jitter_frames=False, joint_noise=0.0, joint_dropout=0.0, joint_shift=0.018,
            mute_frames=0.25, mute_joints=0.25, swap_frames=0.175, swap_joints=0.075,
        ),
        optimiser=OptimiserConfig(lr=1e-3, ema=0.99, weight_decay=0.05),
        schedule=ScheduleConfig(
            stages=(Stage(epochs=120, size=48, frames=12, batch=32),),
            warmup_epochs=5,
            validate_every=10,
        ),
        limits=JHMDB_LIMITS,
        licence=JHMDB_LICENCE,
    )  # fmt: skip


def tiny_run() -> TrainConfig:
    """For tests and examples: three labels of the gym that look different, a hundred clips, small images.

    59 seconds on two cores, rendering included; 90 % of 30 validation clips, where chance is 33 %.
    """
    return TrainConfig(
        name="tiny",
        model=tiny(classes=3, dropout=0.0, drop_path=0.0),
        data=DataConfig(
            source="gym?size=64&train=432&val=180",
            labels=("wave left hand", "sit down", "pick up"),
            train_clips=72,
            val_clips=30,
            pack_size=64,
        ),
        optimiser=OptimiserConfig(lr=7e-4, ema=0.95, label_smoothing=0.0),
        schedule=ScheduleConfig(stages=(Stage(epochs=20, size=48, frames=8, batch=4),), warmup_epochs=1),
        run=RunConfig(log_every=4),
    )


def gym_framewise(variant: str) -> TrainConfig:
    """The frame-wise networks of `model.VARIANTS` on the gym, for comparing them: the same recipe for all.

    112 px throughout: a step of eight frames costs less than half of one of the deformable network at 56 px, and a ViT
    with patches of 16 px sees too few of them in a smaller image. Joints are not read; in training the patches say
    which joints lie in them, without which a ViT of this size learns far more slowly from so few clips.
    """
    return TrainConfig(
        name=f"gym-{variant}",
        architecture="framewise",
        model=framewise_demo(classes=18, frames=8, **VARIANTS[variant]),
        data=GYM_DATA,
        augmentation=GYM_AUGMENTATION,
        optimiser=OptimiserConfig(lr=7e-4, ema=0.998, label_smoothing=0.05, joint_task=1.0),
        schedule=ScheduleConfig(
            stages=(Stage(epochs=14, size=112, frames=8, batch=8),), warmup_epochs=1, final_lr=0.05, validate_every=2
        ),
        limits="Rendered figures only; says nothing about people.",
        licence="Apache-2.0",
    )


def jhmdb_framewise(variant: str) -> TrainConfig:
    """The frame-wise networks on JHMDB, pixels only: the same recipe for all. Set `data.source` to your folder."""
    return TrainConfig(
        name=f"jhmdb-{variant}",
        architecture="framewise",
        model=framewise_demo(classes=21, frames=8, **VARIANTS[variant]),
        data=JHMDB_DATA,
        augmentation=JHMDB_AUGMENTATION,
        optimiser=OptimiserConfig(lr=7e-4, ema=0.997, weight_decay=0.1, joint_task=1.0),
        schedule=ScheduleConfig(
            stages=(Stage(epochs=60, size=112, frames=8, batch=16),), warmup_epochs=5, validate_every=10
        ),
        limits=JHMDB_LIMITS,
        licence=JHMDB_LICENCE,
    )


PRESETS: dict[str, TrainConfig] = {
    "paper": TrainConfig(
        model=paper(), augmentation=Augmentation(flip=True), schedule=ScheduleConfig(stages=(Stage(epochs=90),))
    ),
    "demo": TrainConfig(
        name="demo", model=demo(), schedule=ScheduleConfig(stages=(Stage(epochs=30, size=112, frames=12, batch=16),))
    ),
    "tiny": tiny_run(),
    "gym-cross": gym("cross"),
    "gym-single": gym("single"),
    "gym-none": gym("none"),
    **{f"jhmdb-{mode}": jhmdb(mode) for mode in ("cross", "single", "none")},
    "jhmdb-cross-literal": jhmdb(literal=True),
    **{f"gym-{variant}": gym_framewise(variant) for variant in VARIANTS},
    **{f"jhmdb-{variant}": jhmdb_framewise(variant) for variant in VARIANTS},
}


def recipe_of(values: Mapping[str, Any]) -> str:
    """What makes two runs one: a configuration (as `TrainConfig.to_dict`) but for its name, and but for what the data
    and the last stage say of the network."""
    told = ("classes", "joints", "size", "frames")
    model = {key: value for key, value in values["model"].items() if key not in told}
    return json.dumps({**values, "model": model, "name": ""}, sort_keys=True)


def saved_values(path: Path) -> dict[str, Any]:
    """The configuration that a run saved, with the defaults of keys that it did not know yet. Raises ConfigError for a
    file that is none."""
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict) or not isinstance(values.get("model"), dict):
        raise ConfigError(f"{path} is not the configuration of a run; remove its folder.")
    architecture: Architecture = "framewise" if values.get("architecture") == "framewise" else "deformable"
    known = _merge(TrainConfig(architecture=architecture, model=NETWORKS[architecture]()).to_dict(), values)
    known["schedule"]["stages"] = [asdict(Stage()) | stage for stage in known["schedule"]["stages"]]
    return known


LOCAL = {
    "data": ("cache", "workers", "pack", "pack_workers"),
    "run": ("device", "threads", "checkpoint_minutes"),
}
"""What may differ from machine to machine within one run, with the folder of the data."""


def without_local(values: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration (as `TrainConfig.to_dict`) without the keys of LOCAL, and where the data lie."""
    kept = dict(values) | {
        section: {key: value for key, value in values[section].items() if key not in keys}
        for section, keys in LOCAL.items()
    }
    kept["data"]["source"] = without_place(kept["data"]["source"])
    return kept


def without_place(source: str) -> str:
    """'jhmdb?split=2' of 'jhmdb:FOLDER?split=2': where its files lie is another on every machine."""
    head, mark, options = source.partition("?")
    return head.partition(":")[0] + mark + options


def check_recipe(folder: Path, config: TrainConfig, elsewhere: bool = False) -> None:
    """ConfigError if `folder` holds a run of another recipe, whose result would be passed off as one of this; with
    `elsewhere`, it may go on with other settings of the machine."""
    saved = folder / "config.yaml"
    if not saved.is_file():
        return
    before, now = saved_values(saved), config.to_dict()
    if elsewhere:
        before, now = without_local(before), without_local(now)
    if recipe_of(before) != recipe_of(now):
        raise ConfigError(f"{folder} holds a run of another recipe; give another --out, or remove it.")


def resolve(config: str, changes: Sequence[str] = ()) -> TrainConfig:
    """The preset or YAML file called `config`, with `a.b=c` changes applied.

    Raises ConfigError for unknown names and keys and for values of the wrong type or size.
    """
    if config in PRESETS:
        values = PRESETS[config].to_dict()
    elif Path(config).suffix in (".yaml", ".yml"):
        values = _read_file(Path(config))
    else:
        raise ConfigError(f"There is no preset {config!r}{_near(config, PRESETS)}; give one of them or a .yaml file.")
    for change in changes:
        key, found, text = change.partition("=")
        if not found:
            raise ConfigError(f"--set {change!r} holds no '='; write it as a.b=value.")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {change!r} is not a YAML value ({str(error).splitlines()[0]}).") from error
        nested: Any = value
        for part in reversed(key.strip().split(".")):
            nested = {part: nested}
        values = _over(values, nested)
    return from_dict(values)


def from_dict(values: Mapping[str, Any]) -> TrainConfig:
    """The configuration in nested plain values, checked."""
    # Imported here: it takes a second, and `import training.config` should not.
    from jsonargparse import ArgumentParser

    architecture = values.get("architecture", "deformable")
    if architecture not in NETWORKS:
        raise ConfigError(f"architecture is {architecture!r}; expected one of {', '.join(NETWORKS)}.")
    _check_keys(values, TrainConfig, "", NETWORKS[architecture])
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(TrainConfig, None, skip={"model"})
    parser.add_class_arguments(NETWORKS[architecture], "model")
    network = values.get("model")
    if isinstance(network, Mapping):  # YAML reads off as false
        words = {key: "off" for key in ("deformable", "joint", "temporal") if network.get(key) is False}
        values = {**values, "model": {**network, **words}}
    try:
        parsed = parser.parse_object(_plain(values))
        result = TrainConfig(**vars(parser.instantiate(parsed)))
    except ConfigError:
        raise
    except Exception as error:  # jsonargparse raises its own kinds for values and ours from __post_init__
        raise ConfigError(f"This configuration cannot be used: {_one_line(error)}") from error
    last = result.schedule.stages[-1] if result.schedule.stages else None
    if last is None:
        raise ConfigError("schedule.stages is empty; give at least one stage.")
    if (result.model.size, result.model.frames) != (last.size, last.frames):
        return replace(result, model=replace(result.model, size=last.size, frames=last.frames))
    return result


def _read_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"There is no configuration {path}; give a YAML file or one of {', '.join(PRESETS)}.")
    try:
        values = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {_one_line(error)}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds a {type(values).__name__}; expected keys such as model, data and schedule.")
    base = values.pop("base", None)
    if base is None:
        return values
    if base not in PRESETS:
        raise ConfigError(f"{path} has base {base!r}{_near(str(base), PRESETS)}; it must be a preset.")
    _check_keys(values, TrainConfig, "")
    return _over(PRESETS[base].to_dict(), values)


def _over(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` over a whole configuration. Another architecture has another `model`, which starts from its defaults."""
    if values.get("architecture", base.get("architecture")) != base.get("architecture"):
        base = {key: value for key, value in base.items() if key != "model"}
    return _merge(base, values)


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def known_keys(cls: type = TrainConfig, prefix: str = "", network: type = ModelConfig) -> Iterator[str]:
    """Every dotted key of a configuration whose `model` is a `network`."""
    hints = _hints(cls, network)
    for entry in fields(cls):
        hint = hints[entry.name]
        yield prefix + entry.name
        if is_dataclass(hint) and isinstance(hint, type):
            yield from known_keys(hint, f"{prefix}{entry.name}.")


def _hints(cls: type, network: type) -> dict[str, Any]:
    return get_type_hints(cls) | ({"model": network} if cls is TrainConfig else {})


def _check_keys(values: Mapping[str, Any], cls: type, prefix: str, network: type = ModelConfig) -> None:
    hints = _hints(cls, network)
    for key, value in values.items():
        if key not in hints or key not in {entry.name for entry in fields(cls)}:
            known = [*known_keys(network=network), *(prefix + entry.name for entry in fields(cls))]
            # the right key may stand in another section, so compare both whole keys and last parts
            near = difflib.get_close_matches(prefix + str(key), known, 3, 0.6)
            near += [name for name in known if name.rsplit(".", 1)[-1] == str(key).rsplit(".", 1)[-1]]
            names = ", ".join(dict.fromkeys(near)) or ", ".join(prefix + entry.name for entry in fields(cls))
            raise ConfigError(f"Unknown key {prefix}{key}; did you mean one of {names}?")
        hint = hints[key]
        for entry in get_args(hint) if isinstance(value, (list, tuple)) else ():
            if is_dataclass(entry) and isinstance(entry, type):
                for number, item in enumerate(value):
                    _check_keys(item if isinstance(item, Mapping) else {}, entry, f"{prefix}{key}[{number}].", network)
        if is_dataclass(hint) and isinstance(hint, type):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{prefix}{key} is {value!r}; expected the keys of {hint.__name__}.")
            _check_keys(value, hint, f"{prefix}{key}.", network)


def _near(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]!r}? Known are {', '.join(known)}" if near else f"; known are {', '.join(known)}"


def _plain(value: Any) -> Any:
    """Tuples as lists, so that YAML and JSON hold nothing of Python."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    # jsonargparse: Parser key "a.b": Expected a <class 'int'>. Got value: wide
    text = re.sub(r"<class '([\w.]+)'>|typing\.", r"\1", text)
    return re.sub(r'^Parser key "([^"]+)": Expected an? (.*)\. Got value: (.*)$', r"\1 is \3; expected \2.", text)
