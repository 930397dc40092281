"""What is in deploy/kubernetes, as kustomize renders them: each form, alone and as an operator has it."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from tests.deploy import alerts
from tests.deploy.laws import ManifestLaws, Object, of_kind, ours, settings_of
from watcher.config.loading import load
from watcher.errors import ConfigError

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
PAGE = (FOLDER.parent / "README.md").read_text()
FORMS = ("deployment", "statefulset", "sidecar")

needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="no kubectl on PATH, so nothing that renders kustomizations"
)


@cache
def as_it_lies_there(form: str) -> list[Object]:
    return render(FOLDER / form)


@cache
def as_an_operator_has_it(form: str) -> list[Object]:
    with TemporaryDirectory() as folder:
        return render(a_copy(Path(folder), form=form, with_all=True))


def render(folder: Path) -> list[Object]:
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@needs_kubectl
class TestForms(ManifestLaws):
    """Each form as it lies there."""

    @pytest.fixture(params=FORMS)
    def objects(self, request: pytest.FixtureRequest) -> list[Object]:
        return as_it_lies_there(request.param)


@needs_kubectl
class TestExample(ManifestLaws):
    """The operator's copy of example/, with every component, for each form."""

    @pytest.fixture(params=FORMS)
    def objects(self, request: pytest.FixtureRequest) -> list[Object]:
        return as_an_operator_has_it(request.param)

    def test_all_is_in_the_namespace_and_of_the_operators_image(self, objects: list[Object]):
        assert {each["metadata"]["namespace"] for each in objects} == {"librechat"}
        assert {each.container["image"].rpartition(":")[0] for each in ours(objects)} == {
            "registry.example.com/librechat-watcher"
        }

    def test_every_component_is_in_it(self, objects: list[Object]):
        kinds = {each["kind"] for each in objects}

        assert kinds >= {"Job", "ServiceMonitor", "PrometheusRule"}

    def test_the_alerts_are_ours(self, objects: list[Object]):
        [rule] = of_kind(objects, "PrometheusRule")

        alerts.check(rule["spec"]["groups"])


# --- what an operator changes -----------------------------------------------------------------------------


@needs_kubectl
@pytest.mark.parametrize(
    ("file", "text", "is_rolled"),
    [
        ("webhooks.yaml", "webhooks: {enabled: false}\n", False),
        ("secrets.env", "WEBHOOK_SECRET=another\n", False),
        ("mongodb.env", "MONGO_URI=mongodb://another/LibreChat\n", True),
    ],
)
def test_what_is_read_again_is_swapped_in_and_what_is_not_replaces_the_pods(
    tmp_path: Path, file: str, text: str, is_rolled: bool
):
    mine = a_copy(tmp_path)
    before = render(mine)

    (mine / file).write_text(text)
    after = render(mine)

    assert after != before
    [old], [new] = of_kind(before, "Deployment"), of_kind(after, "Deployment")
    assert (new["spec"]["template"] != old["spec"]["template"]) is is_rolled


@needs_kubectl
def test_secrets_may_come_from_elsewhere(tmp_path: Path):
    mine = a_copy(tmp_path)
    file = mine / "kustomization.yaml"
    text = file.read_text()
    patches = re.findall(r"`(patches: .*)`", text)
    generator = text.partition("secretGenerator:")[0]
    file.write_text(f"{generator}\n{patches[0]}\n")

    [other] = of_kind(render(mine), "Secret")

    assert other["metadata"]["name"].startswith("librechat-watcher-mongodb-")


@needs_kubectl
def test_nothing_starts_with_settings_that_nobody_filled_in(tmp_path: Path):
    """The secrets that lie there are empty, and the program refuses them by name."""
    objects = render(FOLDER / "deployment")
    values = {key: value for each in of_kind(objects, "Secret") for key, value in each["data"].items()}
    file = tmp_path / "webhooks.yaml"
    file.write_text(settings_of(objects)["webhooks.yaml"])
    environment = {}
    for key, value in values.items():
        (tmp_path / key).write_text(value)
        environment[f"{key}_FILE"] = str(tmp_path / key)

    with pytest.raises(ConfigError) as refused:
        load(file=file, env={**environment, "HOME": "/"})

    assert values.keys() == {"MONGO_URI", "WEBHOOK_SECRET"}
    assert set(values.values()) == {""}
    assert {problem.where for problem in refused.value.problems} == environment.keys()


@needs_kubectl
def test_another_secret_is_a_line_and_the_patch_that_the_page_shows(tmp_path: Path):
    mine = a_copy(tmp_path)
    [patch] = re.findall(r"```yaml\n(patches:\n.*?)```", PAGE, re.DOTALL)
    with (mine / "secrets.env").open("a") as secrets, (mine / "kustomization.yaml").open("a") as file:
        secrets.write("CRM_SECRET=s\n")
        file.write(f"\n{patch}")

    objects = render(mine)

    [watcher] = ours(objects)
    named = Path(watcher.environment["CRM_SECRET_FILE"])
    assert str(named.parent) in watcher.mounts
    assert named.name in {key for each in of_kind(objects, "Secret") for key in each["data"]}


# --- the sidecar ------------------------------------------------------------------------------------------


@needs_kubectl
def test_the_sidecar_leaves_librechat_as_it_is():
    [before] = yaml.safe_load_all((FOLDER / "sidecar" / "librechat.yaml").read_text())

    [after] = of_kind(render(FOLDER / "sidecar"), "Deployment")

    [watcher] = after["spec"]["template"]["spec"].pop("initContainers")
    volumes = after["spec"]["template"]["spec"].pop("volumes")
    assert after["spec"]["template"]["metadata"]["labels"].pop("librechat-watcher") == "sidecar"
    assert after == before
    assert watcher["name"] == "watcher"
    assert all(volume["name"].startswith("watcher-") for volume in volumes)


