"""What keys mean together: inheritance, retries, secrets, plain http, names, and what is missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.config.settings_texts import VALID, loaded, refused, told, write_mapping
from watcher.config import loading
from watcher.config.loading import load
from watcher.config.settings import StateDatabase
from watcher.core.endpoints import Endpoint, Secret
from watcher.errors import ConfigError

WATCHER = "watcher: {mongoUri: mongodb://h/d}\n"


def seconds(*values: float) -> tuple[timedelta, ...]:
    return tuple(timedelta(seconds=value) for value in values)


def endpoints(folder: Path, text: str) -> tuple[Endpoint, ...]:
    return loaded(folder, f"{text}{WATCHER}").endpoints


def test_every_problem_of_a_file_is_told_at_once_in_its_order(tmp_path: Path) -> None:
    text = """\
webhooks:
  url: http://receiver.example
  timeout: fast
  retries: 2
  retryDelays: [1]
  filters: [{event: user.*, condition: {a: {$near: 1}}}]
  endpoints:
    - {name: crm, url: nowhere, secret: a}
    - {name: CRM, url: https://b.example, secret: ${NOT_SET}}
    - {url: https://c.example, secret: c, omit: [txt], colour: red}
watcher:
  mongoUri: host
  retention: {dead: 30 days}
  state: mongo
wacher: 1
"""

    problems = refused(tmp_path, text, env={"WATCHER_LOG": "xml"})

    assert [problem.where for problem in problems] == [
        "WATCHER_LOG",
        "webhooks.yaml:1: webhooks.secret",
        "webhooks.yaml:2: webhooks.url",
        "webhooks.yaml:3: webhooks.timeout",
        "webhooks.yaml:5: webhooks.retryDelays",
        "webhooks.yaml:6: webhooks.filters[0].condition.a.$near",
        "webhooks.yaml:8: webhooks.endpoints[0].url",
        "webhooks.yaml:9: webhooks.endpoints[1].secret",
        "webhooks.yaml:9: webhooks.endpoints[1].name",
        "webhooks.yaml:10: webhooks.endpoints[2].colour",
        "webhooks.yaml:10: webhooks.endpoints[2].name",
        "webhooks.yaml:10: webhooks.endpoints[2].omit[0]",
        "webhooks.yaml:12: watcher.mongoUri",
        "webhooks.yaml:13: watcher.retention.dead",
        "webhooks.yaml:14: watcher.state",
        "webhooks.yaml:15: wacher",
    ]


# --- inheritance ------------------------------------------------------------------------------------------


def test_the_top_levels_keys_are_the_endpoints_defaults(tmp_path: Path) -> None:
    text = """\
webhooks:
  secret: [new, old]
  events: [user.*]
  headers: {X-A: top, X-B: top}
  retryDelays: [1, 2]
  timeout: 70
  rateLimit: {maxPerSecond: 9, batchSize: 5}
  filters: [{event: user.login, condition: {provider: ldap}}]
  ordering: none
  endpoints:
    - {name: heir, url: https://a.example}
    - name: own
      url: https://b.example
      secret: mine
      events: [file.uploaded]
      headers: {x-A: mine}
      retryDelays: []
      timeout: 80
      rateLimit: {batchSize: 1}
      filters: []
      ordering: entity
"""

    heir, own = endpoints(tmp_path, text)

    assert heir.secrets == (Secret(key=b"new"), Secret(key=b"old"))
    assert (heir.events, own.events) == (("user.*",), ("file.uploaded",))
    assert (heir.headers, own.headers) == (
        (("X-A", "top"), ("X-B", "top")),
        (("X-B", "top"), ("x-A", "mine")),
    )
    assert (heir.retry_delays, own.retry_delays) == (seconds(1, 2), ())
    assert (heir.timeout, own.timeout) == (timedelta(milliseconds=70), timedelta(milliseconds=80))
    assert (heir.rate.max_per_second, heir.rate.batch_size) == (9, 5)
    assert (own.rate.max_per_second, own.rate.batch_size) == (9, 1)
    assert [rule.condition for rule in heir.filters] == [{"provider": "ldap"}]
    assert own.filters == ()
    assert (heir.ordered, own.ordered) == (False, True)
    assert own.secrets == (Secret(key=b"mine"),)


def test_the_top_levels_url_is_the_endpoint_called_default_and_is_not_inherited(tmp_path: Path) -> None:
    text = f"{VALID.partition('watcher')[0]}  endpoints: [{{name: crm, url: https://crm.example}}]\n"

    assert [(each.name, each.url) for each in endpoints(tmp_path, text)] == [
        ("default", "https://receiver.example/hook"),
        ("crm", "https://crm.example"),
    ]


def test_an_endpoint_without_name_or_url_is_told(tmp_path: Path) -> None:
    problems = refused(tmp_path, f"webhooks:\n  secret: s\n  endpoints:\n    - timeout: 5\n{WATCHER}")

    assert told(problems) == [
        ("webhooks.yaml:4: webhooks.endpoints[0].name", "is missing"),
        ("webhooks.yaml:4: webhooks.endpoints[0].url", "is missing"),
    ]


@pytest.mark.parametrize(
    ("top", "second", "what"),
    [
        ("", "crm", "the name `crm` is taken by webhooks.endpoints[0]"),
        ("", "CRM", "the name `CRM` is taken by webhooks.endpoints[0]"),
        (
            "url: https://top.example",
            "default",
            "the name `default` is taken by webhooks.url (the endpoint `default`)",
        ),
    ],
)
def test_a_name_that_is_taken_is_told(tmp_path: Path, top: str, second: str, what: str) -> None:
    text = f"""\
webhooks:
  secret: s
  {top}
  endpoints:
    - {{name: crm, url: https://a.example}}
    - {{name: {second}, url: https://b.example}}
{WATCHER}"""

    assert told(refused(tmp_path, text)) == [("webhooks.yaml:6: webhooks.endpoints[1].name", what)]


def test_an_endpoint_may_be_called_default_where_the_top_has_no_url(tmp_path: Path) -> None:
    text = "webhooks:\n  endpoints: [{name: default, url: https://a.example, secret: s}]\n"

    assert [each.name for each in endpoints(tmp_path, text)] == ["default"]


# --- retries ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("top", "own", "expected"),
    [
        ("", "", seconds(5, 15, 60)),
        ("", "retries: 0", ()),
        ("", "retries: 2", seconds(5, 15)),
        ("", "retries: 5", seconds(5, 15, 60, 60, 60)),
        ("", "retryDelays: [0.5]", seconds(0.5)),
        ("", "retryDelays: []", ()),
        ("", "retries: 2\n      retryDelays: [1, 2]", seconds(1, 2)),
        ("retries: 1", "", seconds(5)),
        ("retries: 1", "retries: 3", seconds(5, 15, 60)),
        ("retryDelays: [1, 2]", "retries: 3", seconds(1, 2, 2)),
        ("retryDelays: []", "retries: 2", seconds(5, 15)),
        ("retries: 9", "retryDelays: [7]", seconds(7)),
    ],
)
def test_a_list_of_delays_sets_the_retries_and_a_number_takes_that_many(
    tmp_path: Path, top: str, own: str, expected: tuple[timedelta, ...]
) -> None:
    text = f"""\
webhooks:
  secret: s
  {top}
  endpoints:
    - name: a
      url: https://a.example
      {own}
"""

    assert endpoints(tmp_path, text)[0].retry_delays == expected


def test_retries_and_delays_that_disagree_are_told(tmp_path: Path) -> None:
    text = VALID.replace("watcher:", "  retries: 3\n  retryDelays: [1, 2]\nwatcher:")

    assert told(refused(tmp_path, text)) == [
        ("webhooks.yaml:5: webhooks.retryDelays", "retries is 3, but retryDelays has 2 items")
    ]


# --- secrets and plain http -------------------------------------------------------------------------------

FORGED = "is missing: receivers could not tell our events from forged ones"
READABLE = "http:// shows the events to everybody in between"


def test_a_missing_secret_is_told_for_each_endpoint_that_needs_one(tmp_path: Path) -> None:
    text = f"""\
webhooks:
  url: https://top.example
  endpoints:
    - {{name: a, url: https://a.example}}
    - {{name: b, url: https://b.example, secret: own}}
    - {{name: c, url: https://c.example, signing: none}}
{WATCHER}"""

    assert told(refused(tmp_path, text)) == [
        ("webhooks.yaml:1: webhooks.secret", FORGED),
        ("webhooks.yaml:4: webhooks.endpoints[0].secret", FORGED),
    ]


@pytest.mark.parametrize("signing", ["standard", "both"])
def test_a_secret_that_is_none_of_the_standard_s_is_told_where_it_would_sign_so(
    tmp_path: Path, signing: str
) -> None:
    text = f"""\
webhooks:
  url: https://top.example
  secret: [whsec_MDEyMzQ1Njc4OWFiY2RlZg==, "whsec_not base64", plain]
  endpoints:
    - {{name: a, url: https://a.example, signing: {signing}}}
{WATCHER}"""

    problems = refused(tmp_path, text)

    assert told(problems) == [
        (
            "webhooks.yaml:5: webhooks.endpoints[0].secret",
            "is no secret of Standard Webhooks: no base64 follows whsec_",
        )
    ]
    assert "not base64" not in str(problems)


def test_signing_none_needs_no_secret_and_uses_none(tmp_path: Path) -> None:
    text = """\
webhooks:
  url: https://a.example
  secret: s
  endpoints: [{name: n, url: https://b.example, signing: none}]
"""

    signed, unsigned = endpoints(tmp_path, text)

    assert (signed.secrets, unsigned.secrets) == ((Secret(key=b"s"),), ())


def test_a_wrong_secret_at_the_top_is_not_told_again_for_its_heirs(tmp_path: Path) -> None:
    text = f"webhooks:\n  secret: 5\n  endpoints: [{{name: a, url: https://a.example}}]\n{WATCHER}"

    assert told(refused(tmp_path, text)) == [("webhooks.yaml:2: webhooks.secret", "the secret is not text")]


@pytest.mark.parametrize(
    ("top", "own", "allowed"),
    [
        ("false", "", False),
        ("true", "", True),
        ("false", ", allowHttp: true", True),
        ("true", ", allowHttp: false", False),
    ],
)
def test_plain_http_elsewhere_needs_permission_from_the_nearest_level(
    tmp_path: Path, top: str, own: str, *, allowed: bool
) -> None:
    text = f"webhooks:\n  secret: s\n  allowHttp: {top}\n  endpoints:\n    - {{name: a, url: http://a.example{own}}}\n"

    if allowed:
        assert endpoints(tmp_path, text)[0].url == "http://a.example"
    else:
        assert told(refused(tmp_path, text + WATCHER)) == [
            ("webhooks.yaml:5: webhooks.endpoints[0].url", READABLE)
        ]


# --- conditions -------------------------------------------------------------------------------------------


def test_a_filters_condition_is_compiled_and_kept_as_written(tmp_path: Path) -> None:
    text = "webhooks:\n  url: https://a\n  secret: s\n  filters: [{event: '*', condition: {model: gpt}}]\n"

    (rule,) = endpoints(tmp_path, text)[0].filters

    assert (rule.pattern, rule.condition) == ("*", {"model": "gpt"})
    assert (rule.predicate({"model": "gpt"}), rule.predicate({"model": "other"})) == (True, False)


def test_a_conditions_variables_become_ordinary_texts(tmp_path: Path) -> None:
    condition = "{a: ${A}, b: {$in: [1, ${A}]}}"
    text = VALID.replace("watcher:", f"  filters: [{{event: '*', condition: {condition}}}]\nwatcher:")

    (rule,) = loaded(tmp_path, text, env={"A": "x"}).endpoints[0].filters

    assert rule.condition == {"a": "x", "b": {"$in": [1, "x"]}}
    assert type(rule.condition["a"]) is str
    assert type(rule.condition["b"]["$in"][1]) is str


def test_a_wrong_condition_is_told_at_its_own_line_once_though_inherited(tmp_path: Path) -> None:
    text = f"""\
webhooks:
  secret: s
  filters:
    - event: user.login
      condition:
        provider:
          $near: 1
  endpoints:
    - {{name: a, url: https://a.example}}
    - {{name: b, url: https://b.example}}
{WATCHER}"""

    (problem,) = refused(tmp_path, text)

    assert problem.where == "webhooks.yaml:7: webhooks.filters[0].condition.provider.$near"


# --- what is missing --------------------------------------------------------------------------------------


def test_nothing_to_send_to_is_told_unless_the_command_sends_nothing(tmp_path: Path) -> None:
    problems = refused(tmp_path, WATCHER)
    settings = loaded(tmp_path, WATCHER, need_endpoints=False)

    assert told(problems) == [("webhooks.yaml: webhooks", "nothing to send to: no endpoint is configured")]
    assert settings.endpoints == ()


def test_switched_off_means_nobody_to_tell_and_no_complaint(tmp_path: Path) -> None:
    settings = loaded(tmp_path, VALID.replace("webhooks:", "webhooks:\n  enabled: false"))

    assert settings.endpoints == ()


def test_a_missing_mongo_uri_is_told_with_both_ways_to_give_it(tmp_path: Path) -> None:
    text = VALID.partition("watcher:")[0]

    (problem,) = refused(tmp_path, text)
    settings = loaded(tmp_path, text, need_mongo=False)

    assert problem.where == "webhooks.yaml: watcher.mongoUri"
    assert "MONGO_URI" in problem.cure
    assert "mongoUri:" in problem.cure
    assert (settings.mongo_uri, settings.database) == ("", "LibreChat")


def test_without_any_file_or_variable_everything_missing_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError) as caught:
        load(file=None, env={})

    assert [problem.where for problem in caught.value.problems] == [
        "webhooks",
        "watcher.state",
        "watcher.mongoUri",
    ]


# --- the watcher's own values -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "database"),
    [
        ("mongodb://h", "LibreChat"),
        ("mongodb://h/", "LibreChat"),
        ("mongodb://h?replicaSet=rs0", "LibreChat"),
        ("mongodb://h/?replicaSet=rs0", "LibreChat"),
        ("mongodb://me:p%40ss@a:1,b:2/Chat?authSource=admin", "Chat"),
        ("mongodb+srv://me:pw@cluster.example/Ch%C3%A4t", "Chät"),
    ],
)
def test_the_database_is_the_one_in_the_uris_path(tmp_path: Path, uri: str, database: str) -> None:
    settings = loaded(tmp_path, env={"MONGO_URI": uri})

    assert (settings.mongo_uri, settings.database) == (uri, database)


@pytest.mark.parametrize(
    ("uri", "env", "path"),
    [
        ("sqlite:///var/lib/x.db", {}, "/var/lib/x.db"),
        ("sqlite:////var/lib/x.db", {}, "/var/lib/x.db"),
        ("sqlite:///~/x.db", {}, "/home/me/x.db"),
        (None, {}, "/home/me/.local/state/librechat-watcher/state.db"),
        (None, {"XDG_STATE_HOME": "/xdg"}, "/xdg/librechat-watcher/state.db"),
        (None, {"XDG_STATE_HOME": ""}, "/home/me/.local/state/librechat-watcher/state.db"),
    ],
)
def test_what_follows_sqlite_is_an_absolute_path(
    tmp_path: Path, uri: str | None, env: dict[str, str], path: str
) -> None:
    text = VALID if uri is None else f"{VALID}  state: {uri}\n"

    assert str(loaded(tmp_path, text, env=env).state) == path


@pytest.mark.parametrize(
    ("state", "uri", "name"),
    [
        ("mongodb", "mongodb://me:pw@mongo:27017/LibreChat", "librechat_watcher"),
        ("mongodb://other/", "mongodb://other/", "librechat_watcher"),
        ("mongodb://me:pw@other:27018/mine?authSource=admin", None, "mine"),
        ("mongodb+srv://other.example", None, "librechat_watcher"),
    ],
)
def test_a_shared_state_is_a_database_beside_librechat_s_or_elsewhere(
    tmp_path: Path, state: str, uri: str | None, name: str
) -> None:
    env = {"MONGO_URI": "mongodb://me:pw@mongo:27017/LibreChat"}

    settings = loaded(tmp_path, f"{VALID}  state: {state}\n", env=env)

    assert settings.state == StateDatabase(uri=uri or state, name=name)
    assert "pw" not in repr(settings) + str(settings.state)


def test_a_shared_state_is_not_put_among_librechat_s_own_data(tmp_path: Path) -> None:
    problems = refused(tmp_path, f"{VALID}  state: mongodb://elsewhere/LibreChat\n")

    assert [(each.what, "librechat_watcher" in each.cure) for each in problems] == [
        ("the database LibreChat is LibreChat's own", True)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", None),
        ("2026-11-24", datetime(2026, 11, 24, tzinfo=UTC)),
        ("2026-11-24T08:00:00", datetime(2026, 11, 24, 8, tzinfo=UTC)),
        ("2026-11-24T08:00:00Z", datetime(2026, 11, 24, 8, tzinfo=UTC)),
        ("2026-11-24 08:00:00+02:00", datetime(2026, 11, 24, 6, tzinfo=UTC)),
    ],
)
def test_the_start_is_now_or_a_time_that_without_a_zone_is_utc(
    tmp_path: Path, text: str, expected: datetime | None
) -> None:
    assert loaded(tmp_path, f"{VALID}  startFrom: {text}\n").start_from == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("72h", timedelta(hours=72)),
        ("30d", timedelta(days=30)),
        ("2w", timedelta(weeks=2)),
        ("1.5h", timedelta(minutes=90)),
        ("60", timedelta(seconds=60)),
        ("0.5", timedelta(seconds=0.5)),
    ],
)
def test_a_span_is_a_number_of_seconds_or_has_a_unit(tmp_path: Path, text: str, expected: timedelta) -> None:
    lines = f"  unfinishedHold: {text}\n  retention: {{delivered: {text}, dead: {text}}}\n"

    settings = loaded(tmp_path, VALID + lines)

    assert {settings.unfinished_hold, settings.retention_delivered, settings.retention_dead} == {expected}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1MB", 10**6),
        ("512MB", 512 * 10**6),
        ("10GB", 10 * 10**9),
        ("1.5 gb", 1_500_000_000),
        ("2000kB", 2 * 10**6),
        ("1TB", 10**12),
        ("4GiB", 4 * 2**30),
        ("2048KiB", 2**21),
    ],
)
def test_a_size_has_a_unit(tmp_path: Path, text: str, expected: int) -> None:
    assert loaded(tmp_path, f"{VALID}  maxStore: {text}\n").max_store_bytes == expected


def test_a_hold_may_be_switched_off(tmp_path: Path) -> None:
    assert loaded(tmp_path, f"{VALID}  unfinishedHold: 0\n").unfinished_hold == timedelta(0)


def test_mapping_paths_count_from_the_settings_file(tmp_path: Path) -> None:
    absolute = tmp_path / "one.yaml"
    write_mapping(absolute)
    write_mapping(tmp_path / "mine" / "two.yaml")

    settings = loaded(tmp_path, f"{VALID}  mappings: [./mine, {absolute}]\n")

    assert settings.mapping_paths == (tmp_path / "mine", absolute)


def test_an_event_that_an_operator_s_mapping_file_sends_may_be_subscribed_to(tmp_path: Path) -> None:
    write_mapping(tmp_path / "mine.yaml")
    text: dict[str, Any] = {
        "webhooks": {"url": "https://a.example/", "secret": "s", "events": ["conversation.pinned"]},
        "watcher": {"mongoUri": "mongodb://m/", "mappings": ["./mine.yaml"]},
    }
    file = tmp_path / "webhooks.yaml"
    file.write_text(yaml.safe_dump(text))

    assert load(file=file, env={"HOME": "/home/operator"}).endpoints[0].events == ("conversation.pinned",)

    text["watcher"]["mappings"] = []
    file.write_text(yaml.safe_dump(text))
    with pytest.raises(ConfigError, match=r"conversation\.pinned"):
        load(file=file, env={})


def test_what_is_wrong_in_a_mapping_file_is_told_with_everything_else(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("collection: conversations\nrulez: []\n")
    file = tmp_path / "webhooks.yaml"
    file.write_text(
        "webhooks: {url: ftp://a, secret: s}\nwatcher: {mongoUri: mongodb://m/, mappings: [./mine.yaml]}\n"
    )

    with pytest.raises(ConfigError) as refused:
        load(file=file, env={})

    told = str(refused.value)
    assert "rulez" in told
    assert "webhooks.url" in told


# --- traces -----------------------------------------------------------------------------------------------


TRACED = """\
webhooks: {url: "https://a.example/", secret: s}
watcher:
  mongoUri: mongodb://a/b
  traces: true
"""


def test_traces_want_their_packages_and_the_cure_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loaded(tmp_path, TRACED).traces

    monkeypatch.setattr(loading, "TRACES_NEED", ("no_such_package.trace",))
    (problem,) = refused(tmp_path, TRACED)

    assert problem.where.endswith("webhooks.yaml:4: watcher.traces")
    assert problem.what == "the packages that send traces are not installed"
    assert "librechat-watcher[traces]" in problem.cure
    assert not loaded(tmp_path, TRACED.replace("true", "false")).traces


def test_what_traces_need_is_what_they_import() -> None:
    imported = Path(loading.__file__).parents[1].joinpath("adapters", "traces.py").read_text()

    assert all(f"from {name}" in imported for name in loading.TRACES_NEED)
