"""What holds of every set of Kubernetes objects that deploy/ can make, whatever makes them.

A subclass of `ManifestLaws` gives the objects; its name begins with `Test`."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from watcher import __version__
from watcher.cli import COMMANDS
from watcher.config.loading import load
from watcher.config.sources import OVERRIDES
from watcher.roles import GRACE

Object = dict[str, Any]

PORT = 8686
VERSIONS = ("1.29", "1.37")
"""The oldest Kubernetes that has native sidecars without being asked, and the newest that is known here."""

KUBERNETES_GRACE = 30
"""Seconds, where a pod names none."""

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
OPERATORS_OWN = "monitoring.coreos.com/v1"
"""Objects of the Prometheus Operator: their schemas come with it, not with Kubernetes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """One container of ours, and the pod that it is in."""

    owner: Object
    labels: Mapping[str, str]
    pod: Object
    container: Object
    is_sidecar: bool

    @property
    def runs(self) -> bool:
        return bool(self.container["args"] == ["run"])

    @property
    def environment(self) -> dict[str, str]:
        return {each["name"]: each["value"] for each in self.container["env"]}

    @property
    def mounts(self) -> dict[str, Object]:
        """Volumes by the folder that they are mounted at."""
        volumes = {each["name"]: each for each in self.pod.get("volumes", [])}
        claims = {
            each["metadata"]["name"]: each for each in self.owner["spec"].get("volumeClaimTemplates", [])
        }
        return {
            mount["mountPath"]: (volumes | claims)[mount["name"]] for mount in self.container["volumeMounts"]
        }


def ours(objects: Sequence[Object]) -> list[Ours]:
    """Every container that is made of our image."""
    found = []
    for owner, template in _templates(objects):
        pod = template["spec"]
        for key in ("containers", "initContainers"):
            for container in pod.get(key, []):
                if re.search(r"(^|/)librechat-watcher(:|@|$)", container["image"]):
                    found.append(
                        Ours(
                            owner=owner,
                            labels=template["metadata"]["labels"],
                            pod=pod,
                            container=container,
                            is_sidecar=key == "initContainers",
                        )
                    )
    return found


def of_kind(objects: Sequence[Object], kind: str) -> list[Object]:
    return [each for each in objects if each["kind"] == kind]


