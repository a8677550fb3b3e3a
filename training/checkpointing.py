"""The folder of a run, and the checkpoints from which a run goes on as if nothing had happened.

    runs/x/config.yaml  env.json  log.jsonl  last.pt  best.pt  last.safetensors  best.safetensors
           tensorboard/      scalars, when the package tensorboard is installed

`*.pt` holds everything the engine needs (weights, average, optimiser, scaler, place in the plan, running sums) as
tensors, numbers and strings, so that it opens with `weights_only=True`. Files are written beside their name, flushed
to disk and then renamed: a full disk or a killed process costs the new file, never the old one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import model
from training.config import TrainConfig, from_dict, without_local
from training.distributed import Peers
from training.errors import ClipError
from training.evaluate import ClipSet

FORMAT_VERSION = 1
SAMPLED = 8
"""Clips of a set whose content is part of its fingerprint."""


class RunError(ValueError):
    """A run folder or checkpoint that cannot be used; the message says why and what to do."""


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content`; whatever goes wrong, the old file stays whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write the state of a run. It must consist of tensors, numbers, strings, lists and dictionaries only."""
    buffer = io.BytesIO()
    torch.save({"format_version": FORMAT_VERSION, **state}, buffer)
    write_atomically(path, buffer.getvalue())


def load_state(path: Path) -> dict[str, Any]:
    """Read the state of a run, on the CPU. Nothing in the file is executed."""
    if not path.is_file():
        raise RunError(f"There is no {path.name} in {path.parent}; start the run without --resume.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for files that are not its own
        raise RunError(f"{path} is not a checkpoint of a run ({type(error).__name__}); start a new run.") from error
    version = state.get("format_version") if isinstance(state, dict) else None
    if version != FORMAT_VERSION:
        raise RunError(f"{path} has format version {version}; this program continues version {FORMAT_VERSION} only.")
    return state


class Log:
    """`log.jsonl`: one JSON object a line, cut back on resume to what the checkpoint had seen.

    Numbers go to TensorBoard as well if it is installed. Without a path nothing is written: the log of a process that
    is not the first.
    """

    def __init__(self, path: Path | None, keep: int = 0, step: int = 0) -> None:
        """Open for appending after the first `keep` bytes, at `step`."""
        self._file: io.BufferedWriter | None = None
        self._board = None
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        if path.stat().st_size < keep:
            raise RunError(f"{path} is shorter than its checkpoint says; the run folder was changed, start a new run.")
        os.truncate(path, keep)
        self._file = open(path, "ab")  # noqa: SIM115  closed in `close`
        self._board = _board(path.parent / "tensorboard", step)

    def write(self, **entry: Any) -> None:
        if self._file is None:
            return
        self._file.write((json.dumps(entry) + "\n").encode())
        self._file.flush()
        if self._board is not None and entry["kind"] in ("step", "epoch"):
            for name, value in entry.items():
                if isinstance(value, (int, float)) and name != "step":
                    self._board.add_scalar(f"{entry['kind']}/{name}", value, entry["step"])

    def position(self) -> int:
        """Bytes that are safely on disk."""
        if self._file is None:
            return 0
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()


def _board(folder: Path, step: int) -> Any:
    """A TensorBoard writer that goes on at `step`, or None where the package is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The entries of a log; a line cut short by a crash is left out."""
    entries = []
    for line in path.read_text().splitlines():
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return entries


def check_same_run(folder: Path, state: dict[str, Any], config: TrainConfig, data: list[str]) -> None:
    """RunError unless `state` is of a run with this configuration and these clips."""
    # through `from_dict`, which knows the values of keys that a configuration of an earlier version lacks
    before, now = (without_local(of.to_dict()) for of in (from_dict(state["config"]), config))
    if before != now:
        changed = [key for key, value in now.items() if before.get(key) != value]
        raise RunError(
            f"The run in {folder} was started with another configuration ({', '.join(changed)} differ); "
            "resume with its config.yaml, or start a new run."
        )
    if state["data"] != data:
        raise RunError(f"The clips are not those of the run in {folder}; bring them back or start a new run.")


def make_card(config: TrainConfig, data: ClipSet, metrics: dict[str, float]) -> model.Card:
    """What the checkpoint says of itself: a network of `config`, trained on `data`."""
    return model.Card(
        labels=data.labels,
        layout=data.layout.name,
        frames=config.model.frames,
        size=config.model.size,
        mean=config.normalisation.mean,
        std=config.normalisation.std,
        fit=config.fit,
        name=config.name,
        trained_on=f"{data.name}, {len(set(data.clips.indices))} clips",  # some may be shown several times
        licence=config.licence,
        recipe=recipe_in_words(config),
        limits=config.limits,
        metrics=metrics,
    )


TOLD = (
    "data.source", "optimiser.lr", "optimiser.mixup", "optimiser.joint_task", "schedule.stages",
    "schedule.validate_every", "run.seed", "run.log_every", "run.backbone_weights", "run.init_from",
)  # fmt: skip
"""Settings that the recipe tells in words, or that change nothing."""


def recipe_in_words(config: TrainConfig, seed: bool = True) -> str:
    """How a network was trained, all that its result depends on: two runs of one recipe and no others say the same.

    Stages and rates in words, then every other setting that is not the default, then where the weights came from.
    Without `seed`, what runs with several seeds have in common.
    """
    stages = " + ".join(
        f"{s.epochs} epoch{'s' * (s.epochs != 1)} at {s.size} px x {s.frames} frames (batch {s.batch}"
        f"{', joints only' * (not s.pictures)}{', a new cosine' * s.restart}"
        f"{f', {s.lr:g} of the rate' * (s.lr != 1)})"
        for s in config.schedule.stages
    )
    adamw = f"AdamW, peak learning rate {config.optimiser.lr}{f', seed {config.run.seed}' * seed}"
    if config.optimiser.mixup:
        adamw += f", mixup {config.optimiser.mixup:g}"
    if config.optimiser.joint_task:
        adamw += f", patches also trained to say which joints lie in them (weight {config.optimiser.joint_task:g})"
    now, usual = (
        without_local(of.to_dict())
        for of in (config, TrainConfig(architecture=config.architecture, model=type(config.model)()))
    )
    others = [
        f"{section}.{key}={json.dumps(value)}"
        for section in ("data", "augmentation", "optimiser", "schedule", "run")
        for key, value in now[section].items()
        if value != usual[section][key] and f"{section}.{key}" not in TOLD
    ]
    return "; ".join([stages, adamw, *([", ".join(others)] if others else []), *_history(config)])


def _history(config: TrainConfig) -> list[str]:
    """What was trained before: the weights of the trunk, or the checkpoint that the run started from and how that one
    came about."""
    told = []
    if config.run.backbone_weights:
        path = Path(config.run.backbone_weights).expanduser()
        try:
            held = f" (sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]})"
        except OSError:
            held = ", which is no longer there"
        told.append(f"trunk started from {path.name}{held}")
    if config.run.init_from:
        try:
            before = model.read_card(Path(config.run.init_from).expanduser())[1].recipe
        except (OSError, ValueError):
            before = "a recipe that is no longer known"
        told.append(f"started from weights of: {before}")
    return told


def same_clips(folder: Path, train: ClipSet, val: ClipSet) -> bool:
    """Whether the clips have the content they had when the run in `folder` was started, as far as it was noted."""
    try:
        before = json.loads((folder / "env.json").read_text())["data"]
    except (OSError, ValueError, KeyError):
        return True
    return bool(before == {"train": fingerprint(train), "val": fingerprint(val)})


def processes_of(folder: Path) -> int | None:
    """How many processes started the run in `folder`, if it was noted."""
    try:
        return int(json.loads((folder / "env.json").read_text())["processes"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def fingerprint(data: ClipSet) -> str:
    """Sixteen hex digits that name a set of clips: labels, joints, targets, and the content of some of the clips.

    A pack and the data set it was made of differ, as do two decoders that do not give the same pixels.
    """
    digest = hashlib.sha256(json.dumps([data.name, data.labels, data.layout.name, data.targets]).encode())
    for number in sorted({len(data) * part // SAMPLED for part in range(SAMPLED)} if len(data) else ()):
        try:
            digest.update(data.clips[number].fingerprint.encode())
        except (ClipError, OSError):
            digest.update(b"damaged")
    return digest.hexdigest()[:16]


def describe_environment(train: ClipSet, val: ClipSet, peers: Peers, threads: int = 0) -> dict[str, Any]:
    """Versions, machine and data, for whoever wants to know later why two runs differ."""
    packages = ("kinescope", "torch", "numpy", "einops", "safetensors", "opencv-python-headless", "scipy")
    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed as a package"
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "threads": threads or torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "processes": peers.count,
        "packages": versions,
        "commit": _commit(),
        "command": sys.argv,
        "data": {"train": fingerprint(train), "val": fingerprint(val)},
    }


def note_environment(folder: Path, now: dict[str, Any], step: int = 0) -> None:
    """Write `env.json` of a run that begins; to that of a run that goes on, add what is not as it was before."""
    try:
        noted = json.loads((folder / "env.json").read_text())
        before = {key: value for part in (noted, *noted.get("resumed", ())) for key, value in part.items()}
        other = {key: value for key, value in now.items() if key != "command" and before.get(key) != value}
    except (OSError, ValueError, AttributeError, TypeError):
        noted, other = now, {}
    if other:
        noted["resumed"] = [*noted.get("resumed", ()), {"step": step, "command": now["command"], **other}]
    write_atomically(folder / "env.json", json.dumps(noted, indent=2).encode())


def _commit() -> str | None:
    """The git commit of the code, with a plus if files differ from it; None outside a repository."""
    folder = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None
