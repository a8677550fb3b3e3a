"""The folder of a run, and the checkpoints from which a run goes on as if nothing had happened.

    runs/x/config.yaml  env.json  log.jsonl  last.pt  best.pt  last.safetensors  best.safetensors

`*.pt` holds everything the engine needs (weights, average, optimiser, scaler, place in the plan, running sums) as
tensors, numbers and strings, so that it opens with `weights_only=True`. Files are written beside their name, flushed
to disk and then renamed: a full disk or a killed process costs the new file, never the old one.
"""

from __future__ import annotations

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

FORMAT_VERSION = 1


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
    """`log.jsonl`: one JSON object a line, cut back on resume to what the checkpoint had seen."""

    def __init__(self, path: Path, keep: int = 0) -> None:
        """Open for appending after the first `keep` bytes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        if path.stat().st_size < keep:
            raise RunError(f"{path} is shorter than its checkpoint says; the run folder was changed, start a new run.")
        os.truncate(path, keep)
        self._file = open(path, "ab")  # noqa: SIM115  closed in `close`

    def write(self, **entry: Any) -> None:
        self._file.write((json.dumps(entry) + "\n").encode())
        self._file.flush()

    def position(self) -> int:
        """Bytes that are safely on disk."""
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        self._file.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The entries of a log; a line cut short by a crash is left out."""
    entries = []
    for line in path.read_text().splitlines():
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return entries


def describe_environment() -> dict[str, Any]:
    """Versions and machine, for whoever wants to know later why two runs differ."""
    packages = ("torch", "numpy", "einops", "safetensors", "opencv-python-headless", "scipy")
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
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "packages": versions,
        "commit": _commit(),
    }


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