@needs_kubectl
@pytest.mark.parametrize(
    ("name", "gets_one"),
    [("librechat", True), ("chat-librechat", True), ("librechat-rag-api", False), ("librechatter", False)],
)
def test_the_sidecar_goes_into_librechats_deployment_alone(tmp_path: Path, name: str, gets_one: bool):
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "sidecar" / "librechat.yaml"
    first, second = (yaml.safe_load(file.read_text()) for _ in range(2))
    second["metadata"]["name"] = name
    file.write_text(yaml.safe_dump_all([first, second] if name != "librechat" else [first]))

    found = {each["metadata"]["name"] for each in of_kind(render(tmp_path / "sidecar"), "Deployment")}
    with_ours = {each.owner["metadata"]["name"] for each in ours(render(tmp_path / "sidecar"))}

    assert found == {"librechat", name}
    assert (name in with_ours) is gets_one


@needs_kubectl
def test_librechats_own_init_containers_and_volumes_stay(tmp_path: Path):
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "sidecar" / "librechat.yaml"
    librechat = yaml.safe_load(file.read_text())
    pod = librechat["spec"]["template"]["spec"]
    pod["initContainers"] = [{"name": "wait", "image": "busybox:1"}]
    pod["volumes"] = [{"name": "images", "emptyDir": {}}]
    file.write_text(yaml.safe_dump(librechat))

    [after] = of_kind(render(tmp_path / "sidecar"), "Deployment")

    rendered = after["spec"]["template"]["spec"]
    assert [each["name"] for each in rendered["initContainers"]] == ["watcher", "wait"]
    assert {"name": "images", "emptyDir": {}} in rendered["volumes"]


def test_the_sidecar_is_the_same_container_as_in_a_pod_of_its_own():
    alone = _read("components/pod/pod.yaml")["spec"]["template"]["spec"]
    beside = _read("components/sidecar/librechat.yaml")["spec"]["template"]["spec"]
    [watcher], [sidecar] = copy.deepcopy(alone["containers"]), copy.deepcopy(beside["initContainers"])

    # What is LibreChat's to grant, and what would hold it up.
    assert sidecar.pop("restartPolicy") == "Always"
    assert sidecar.pop("livenessProbe").pop("initialDelaySeconds") == 30
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        watcher.pop(probe)
    no_token = {"watcher-no-token"}
    sidecar["volumeMounts"] = [m for m in sidecar["volumeMounts"] if m["name"] not in no_token]
    volumes = [volume for volume in beside["volumes"] if volume["name"] not in no_token]
    assert sidecar == watcher
    assert volumes == alone["volumes"]


# --- without kubectl --------------------------------------------------------------------------------------


def test_every_file_is_named_and_every_named_file_is_there():
    named = {file for kustomization in FOLDER.rglob("kustomization.yaml") for file in _named(kustomization)}
    there = {file for file in FOLDER.rglob("*") if file.is_file()}
    # Only for who uses the component, by three lines that are comments.
    asked_for = {FOLDER / "example" / "prepare.env"}

    assert {file for file in named if not file.exists()} == set()
    assert there - named == asked_for


def test_every_file_is_yaml_or_lines_of_variables():
    for file in FOLDER.rglob("*"):
        if file.suffix == ".yaml":
            assert list(yaml.safe_load_all(file.read_text()))
        elif file.is_file():
            lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
            assert lines
            assert all(re.fullmatch(r"[A-Z_]+=\S*", line) for line in lines), file


def test_no_secret_lies_there():
    for file in FOLDER.rglob("*.env"):
        values = re.findall(r"^[A-Z_]+=(.*)$", file.read_text(), re.M)

        assert [value for value in values if value and ":PASSWORD@" not in value] == []


def test_the_operators_copy_is_ignored_by_git():
    ignored = subprocess.run(
        ["git", "check-ignore", "deploy/kubernetes/mine/secrets.env"], cwd=FOLDER.parents[1], check=False
    )

    assert ignored.returncode == 0


# --- helpers ----------------------------------------------------------------------------------------------


def a_copy(folder: Path, *, form: str = "deployment", with_all: bool = False) -> Path:
    """`cp -r example mine`; `with_all`: the comment marks taken off before what is YAML."""
    shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
    mine = folder / "mine"
    shutil.copytree(folder / "example", mine)
    file = mine / "kustomization.yaml"
    text = file.read_text().replace("- ../deployment", f"- ../{form}")
    if with_all:
        text = re.sub(r"^# ( {2}.*|components:)$", r"\1", text, flags=re.M)
    file.write_text(text)
    return mine


def _read(name: str) -> Object:
    read: Object = yaml.safe_load((FOLDER / name).read_text())
    return read


def _named(kustomization: Path) -> Iterator[Path]:
    """The files that it is made of, and itself."""
    yield kustomization
    tree = yaml.safe_load(kustomization.read_text())
    folder = kustomization.parent
    paths = [*tree.get("resources", []), *tree.get("components", [])]
    paths += [patch["path"] for patch in tree.get("patches", []) if "path" in patch]
    for generator in (*tree.get("configMapGenerator", []), *tree.get("secretGenerator", [])):
        paths += [*generator.get("files", []), *generator.get("envs", [])]
    for path in paths:
        place = (folder / path).resolve()
        yield place / "kustomization.yaml" if place.is_dir() else place