class ManifestLaws:
    """The laws. Subclasses give the `objects` fixture: one set of them, complete enough to be applied."""

    # --- the objects ---

    @pytest.mark.parametrize("version", VERSIONS)
    def test_kubernetes_knows_every_object_and_each_of_its_keys(self, objects: list[Object], version: str):
        for each in objects:
            if each["apiVersion"] != OPERATORS_OWN:
                kubernetes_validate.validate(each, version, strict=True)

    def test_no_name_is_given_twice(self, objects: list[Object]):
        names = [(each["kind"], each["metadata"]["name"]) for each in objects]

        assert len(names) == len(set(names))

    def test_every_selector_finds_the_watcher_and_nothing_else(self, objects: list[Object]):
        running = [each.labels for each in ours(objects) if each.runs]
        selectors = [
            *(each["spec"]["selector"] for each in of_kind(objects, "Service")),
            *(each["spec"]["selector"]["matchLabels"] for each in of_kind(objects, "PodDisruptionBudget")),
            *(
                spread["labelSelector"]["matchLabels"]
                for each in ours(objects)
                for spread in each.pod.get("topologySpreadConstraints", [])
            ),
        ]

        assert selectors
        for selector in selectors:
            found = [t["metadata"]["labels"] for _, t in _templates(objects) if _matches(selector, t)]
            assert found == running

    def test_every_owner_finds_its_own_pods(self, objects: list[Object]):
        for owner, template in _templates(objects):
            if owner["kind"] != "Job":
                assert _matches(owner["spec"]["selector"]["matchLabels"], template)

    def test_no_policy_holds_for_librechat(self, objects: list[Object]):
        """One that lets in port 8686 only would close LibreChat's own."""
        for policy in of_kind(objects, "NetworkPolicy"):
            selector = policy["spec"]["podSelector"]["matchLabels"]
            found = [template for _, template in _templates(objects) if _matches(selector, template)]
            containers = [each for template in found for each in template["spec"]["containers"]]

            assert containers
            assert all("librechat-watcher" in each["image"] for each in containers)

    def test_what_is_ours_may_be_reached_at_one_port_and_reach_three(self, objects: list[Object]):
        for policy in of_kind(objects, "NetworkPolicy"):
            spec = policy["spec"]

            assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
            assert [port["port"] for rule in spec["ingress"] for port in rule["ports"]] == [PORT]
            assert all(rule["from"] for rule in spec["ingress"])
            assert {port["port"] for rule in spec["egress"] for port in rule["ports"]} == {53, 27017, 443}
            assert all(rule["to"] for rule in spec["egress"])

    def test_the_metadata_service_s_address_may_be_asked_for_names_only(self, objects: list[Object]):
        """On Google's cloud it is the name server's, too."""
        for policy in of_kind(objects, "NetworkPolicy"):
            ports = {
                (port["port"], port["protocol"])
                for rule in policy["spec"]["egress"]
                for port in rule["ports"]
                if "169.254.169.254/32" in [to.get("ipBlock", {}).get("cidr") for to in rule["to"]]
            }

            assert ports == {(53, "UDP"), (53, "TCP")}

    def test_own_pods_have_a_policy(self, objects: list[Object]):
        policies = of_kind(objects, "NetworkPolicy")

        for each in ours(objects):
            beside_librechat = any(other.is_sidecar for other in ours(objects))
            guarded = [
                policy
                for policy in policies
                if policy["spec"]["podSelector"]["matchLabels"].items() <= each.labels.items()
            ]
            assert bool(guarded) != beside_librechat

    # --- our containers ---

    def test_there_is_a_watcher(self, objects: list[Object]):
        assert [each for each in ours(objects) if each.runs]

    def test_our_containers_may_do_nothing_but_their_work(self, objects: list[Object]):
        for each in ours(objects):
            allowed = each.container["securityContext"]

            assert allowed["runAsNonRoot"] is True
            assert (allowed["runAsUser"], allowed["runAsGroup"]) == (10001, 10001)
            assert allowed["readOnlyRootFilesystem"] is True
            assert allowed["allowPrivilegeEscalation"] is False
            assert allowed["capabilities"] == {"drop": ["ALL"]}
            assert allowed["seccompProfile"] == {"type": "RuntimeDefault"}
            assert not allowed.get("privileged")

    def test_nothing_of_the_node_is_shared(self, objects: list[Object]):
        for each in ours(objects):
            assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & each.pod.keys()
            assert not [volume for volume in each.pod["volumes"] if "hostPath" in volume]
            assert not [port for port in each.container.get("ports", []) if "hostPort" in port]

    def test_no_token_of_a_service_account_is_in_reach(self, objects: list[Object]):
        for each in ours(objects):
            if each.is_sidecar:  # the pod's token is LibreChat's affair: ours is covered by an empty folder
                assert "emptyDir" in each.mounts[TOKEN]
            else:
                assert each.pod["automountServiceAccountToken"] is False
                assert "serviceAccountName" not in each.pod

    def test_memory_is_asked_for_and_bounded(self, objects: list[Object]):
        for each in ours(objects):
            resources = each.container["resources"]

            assert resources["requests"].keys() == {"cpu", "memory"}
            # About 75 MB idle and 120 MB under load.
            assert _mebibytes(resources["limits"]["memory"]) >= 192
            assert _mebibytes(resources["requests"]["memory"]) >= (100 if each.runs else 50)

    def test_the_image_is_this_version(self, objects: list[Object]):
        assert {each.container["image"].rpartition(":")[2] for each in ours(objects)} == {__version__}

    def test_commands_exist(self, objects: list[Object]):
        assert {each.container["args"][0] for each in ours(objects)} <= set(COMMANDS)
        assert not [each for each in ours(objects) if "command" in each.container]

    def test_probes_ask_where_the_watcher_answers(self, objects: list[Object]):
        for each in ours(objects):
            probes = {key: value["httpGet"] for key, value in each.container.items() if key.endswith("Probe")}
            if not each.runs:
                assert probes == {}
                continue

            # Beside LibreChat the other two would hold it up, or take it away.
            live, ready = {"path": "/livez", "port": PORT}, {"path": "/readyz", "port": PORT}
            expected = {"livenessProbe": live}
            if not each.is_sidecar:
                expected |= {"startupProbe": live, "readinessProbe": ready}
            assert probes == expected
            assert each.environment["WATCHER_HTTP"] == f"0.0.0.0:{PORT}"
            assert [port["containerPort"] for port in each.container["ports"]] == [PORT]

    def test_a_sidecar_goes_on_running(self, objects: list[Object]):
        for each in ours(objects):
            assert (each.container.get("restartPolicy") == "Always") is each.is_sidecar

    def test_no_two_containers_want_the_same_port(self, objects: list[Object]):
        for each in ours(objects):
            containers = [*each.pod["containers"], *each.pod.get("initContainers", [])]
            ports = [
                port[key]
                for container in containers
                for port in container.get("ports", [])
                for key in ("containerPort", "name")
            ]
            assert len(ports) == len(set(ports))

    def test_there_is_time_to_stop(self, objects: list[Object]):
        for each in ours(objects):
            grace = each.pod.get("terminationGracePeriodSeconds", KUBERNETES_GRACE)
            before = each.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)

            assert each.container.get("lifecycle", {}).get("preStop", {}).keys() <= {"sleep"}
            assert grace >= 20
            assert grace > before + GRACE.total_seconds()

    # --- settings and secrets ---

    def test_what_is_mounted_is_there(self, objects: list[Object]):
        there = {(each["kind"], each["metadata"]["name"]) for each in objects}

        for each in ours(objects):
            wanted = {("Secret", name) for name in _secrets(each)} | {
                ("ConfigMap", volume["configMap"]["name"])
                for volume in each.pod["volumes"]
                if "configMap" in volume
            }
            assert wanted
            assert wanted - there == set()

    def test_only_whole_folders_are_mounted(self, objects: list[Object]):
        """A single file (subPath) never follows a changed ConfigMap or Secret."""
        for each in ours(objects):
            assert not [m for m in each.container["volumeMounts"] if {"subPath", "subPathExpr"} & m.keys()]

    def test_only_the_state_and_a_scratch_folder_can_be_written(self, objects: list[Object]):
        for each in ours(objects):
            writable = {m["mountPath"] for m in each.container["volumeMounts"] if not m.get("readOnly")}
            state = each.environment.get("WATCHER_STATE", "")
            folder = {str(Path(state.removeprefix("sqlite://")).parent)} if "sqlite" in state else set()

            assert writable == {"/tmp"} | folder

    def test_secrets_are_files_and_never_variables(self, objects: list[Object]):
        for each in ours(objects):
            assert "envFrom" not in each.container
            assert all(variable.keys() == {"name", "value"} for variable in each.container["env"])
            assert not {"MONGO_URI", "WEBHOOK_SECRET", "WATCHER_ADMIN_TOKEN"} & each.environment.keys()

    def test_every_variable_is_one_that_is_read(self, objects: list[Object]):
        text = "".join(settings_of(objects).values())

        for each in ours(objects):
            names = {name.removesuffix("_FILE") for name in each.environment}
            used = set(re.findall(r"\$\{(\w+)", text)) if each.runs else set()
            assert names - OVERRIDES.keys() - used == set()

    def test_every_file_that_a_variable_names_is_mounted(self, objects: list[Object]):
        for each in ours(objects):
            files = [Path(value) for name, value in each.environment.items() if name.endswith("_FILE")]

            assert files
            for file in files:
                assert str(file.parent) in each.mounts
                assert file.name in _values(objects, each)

    def test_the_settings_load_as_they_are_mounted(self, objects: list[Object], tmp_path: Path):
        for number, each in enumerate(each for each in ours(objects) if each.runs):
            folder = tmp_path / str(number)
            folder.mkdir()
            for name, text in settings_of(objects).items():
                (folder / name).write_text(text)
            environment = dict(each.environment)
            for name, value in environment.items():
                if name.endswith("_FILE"):
                    secret = folder / Path(value).name
                    secret.write_text(_values(objects, each)[secret.name] or _FILLED_IN[secret.name])
                    environment[name] = str(secret)

            settings = load(file=folder / "webhooks.yaml", env=environment)

            assert settings.endpoints
            assert settings.http_port == PORT

    # --- the state ---

    def test_several_replicas_share_a_state_in_mongodb_and_one_has_a_volume(self, objects: list[Object]):
        for each in (each for each in ours(objects) if each.runs):
            state = each.environment["WATCHER_STATE"]
            if state != "mongodb":
                assert each.owner["kind"] == "StatefulSet"
                assert each.owner["spec"]["replicas"] == 1
                assert each.mounts[str(Path(state.removeprefix("sqlite://")).parent)]["spec"]
                assert each.pod["securityContext"]["fsGroup"] == 10001
                assert of_kind(objects, "PodDisruptionBudget") == []

    def test_two_replicas_have_a_budget(self, objects: list[Object]):
        for each in (each for each in ours(objects) if each.runs and not each.is_sidecar):
            several = each.owner["spec"]["replicas"] > 1

            assert bool(of_kind(objects, "PodDisruptionBudget")) is several
            assert bool(each.pod.get("topologySpreadConstraints")) is several

    # --- the Prometheus Operator's ---

    def test_what_is_scraped_is_there(self, objects: list[Object]):
        for monitor in of_kind(objects, "ServiceMonitor"):
            [service] = of_kind(objects, "Service")
            [endpoint] = monitor["spec"]["endpoints"]

            assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
            assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
            assert [port["targetPort"] for port in service["spec"]["ports"]] == [PORT]
            assert endpoint["path"] == "/metrics"


