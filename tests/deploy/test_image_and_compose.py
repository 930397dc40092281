"""What an operator copies is held to the code: the image, the compose file, the example settings."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import pytest
import yaml

from tests.builders import state_file
from watcher.cli import COMMANDS
from watcher.config import shapes
from watcher.config.loading import load
from watcher.config.sources import OVERRIDES
from watcher.roles import GRACE

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "deploy" / "webhooks.example.yaml"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "deploy" / "docker-compose.override.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = ("watcher", "watcher-prepare")

ENVIRONMENT = {"WEBHOOK_SECRET": "s", "MONGO_URI": "mongodb://mongodb:27017/LibreChat"}
# --- the compose file -------------------------------------------------------------------------------------


def test_the_compose_file_sets_only_variables_that_the_program_reads() -> None:
    given = {name for service in OURS for name in SERVICES[service]["environment"]}

    assert given - OVERRIDES.keys() == set()


def test_the_compose_file_runs_commands_and_flags_that_exist() -> None:
    command, *arguments = shlex.split(SERVICES["watcher-prepare"]["command"])

    offered = _help(command)

    assert command in COMMANDS
    assert [word for word in arguments if word.startswith("--") and word not in offered] == []


def test_the_sets_member_is_named_as_librechat_reaches_it() -> None:
    host = shlex.split(SERVICES["watcher-prepare"]["command"])[-1]

    uris = {SERVICES[service]["environment"]["MONGO_URI"] for service in OURS}

    assert uris == {f"mongodb://{host}/LibreChat"}
    assert host.partition(":")[0] in SERVICES


def test_compose_waits_longer_than_a_shutdown_takes() -> None:
    grace = re.fullmatch(r"(\d+)s", SERVICES["watcher"]["stop_grace_period"])

    assert grace
    assert timedelta(seconds=int(grace[1])) > GRACE


def test_nothing_of_librechats_is_touched_but_what_the_set_needs() -> None:
    assert SERVICES["mongodb"].keys() == {"command"}
    assert SERVICES["api"].keys() == {"depends_on"}


def test_librechat_waits_for_the_set_but_never_for_good() -> None:
    for service in ("api", "watcher"):
        waits_for = SERVICES[service]["depends_on"]["watcher-prepare"]

        assert waits_for == {"condition": "service_completed_successfully", "required": False}
    assert re.fullmatch(r"on-failure:\d+", SERVICES["watcher-prepare"]["restart"])


@pytest.mark.parametrize("service", OURS)
def test_our_containers_may_do_nothing_but_their_work(service: str) -> None:
    chosen = SERVICES[service]

    assert chosen["read_only"] is True
    assert chosen["cap_drop"] == ["ALL"]
    assert chosen["security_opt"] == ["no-new-privileges:true"]
    assert chosen["user"] == _instruction("USER")
    assert "ports" not in chosen


def test_the_volume_is_mounted_where_the_image_keeps_its_state() -> None:
    mounts = dict(volume.split(":")[:2] for volume in SERVICES["watcher"]["volumes"])

    assert mounts["watcher-state"] == str(_state_path().parent)
    assert "watcher-state" in COMPOSE["volumes"]


def test_a_settings_file_in_the_mounted_folder_is_found_without_being_named() -> None:
    mounts = dict(volume.split(":")[:2] for volume in SERVICES["watcher"]["volumes"])

    assert mounts["./librechat-watcher-config"] == _instruction("WORKDIR")


def test_the_compose_file_and_the_image_ask_for_health_alike() -> None:
    image = yaml.safe_load(_instruction("CMD", first=True))

    assert SERVICES["watcher"]["healthcheck"]["test"] == ["CMD", *image]


def test_no_image_floats() -> None:
    images = [*re.findall(r"^FROM (\S+)", DOCKERFILE, re.M), *(SERVICES[name]["image"] for name in OURS)]

    assert [image for image in images if not re.search(r":(?!latest$)[\w.-]+$", image)] == []


# --- the image --------------------------------------------------------------------------------------------


def test_the_image_sets_what_the_program_reads() -> None:
    given = {name for name in _image_environment() if name.startswith("WATCHER_")}

    assert given == {"WATCHER_STATE", "WATCHER_HTTP", "WATCHER_LOG"}
    assert given - OVERRIDES.keys() == set()


def test_the_image_starts_a_command_that_exists_at_the_port_it_names() -> None:
    assert _instruction("ENTRYPOINT") == '["librechat-watcher"]'
    assert yaml.safe_load(_instruction("CMD"))[0] in COMMANDS
    assert _image_environment()["WATCHER_HTTP"] == f"0.0.0.0:{_instruction('EXPOSE')}"


def test_the_images_settings_are_good_ones() -> None:
    settings = load(
        file=None, env={**_image_environment(), **ENVIRONMENT, "WEBHOOK_URL": "https://your-server.com/"}
    )

    assert state_file(settings) == _state_path()
    assert settings.log == "json"


def test_the_images_user_owns_the_states_folder() -> None:
    user, group = _instruction("USER").split(":")

    assert int(user) >= 10_000
    assert (
        f"install --directory --owner {user} --group {group} --mode 0700 {_state_path().parent}" in DOCKERFILE
    )


def test_the_image_pins_the_whole_build_backend() -> None:
    """The names in the Dockerfile are the backend and everything that the lock file says is there for it."""
    lock = (ROOT / "requirements-dev.lock").read_text()
    entries = re.findall(r"^([a-z0-9-]+)==(?:.*\n)((?:[ ]+.*\n)*)", lock, re.M)
    needed = {name for name, rest in entries if re.search(r"^ +#( via|  ) +hatchling$", rest, re.M)}

    pinned = re.search(r"/\^\(([a-z|-]+)\)==/", DOCKERFILE)

    assert pinned
    assert set(pinned[1].split("|")) == needed | {"hatchling"}


def test_what_the_image_is_built_from_is_not_ignored() -> None:
    allowed = re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.M)
    copied = {
        source for line in re.findall(r"^COPY (?!--)(.+)", DOCKERFILE, re.M) for source in line.split()[:-1]
    }

    assert copied == set(allowed)
    assert [source for source in copied if not (ROOT / source).exists()] == []


# --- the example settings ---------------------------------------------------------------------------------


def test_the_example_loads() -> None:
    settings = load(file=EXAMPLE, env=ENVIRONMENT)

    assert [endpoint.name for endpoint in settings.endpoints] == ["crm", "audit", "statistics", "chat", "own"]
    assert state_file(settings) == _state_path()


def test_the_example_shows_every_key_that_works_and_no_other() -> None:
    # Some are comments only: a URL beside `endpoints`, and files that are not there.
    text = re.sub(
        r"^( +)# (url: https://|tls: \{|token: |secretKey: )", r"\1\2", EXAMPLE.read_text(), flags=re.M
    )
    shown = set(_keys(yaml.safe_load(text)))

    assert shown == set(_keys_of(shapes.FileShape))


# --- helpers ----------------------------------------------------------------------------------------------


def _instruction(name: str, *, first: bool = False) -> str:
    """What a Dockerfile's instruction says: of the last one, which wins, or of the first."""
    found = re.findall(rf"^ *{name} (.+)$", DOCKERFILE, re.M)
    return str(found[0 if first else -1])


