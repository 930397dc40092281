"""Defaults have one home, and the documented form of the settings means what the documentation says."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import yaml

from tests.builders import state_file
from tests.config.settings_texts import DOCUMENTED, VALID, loaded, write_mapping
from watcher.config.loading import DEFAULTS
from watcher.config.shapes import EndpointShape, FileShape, ReceiverShape, Shape, TlsShape
from watcher.core.endpoints import Endpoint, RateLimit, Secret
from watcher.core.routes import Route


def test_the_documented_example_means_what_it_says(tmp_path: Path) -> None:
    write_mapping(tmp_path / "my-mappings" / "mine.yaml")
    env = {"MONGO_URI": "mongodb://librechat:pw@mongodb:27017/LibreChat", "WATCHER_ADMIN_TOKEN": "t0ken"}

    settings = loaded(tmp_path, DOCUMENTED, env=env)

    top, crm = settings.endpoints
    assert [filtered.pattern for filtered in top.filters] == ["message.created"]
    assert top.filters[0].condition == {"endpoint": "openAI", "isCreatedByUser": False}
    assert top == Endpoint(
        name="default",
        url="https://your-server.com/webhooks/librechat",
        secrets=(Secret(key=b"your-webhook-secret"),),
        events=("message.created", "conversation.*"),
        filters=top.filters,
        headers=(("X-Custom-Header", "custom-value"),),
        retry_delays=(timedelta(seconds=5), timedelta(seconds=15), timedelta(seconds=60)),
        timeout=timedelta(seconds=5),
        rate=RateLimit(max_per_second=100, batch_size=1),
        ordered=True,
    )
    assert (crm.name, crm.url) == ("crm", "https://crm.example/hook")
    assert (crm.secrets, crm.events, crm.headers) == (top.secrets, top.events, top.headers)
    assert (crm.filters, crm.rate) == (top.filters, top.rate)
    assert settings.mongo_uri == env["MONGO_URI"]
    assert settings.database == "LibreChat"
    assert state_file(settings) == Path("/var/lib/librechat-watcher/state.db")
    assert (settings.http_host, settings.http_port) == ("127.0.0.1", 8686)
    assert settings.admin_token == Secret(key=b"t0ken")
    assert settings.start_from is None
    assert settings.on_position_lost == "recover"
    assert settings.mapping_paths == (tmp_path / "my-mappings",)
    assert settings.retention_delivered == timedelta(hours=72)
    assert settings.retention_dead == timedelta(days=30)
    assert settings.unfinished_hold == timedelta(seconds=60)


def test_what_default_yaml_shows_is_what_happens(tmp_path: Path) -> None:
    defaults = yaml.safe_load(DEFAULTS.read_text())
    webhooks, watcher = defaults["webhooks"], defaults["watcher"]

    settings = loaded(tmp_path, VALID, env={"XDG_STATE_HOME": "/xdg"})

    (endpoint,) = settings.endpoints
    assert webhooks["enabled"] is True
    assert list(endpoint.events) == webhooks["events"] == ["*"]
    assert dict(endpoint.headers) == webhooks["headers"] == {}
    assert (
        [delay.total_seconds() for delay in endpoint.retry_delays] == webhooks["retryDelays"] == [5, 15, 60]
    )
    assert len(endpoint.retry_delays) == webhooks["retries"]
    assert endpoint.timeout / timedelta(milliseconds=1) == webhooks["timeout"] == 5000
    assert endpoint.rate == RateLimit(batch_size=webhooks["rateLimit"]["batchSize"]) == RateLimit()
    assert list(endpoint.filters) == webhooks["filters"] == []
    assert (webhooks["signing"], webhooks["format"], webhooks["allowHttp"]) == (
        "librechat",
        "librechat",
        False,
    )
    assert endpoint.ordered
    assert webhooks["ordering"] == "entity"
    assert endpoint.route == Route(deny_private=webhooks["denyPrivate"]) == Route()
    assert webhooks["endpoints"] == []
    assert str(state_file(settings)) == "/xdg/librechat-watcher/state.db"
    assert watcher["state"].startswith("sqlite:///${XDG_STATE_HOME:-~/.local/state}/")
    assert f"{settings.http_host}:{settings.http_port}" == watcher["http"]["listen"] == "127.0.0.1:8686"
    assert watcher["startFrom"] == "now"
    assert settings.start_from is None
    assert settings.on_position_lost == watcher["onPositionLost"] == "recover"
    assert list(settings.mapping_paths) == watcher["mappings"] == []
    assert (watcher["maxStore"], settings.max_store_bytes) == ("4GB", 4_000_000_000)
    assert watcher["retention"] == {"delivered": "72h", "dead": "30d"}
    assert (settings.retention_delivered, settings.retention_dead) == (
        timedelta(hours=72),
        timedelta(days=30),
    )
    assert settings.unfinished_hold.total_seconds() == watcher["unfinishedHold"] == 60
    assert (settings.log, settings.admin_token) == (None, None)
    assert settings.traces is watcher["traces"] is False
    assert settings.log_level == watcher["logLevel"] == "info"


def test_the_values_of_the_core_agree_with_default_yaml(tmp_path: Path) -> None:
    bare = Endpoint(name="default", url="https://receiver.example/hook", secrets=(), events=("*",))

    (endpoint,) = loaded(tmp_path, VALID).endpoints

    assert endpoint == Endpoint(
        name=bare.name,
        url=bare.url,
        secrets=(Secret(key=b"s3cret"),),
        events=bare.events,
        retry_delays=bare.retry_delays,
        timeout=bare.timeout,
        rate=bare.rate,
        ordered=bare.ordered,
    )


def test_default_yaml_shows_every_key_that_is_supported() -> None:
    shown = set(re.findall(r"^ *(?:# )?([A-Za-z]+):", DEFAULTS.read_text(), re.MULTILINE))
    unsupported: set[str] = set()
    per_endpoint = {"name"}

    assert keys(FileShape) - keys(TlsShape) - unsupported - per_endpoint - {"event", "condition"} <= shown
    assert unsupported.isdisjoint(shown)


def keys(shape: type[Shape]) -> set[str]:
    """Every key of a shape and of all shapes in it."""
    found: set[str] = set()
    for field in shape.model_fields.values():
        found.add(str(field.alias))
        inner = next(iter(getattr(field.annotation, "__args__", ())), field.annotation)
        if isinstance(inner, type) and issubclass(inner, Shape):
            found |= keys(inner)
    return found


def test_an_endpoint_may_say_whatever_the_top_level_says_for_all() -> None:
    assert set(ReceiverShape.model_fields) < set(EndpointShape.model_fields)