_FILLED_IN = {"MONGO_URI": "mongodb://mongodb:27017/LibreChat", "WEBHOOK_SECRET": "s"}
"""What an operator writes into the files that are empty on purpose."""


def settings_of(objects: Sequence[Object]) -> dict[str, str]:
    """The files of the ConfigMap."""
    [settings] = of_kind(objects, "ConfigMap")
    return dict(settings["data"])


def _templates(objects: Sequence[Object]) -> Iterator[tuple[Object, Object]]:
    for each in objects:
        if "template" in each.get("spec", {}):
            yield each, each["spec"]["template"]


def _matches(selector: Mapping[str, str], template: Object) -> bool:
    return bool(selector) and selector.items() <= template["metadata"]["labels"].items()


def _mebibytes(quantity: str) -> int:
    assert quantity.endswith("Mi")
    return int(quantity.removesuffix("Mi"))


def _secrets(each: Ours) -> Iterator[str]:
    """The names of the Secrets that are mounted."""
    for volume in each.pod["volumes"]:
        if "secret" in volume:
            yield volume["secret"]["secretName"]
        for source in volume.get("projected", {}).get("sources", []):
            yield source["secret"]["name"]


def _values(objects: Sequence[Object], each: Ours) -> dict[str, str]:
    """What is in the mounted Secrets."""
    found: dict[str, str] = {}
    for secret in of_kind(objects, "Secret"):
        if secret["metadata"]["name"] in set(_secrets(each)):
            found |= {key: base64.b64decode(value).decode() for key, value in secret.get("data", {}).items()}
            found |= secret.get("stringData", {})
    return found