def _image_environment() -> dict[str, str]:
    last = DOCKERFILE.rpartition("\nENV ")[2].partition("\n\n")[0].replace("\\\n", " ")
    return dict(pair.split("=", 1) for pair in last.split())


def _state_path() -> Path:
    return Path("/" + _image_environment()["WATCHER_STATE"].removeprefix("sqlite:///"))


def _help(command: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "watcher", command, "--help"], capture_output=True, text=True, check=True
    ).stdout


def _keys(tree: Any, path: str = "") -> Iterator[str]:
    """Every dotted key. What an endpoint shows and the top level may have, too, counts as shown there."""
    for_all = {str(field.alias) for field in shapes.ReceiverShape.model_fields.values()}
    for name, value in tree.items():
        at = f"{path}{name}"
        if name == "endpoints":
            own = {key for endpoint in value for key in endpoint} - {"url"}
            yield from (at, *(f"{path if key in for_all else f'{at}.'}{key}" for key in own - set(tree)))
        elif isinstance(value, dict) and name not in ("headers", "condition"):
            yield from _keys(value, f"{at}.")
        elif name == "filters":
            yield from (at, *(f"{at}.{key}" for entry in value for key in entry))
        else:
            yield at


def _keys_of(shape: type[shapes.Shape], path: str = "") -> Iterator[str]:
    """The same of the shapes."""
    for field in shape.model_fields.values():
        at = f"{path}{field.alias}"
        inner = [kind for kind in _kinds(field.annotation) if issubclass(kind, shapes.Shape)]
        if field.alias == "endpoints":
            yield from (at, f"{at}.name")
        elif field.alias == "filters":
            yield from (at, *_keys_of(inner[0], f"{at}."))
        elif inner:
            yield from _keys_of(inner[0], f"{at}.")
        else:
            yield at


def _kinds(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    elif not isinstance(annotation, UnionType):
        for part in get_args(annotation):
            yield from _kinds(part)
