"""A Dockerfile carried out without Docker: each stage is a folder, each RUN a shell with that as its root.

For what our Dockerfile has, and no more. Needs root, as `chroot` does."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True, kw_only=True)
class Stage:
    """One stage under way; in the end, the image."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)

    def start(self, words: Sequence[str], **environment: str) -> subprocess.Popen[str]:
        """A process in it, as its user, with nothing of our own environment."""
        return subprocess.Popen(
            [
                *("chroot", f"--userspec={self.user}", str(self.root)),
                *("env", "-i", f"--chdir={self.folder}"),
                *(f"{name}={value}" for name, value in (self.environment | environment).items()),
                *words,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, words: Sequence[str], **environment: str) -> str:
        process = self.start(words, **environment)
        said, _ = process.communicate(timeout=600)
        assert process.returncode == 0, f"{shlex.join(words)}\n{said}"
        return said


PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"


def build(dockerfile: Path, base: Path, folder: Path, *, network: Mapping[str, str]) -> Stage:
    """The last stage. `base`: what every FROM means; `network`: variables that only RUN has."""
    context = dockerfile.parent
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    arguments: dict[str, str] = {}
    for word, rest in instructions(dockerfile.read_text()):
        if word == "FROM":
            name = rest.partition(" AS ")[2] or str(len(stages))
            # `cp` makes devices anew; shutil would read /dev/zero to its end.
            subprocess.run(["cp", "--archive", base, folder / name], check=True, timeout=300)
            stages[name] = stage = Stage(root=folder / name, environment={"PATH": PATH})
            arguments = {}
            continue
        assert stage
        if word == "ENV":
            for name, value in (pair.split("=", 1) for pair in shlex.split(rest)):
                stage.environment[name] = value.replace("$PATH", stage.environment["PATH"])
        elif word == "ARG":
            name, value = rest.split("=", 1)
            arguments[name] = value
        elif word == "WORKDIR":
            stage.folder = rest
            _in(stage, rest).mkdir(parents=True, exist_ok=True)
        elif word == "COPY":
            _copy(stage, rest.split(), stages=stages, context=context)
        elif word == "RUN":
            stage.run(["/bin/sh", "-c", rest], **arguments, **network)
        elif word == "USER":
            stage.user = rest
        elif word == "ENTRYPOINT":
            stage.entrypoint = json.loads(rest)
        elif word == "CMD":
            stage.command = json.loads(rest)
        elif word == "HEALTHCHECK":
            stage.healthcheck = json.loads(rest.partition("CMD ")[2])
        else:
            assert word in ("LABEL", "EXPOSE"), f"{word} is not known here"
    assert stage
    return stage


def instructions(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in joined.splitlines() if line.strip()]


def _copy(stage: Stage, words: list[str], *, stages: Mapping[str, Stage], context: Path) -> None:
    is_other = words[0].startswith("--from=")
    source = stages[words.pop(0).removeprefix("--from=")].root if is_other else context
    *names, last = words
    target = _in(stage, last)
    for name in names:
        found = source / name.lstrip("/")
        if found.is_dir():
            shutil.copytree(found, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(found, target)
            os.chown(target / found.name if target.is_dir() else target, 0, 0)


def _in(stage: Stage, path: str) -> Path:
    return stage.root / os.path.join(stage.folder, path).lstrip("/")  # noqa: PTH118 (an absolute path wins)
