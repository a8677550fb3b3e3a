"""The Docker files name what is there and start what they say. They are read here, not built."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from xai.dashboard.limits import Limits

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".docker"


def instructions() -> list[tuple[str, str]]:
    """(word, rest) of each instruction of the Dockerfile, lines joined, comments gone."""
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.M)).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line.strip())]


def rest_of(word: str) -> list[str]:
    return [rest for each, rest in instructions() if each == word]


def environment() -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S+)", " ".join(rest_of("ENV"))))


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8")))


def test_every_file_that_is_copied_exists_and_is_let_through() -> None:
    text = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8")
    rules = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_through = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {source for rest in rest_of("COPY") for source in rest.split()[:-1]}
    assert copied == let_through
    for name in copied:
        assert (ROOT / name).exists(), f"{name} is copied and is not there"


def test_everything_that_the_dashboard_starts_from_is_copied() -> None:
    copied = {source for rest in rest_of("COPY") for source in rest.split()[:-1]}
    assert {"app.py", "assets", ".streamlit", "xai", "training", "model", "pyproject.toml", "constraints.txt"} <= copied


def test_the_image_is_slim_pinned_and_runs_as_nobody_in_particular() -> None:
    (base,) = rest_of("FROM")
    assert base.endswith("-slim")
    for rest in rest_of("RUN"):
        assert "pip install" not in rest or "--constraint constraints.txt" in rest
    (user,) = rest_of("USER")
    assert int(user) > 0
    order = [word for word, _ in instructions()]
    assert order.index("USER") > max(i for i, word in enumerate(order) if word in ("COPY", "RUN"))


def test_torch_is_the_build_for_cpus_unless_another_is_asked_for() -> None:
    default = next(rest for rest in rest_of("ARG") if rest.startswith("TORCH_INDEX="))
    assert default.partition("=")[2].strip('"').endswith("/cpu")
    first, *rest = [rest for rest in rest_of("RUN") if "pip install" in rest]
    assert first.endswith(" torch")
    for index, option in (("", ""), ("https://example.org/cpu", "--extra-index-url https://example.org/cpu")):
        given = os.environ | {"TORCH_INDEX": index}
        command = ["sh", "-c", first.replace("pip install", "echo")]
        said = subprocess.run(command, env=given, capture_output=True, text=True, check=True).stdout
        assert said.startswith(f"{option} --constraint" if option else "--constraint")
    assert '".[app,pose]"' in rest[-1]


def test_health_is_asked_of_the_port_that_is_served() -> None:
    (health,) = rest_of("HEALTHCHECK")
    command = json.loads(health[health.index("[") :])
    assert "/_stcore/health" in command[-1]
    assert "os.environ['PORT']" in command[-1]
    compile(command[-1], "health", "exec")
    (start,) = rest_of("CMD")
    assert "--server.port $PORT" in json.loads(start)[-1]
    assert environment()["PORT"] == rest_of("EXPOSE")[0]


def test_the_limits_of_the_image_are_those_of_the_dashboard() -> None:
    assert Limits.of(environment()) == Limits()


def test_the_command_starts_the_server_or_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "streamlit").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "streamlit").chmod(0o755)
    (tmp_path / "python").symlink_to(sys.executable)
    (start,) = rest_of("CMD")
    command = json.loads(start)

    def run(**changed: str) -> subprocess.CompletedProcess[str]:
        given = environment() | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)} | changed
        return subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, check=False, timeout=60)

    done = run(PORT="9000", KINESCOPE_MAX_UPLOAD_MB="7")
    assert done.returncode == 0, done.stderr
    assert "KINESCOPE_MAX_UPLOAD_MB=7" in done.stdout.splitlines()
    assert done.stdout.splitlines()[-1] == (
        "run app.py --server.address 0.0.0.0 --server.port 9000 --server.maxUploadSize 7"
    )
    refused = run(KINESCOPE_MAX_FRAMES="many")
    assert refused.returncode != 0
    assert "must be a whole number" in refused.stderr
    assert "--server.port" not in refused.stdout


def test_compose_builds_the_same_image_and_hardens_it() -> None:
    services = compose()["services"]
    assert set(services) == {"cpu", "gpu"}
    for service in services.values():
        context = (FOLDER / service["build"]["context"]).resolve()
        assert context == ROOT
        assert (context / service["build"]["dockerfile"]).is_file()
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert {"PORT", "KINESCOPE_DATA"} <= set(service["environment"])
        values = {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", text) for name, text in service["environment"].items()}
        assert Limits.of(values) == Limits()
        assert values["PORT"] == environment()["PORT"]
        assert {"KINESCOPE_SETS", "KINESCOPE_POSE_MODEL"} <= set(service["environment"])
        assert service["environment"]["KINESCOPE_CACHE"] == environment()["KINESCOPE_CACHE"]
        assert f"cache:{environment()['KINESCOPE_CACHE']}" in service["volumes"]
    assert "cache" in compose()["volumes"]
    assert (services["cpu"]["image"], services["gpu"]["image"]) == ("kinescope:cpu", "kinescope:gpu")
    assert "args" not in services["cpu"]["build"]
    assert services["gpu"]["build"]["args"] == {"TORCH_INDEX": ""}
    assert "profiles" not in services["cpu"]
    assert services["gpu"]["profiles"] == ["gpu"]
    (device,) = services["gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
