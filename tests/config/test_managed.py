"""Managed endpoints become what those of the file are; what reaches into the machine is for the file only."""

from __future__ import annotations

from typing import Any

import pytest
import trustme
import yaml

from tests.builders import NOON
from watcher.adapters.sealing import AesSealing
from watcher.config.loading import load
from watcher.config.settings import Settings
from watcher.core.endpoints import Secret
from watcher.core.managing import Registered, Sealed
from watcher.errors import ConfigError
from watcher.managed import joined
from watcher.roles import Prepared

KEY = "k" * 40
CRM = {"name": "crm", "url": "https://crm.example/hook", "secret": "s"}


@pytest.fixture
def settings(tmp_path):
    def make(webhooks: Any = None, *, key: str | None = KEY, **env: str) -> Settings:
        file = tmp_path / "webhooks.yaml"
        file.write_text(yaml.safe_dump({"webhooks": webhooks or {"timeout": 7000}}))
        environment = {
            "MONGO_URI": "mongodb://localhost/LibreChat",
            "WATCHER_STATE": "sqlite:////s.db",
            **env,
        }
        return load(file=file, env=environment | ({"WATCHER_SECRET_KEY": key} if key else {}))

    return make


def registered(*definitions: Any, key: str = KEY) -> Registered:
    import json

    sealing = AesSealing([Secret(key=key.encode())])
    return Registered(
        revision=7,
        endpoints=tuple(
            Sealed(
                name=each["name"],
                revision=1,
                created_at=NOON,
                changed_at=NOON,
                sealed=sealing.seal(json.dumps(each), name=each["name"]),
            )
            for each in definitions
        ),
    )


def test_a_definition_inherits_from_the_top_of_the_file(settings):
    found = settings({"timeout": 7000, "headers": {"X-A": "1"}}).define({**CRM, "headers": {"X-B": "2"}})

    assert found.timeout.total_seconds() == 7
    assert dict(found.headers) == {"X-A": "1", "X-B": "2"}
    assert found.secrets == (Secret(key=b"s"),)


def test_with_a_key_a_file_without_endpoints_is_enough(settings):
    assert settings().endpoints == ()
    with pytest.raises(ConfigError, match="WATCHER_SECRET_KEY"):
        settings(key=None)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"url": "ftp://x"}, "endpoint crm: url: the URL does not begin with https://"),
        ({"events": ["message.creatd"]}, "endpoint crm: events[0]: no event is called"),
        ({"evnts": []}, "endpoint crm: evnts: unknown key\n  did you mean `events`?"),
        ({"url": "http://crm.example/"}, "endpoint crm: url: http:// shows"),
        ({"tls": {"ca": "/etc/shadow"}}, "endpoint crm: tls: cannot be set here"),
        ({"proxy": "http://in.side:3128"}, "endpoint crm: proxy: cannot be set here"),
        ({"omit": ["texxt"]}, "endpoint crm: omit"),
        ({"transform": {"a": "{{ data.x | nothing }}"}}, "endpoint crm: transform.a"),
        (
            {"filters": [{"event": "*", "condition": {"a": {"$foo": 1}}}]},
            "endpoint crm: filters[0].condition",
        ),
        ({"timeout": "soon"}, "endpoint crm: timeout: must be a whole number"),
        ({"name": "no name"}, "endpoint no name: name: not a name"),
    ],
)
def test_what_is_wrong_is_told_as_in_the_file(settings, wrong, told):
    with pytest.raises(ConfigError) as refused:
        settings().define({**CRM, **wrong})

    assert told in str(refused.value)


def test_nothing_is_taken_from_the_environment(settings):
    found = settings(SECRET_OF_OURS="x").define({**CRM, "headers": {"X-A": "${SECRET_OF_OURS}"}})

    assert dict(found.headers) == {"X-A": "${SECRET_OF_OURS}"}


def test_what_the_file_forbids_to_all_is_forbidden(settings):
    ours = settings({"denyPrivate": True})

    assert ours.define(CRM).route.deny_private
    with pytest.raises(ConfigError, match="forbids private addresses"):
        ours.define({**CRM, "denyPrivate": False})


def test_they_join_those_of_the_file(settings):
    ours = settings({"endpoints": [{**CRM, "name": "default"}]})

    found = joined(ours, registered(CRM, {**CRM, "name": "audit"}))

    assert [endpoint.name for endpoint in found.endpoints] == ["default", "crm", "audit"]
    assert found.managed == {"crm": 1, "audit": 1}


def test_files_that_they_inherit_are_watched(settings, tmp_path):
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    ours = settings({"tls": {"ca": "ca.pem"}})

    assert tmp_path / "ca.pem" in Prepared.of(ours, registered(CRM)).files


def test_all_that_keeps_them_out_is_told_at_once(settings):
    ours = settings({"endpoints": [CRM]})

    with pytest.raises(ConfigError) as refused:
        joined(ours, registered({**CRM, "name": "Crm"}, {**CRM, "name": "audit", "timeout": -1}))

    assert [problem.where for problem in refused.value.problems] == [
        "endpoint Crm",
        "endpoint audit: timeout",
    ]
    assert "endpoints delete Crm" in str(refused.value)


def test_with_another_key_none_opens(settings):
    with pytest.raises(ConfigError, match="it was encrypted with another key"):
        joined(settings(), registered(CRM, key="other" * 10))


def test_with_enabled_false_nobody_is_told(settings):
    assert joined(settings({"enabled": False}), registered(CRM)).endpoints == ()


@pytest.mark.parametrize("key", ["short", " " * 40])
def test_a_key_that_could_be_guessed_is_refused(settings, key):
    with pytest.raises(ConfigError, match="openssl rand") as refused:
        settings(key=key)

    assert key not in str(refused.value)
