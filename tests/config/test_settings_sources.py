"""Where settings come from: flag before environment before file; `${NAME}`, mounted secrets, bad files."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.builders import state_file
from tests.config.settings_texts import VALID, loaded, refused, told
from watcher.config.loading import load
from watcher.config.settings import Settings
from watcher.core.endpoints import Secret
from watcher.errors import ConfigError

ENV = {
    "MONGO_URI": "mongodb://env/EnvChat",
    "WEBHOOK_URL": "https://env.example/",
    "WEBHOOK_SECRET": "env-secret",
    "WEBHOOK_EVENTS": "user.login, conversation.*",
    "WATCHER_STATE": "sqlite:///env/state.db",
    "WATCHER_HTTP": "0.0.0.0:1",
    "WATCHER_ADMIN_TOKEN": "env-token",
    "WATCHER_LOG": "json",
    "WATCHER_LOG_LEVEL": "warning",
}
FLAGS = {
    "mongo_uri": "mongodb://flag/FlagChat",
    "url": "https://flag.example/",
    "secret": "flag-secret",
    "events": "user.logout",
    "state": "sqlite:///flag/state.db",
    "http": "[::1]:2",
    "admin_token": "flag-token",
    "log": "console",
    "log_level": "error",
}
FILE = """\
webhooks:
  url: https://file.example/
  secret: file-secret
  events: [message.created]
watcher:
  mongoUri: mongodb://file/FileChat
  state: sqlite:///file/state.db
  http: {listen: 127.0.0.1:3, token: file-token}
  log: json
  logLevel: debug
"""


def summary(settings: Settings) -> tuple[object, ...]:
    endpoint = settings.endpoints[0]
    return (
        settings.database,
        endpoint.url,
        endpoint.secrets,
        endpoint.events,
        str(state_file(settings)),
        (settings.http_host, settings.http_port),
        settings.admin_token,
        settings.log,
        settings.log_level,
    )


FROM_FILE = (
    "FileChat",
    "https://file.example/",
    (Secret(key=b"file-secret"),),
    ("message.created",),
    "/file/state.db",
    ("127.0.0.1", 3),
    Secret(key=b"file-token"),
    "json",
    "debug",
)
FROM_ENV = (
    "EnvChat",
    "https://env.example/",
    (Secret(key=b"env-secret"),),
    ("user.login", "conversation.*"),
    "/env/state.db",
    ("0.0.0.0", 1),
    Secret(key=b"env-token"),
    "json",
    "warning",
)
FROM_FLAGS = (
    "FlagChat",
    "https://flag.example/",
    (Secret(key=b"flag-secret"),),
    ("user.logout",),
    "/flag/state.db",
    ("::1", 2),
    Secret(key=b"flag-token"),
    "console",
    "error",
)


def test_the_file_is_before_the_defaults(tmp_path: Path) -> None:
    assert summary(loaded(tmp_path, FILE)) == FROM_FILE


def test_the_environment_is_before_the_file(tmp_path: Path) -> None:
    assert summary(loaded(tmp_path, FILE, env=ENV)) == FROM_ENV


def test_a_flag_is_before_the_environment(tmp_path: Path) -> None:
    assert summary(loaded(tmp_path, FILE, env=ENV, flags=FLAGS)) == FROM_FLAGS


def test_the_environment_alone_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    settings = load(file=None, env=ENV)

    assert summary(settings) == FROM_ENV
    assert settings.files == ()


def test_an_empty_variable_is_no_variable(tmp_path: Path) -> None:
    empty = dict.fromkeys([*ENV, *(f"{name}_FILE" for name in ENV)], "")

    assert summary(loaded(tmp_path, FILE, env=empty)) == FROM_FILE


# --- which file -------------------------------------------------------------------------------------------


def test_the_flag_names_the_file_before_the_environment_before_the_usual_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("flag", "env", "webhooks"):
        Path(f"{name}.yaml").write_text(VALID.replace("LibreChat", name))

    databases = [
        load(file=file, env={"HOME": "/h", **env}).database
        for file, env in [
            (Path("flag.yaml"), {"WATCHER_CONFIG": "env.yaml"}),
            (None, {"WATCHER_CONFIG": "env.yaml"}),
            (None, {}),
        ]
    ]

    assert databases == ["flag", "env", "webhooks"]


def test_problems_name_the_file_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("conf").mkdir()
    Path("conf/mine.yaml").write_text(f"other: 1\n{VALID}")

    with pytest.raises(ConfigError) as caught:
        load(file=Path("conf/mine.yaml"), env={"HOME": "/h"})

    assert [problem.where for problem in caught.value.problems] == ["conf/mine.yaml:1: other"]


@pytest.mark.parametrize("name", ["librechat.yaml", "librechat.yml"])
def test_of_librechats_own_file_only_our_sections_are_read(tmp_path: Path, name: str) -> None:
    theirs = "version: 1.3.17\ncache: true\nendpoints: {custom: [{name: ${NOT_SET}}]}\nversion: !odd 2\n"

    settings = loaded(tmp_path, theirs + VALID, name=name)

    assert settings.endpoints[0].url == "https://receiver.example/hook"


def test_problems_in_librechats_file_are_told_at_their_lines_too(tmp_path: Path) -> None:
    problems = refused(tmp_path, f"version: 1\n{VALID}  nope: 1\n", name="librechat.yaml")

    assert told(problems) == [("librechat.yaml:7: watcher.nope", "unknown key")]


def test_another_files_unknown_section_is_told(tmp_path: Path) -> None:
    problems = refused(tmp_path, VALID.replace("webhooks:", "webhook:"))

    assert ("webhooks.yaml:1: webhook", "unknown key") in told(problems)
    assert "did you mean `webhooks`?" in [problem.cure for problem in problems]


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        (b"", "f.yaml", "the file is empty"),
        (b"# nothing\n", "f.yaml", "the file is empty"),
        (b"- a\n", "f.yaml", "this is no mapping of keys to values"),
        (b"webhooks\n", "f.yaml", "this is no mapping of keys to values"),
        (b"webhooks:\n  url: caf\xe9\n", "f.yaml:2", "not UTF-8 text"),
        (b"webhooks:\n\turl: a\n", "f.yaml:2", "indented by a tab, where YAML takes spaces only"),
        (
            b"webhooks:\n  url: [a\nwatcher: 1\n",
            "f.yaml:3",
            "not valid YAML: expected ',' or ']', but got ':'",
        ),
        (b"a: 1\n---\nb: 2\n", "f.yaml:2", "not valid YAML: but found another document"),
        (b"a: 1\nb: \x01\n", "f.yaml:2", "an invisible control character"),
        (b"[" * 5000, "f.yaml:1", "nested without end, or far too large"),
    ],
)
def test_a_file_that_cannot_be_understood_is_one_problem(
    tmp_path: Path, content: bytes, where: str, what: str
) -> None:
    (tmp_path / "f.yaml").write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        load(file=tmp_path / "f.yaml", env={"HOME": "/h"})

    (problem,) = caught.value.problems
    assert (problem.where.removeprefix(f"{tmp_path}/"), problem.what) == (where, what)
    assert problem.cure


def test_a_missing_file_is_one_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(file=None, env={"WATCHER_CONFIG": str(tmp_path / "gone.yaml"), "HOME": "/h"})

    assert [problem.what for problem in caught.value.problems] == ["no such file"]


def test_a_folder_in_the_files_place_is_one_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(file=tmp_path, env={"HOME": "/h"})

    assert [problem.what for problem in caught.value.problems] == ["this is a folder"]


def test_a_file_that_the_system_will_not_open_is_one_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(file=tmp_path / ("x" * 300), env={"HOME": "/h"})

    assert [problem.what for problem in caught.value.problems] == ["cannot be read: File name too long"]


def test_a_link_that_leads_nowhere_is_a_missing_file_not_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("webhooks.yaml").symlink_to("gone.yaml")

    with pytest.raises(ConfigError) as caught:
        load(file=None, env=ENV)

    assert [str(problem.where) for problem in caught.value.problems] == ["webhooks.yaml"]


def test_what_the_environment_says_wrong_is_told_beside_a_broken_file(tmp_path: Path) -> None:
    problems = refused(tmp_path, "webhooks: [", env={"WATCHER_HTTP": "nowhere", "WATCHER_LOG": "xml"})

    assert {problem.where for problem in problems} == {"WATCHER_HTTP", "WATCHER_LOG", "webhooks.yaml:1"}


# --- ${NAME} ----------------------------------------------------------------------------------------------


def test_a_variable_stands_for_its_value_anywhere_in_a_text(tmp_path: Path) -> None:
    text = VALID.replace("receiver.example/hook", "${HOST}/a/${PATH_:-b}/${EMPTY:-c}")

    settings = loaded(tmp_path, text, env={"HOST": "x.example", "EMPTY": ""})

    assert settings.endpoints[0].url == "https://x.example/a/b/c"


def test_a_variable_needs_no_quotes_in_braces(tmp_path: Path) -> None:
    text = f"{VALID}  http: {{listen: ${{AT}}, token: ${{TOKEN}}}}\n"

    settings = loaded(tmp_path, text, env={"AT": "[::1]:80", "TOKEN": "t"})

    assert (settings.http_host, settings.http_port) == ("::1", 80)
    assert settings.admin_token == Secret(key=b"t")


def test_numbers_truth_values_and_lists_may_come_from_variables(tmp_path: Path) -> None:
    text = (
        VALID.replace("https:", "http:").replace(
            "watcher:",
            "  timeout: ${MS}\n  allowHttp: ${YES}\n  retryDelays: ${DELAYS}\n  events: ${EVENTS}\n"
            "  rateLimit: {maxPerSecond: ${RATE}}\nwatcher:\n  unfinishedHold: ${HOLD}",
        )
        + "\n"
    )
    env = {
        "MS": "250",
        "YES": "True",
        "DELAYS": "0.5, 2",
        "EVENTS": "user.login,user.*",
        "RATE": "2.5",
        "HOLD": "90",
    }

    settings = loaded(tmp_path, text, env=env)

    (endpoint,) = settings.endpoints
    assert endpoint.timeout == timedelta(milliseconds=250)
    assert endpoint.retry_delays == (timedelta(seconds=0.5), timedelta(seconds=2))
    assert endpoint.events == ("user.login", "user.*")
    assert endpoint.rate.max_per_second == 2.5
    assert settings.unfinished_hold == timedelta(seconds=90)


@pytest.mark.parametrize("value", ["fast", "5_000", " 5000", "٣", "1e3", "0x10", "9" * 16])
def test_a_variable_that_is_no_number_is_told(tmp_path: Path, value: str) -> None:
    text = VALID.replace("watcher:", "  timeout: ${MS}\nwatcher:")

    problems = refused(tmp_path, text, env={"MS": value})

    assert told(problems) == [("webhooks.yaml:4: webhooks.timeout", "must be a whole number, not text")]


@pytest.mark.parametrize("env", [{}, {"TOKEN": ""}])
def test_an_unset_variable_is_told_by_name_and_nothing_else_is_made_of_it(
    tmp_path: Path, env: dict[str, str]
) -> None:
    problems = refused(tmp_path, VALID.replace("s3cret", "a-${TOKEN}"), env=env)

    assert told(problems) == [
        ("webhooks.yaml:3: webhooks.secret", "the environment variable TOKEN is not set, or empty")
    ]
    assert "TOKEN_FILE" in problems[0].cure


@pytest.mark.parametrize("value", ["${", "${MY-NAME}", "${1}", "a${}b", "${A", "${A:+x}"])
def test_a_misspelt_variable_is_told_instead_of_sent(tmp_path: Path, value: str) -> None:
    problems = refused(tmp_path, VALID.replace("s3cret", f"'{value}'"), env={"A": "a"})

    assert told(problems) == [("webhooks.yaml:3: webhooks.secret", "`${` without a variable's name and `}`")]


def test_a_variables_own_text_is_not_looked_into(tmp_path: Path) -> None:
    settings = loaded(tmp_path, VALID.replace("s3cret", "${A}"), env={"A": "x${B}"})

    assert settings.endpoints[0].secrets == (Secret(key=b"x${B}"),)


def test_what_the_environment_replaces_needs_no_variable(tmp_path: Path) -> None:
    text = VALID.replace("s3cret", "${NOT_SET}").replace("https://", "${NOR_THIS}")

    settings = loaded(tmp_path, text, env={"WEBHOOK_SECRET": "a", "WEBHOOK_URL": "https://b.example"})

    assert settings.endpoints[0].secrets == (Secret(key=b"a"),)


# --- mounted secrets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_each_variable_may_name_a_mounted_file(tmp_path: Path, ending: str) -> None:
    env = {}
    for name, value in ENV.items():
        (tmp_path / name).write_bytes(f"{value}{ending}".encode())
        env[f"{name}_FILE"] = str(tmp_path / name)

    settings = loaded(tmp_path, FILE, env=env)

    assert summary(settings) == FROM_ENV
    assert settings.files == (tmp_path / "webhooks.yaml", *(tmp_path / name for name in ENV))


def test_a_variable_of_the_file_may_be_a_mounted_one_too(tmp_path: Path) -> None:
    (tmp_path / "mounted").write_text("kept\n\n")

    settings = loaded(
        tmp_path, VALID.replace("s3cret", "${CRM}"), env={"CRM_FILE": str(tmp_path / "mounted")}
    )

    assert settings.endpoints[0].secrets == (Secret(key=b"kept\n"),)


@pytest.mark.parametrize("text", ["${CRM}", "${CRM:-other}"])
def test_a_bad_mounted_file_of_a_variable_is_one_problem_and_no_default_hides_it(
    tmp_path: Path, text: str
) -> None:
    problems = refused(tmp_path, VALID.replace("s3cret", text), env={"CRM_FILE": "nowhere"})

    assert told(problems) == [("CRM_FILE", "nowhere cannot be read: No such file or directory")]


def test_a_variable_and_its_file_both_set_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "mounted").write_text("b")

    problems = refused(
        tmp_path, env={"WEBHOOK_SECRET": "a", "WEBHOOK_SECRET_FILE": str(tmp_path / "mounted")}
    )

    assert told(problems) == [("WEBHOOK_SECRET", "both WEBHOOK_SECRET and WEBHOOK_SECRET_FILE are set")]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty or not text"),
        (b"\n", "is empty or not text"),
        (b"a\0", "is empty or not text"),
        (b"\xff", "is not UTF-8 text"),
    ],
)
@pytest.mark.parametrize("name", list(ENV))
def test_a_bad_mounted_file_is_told_and_nothing_is_taken_in_its_place(
    tmp_path: Path, name: str, content: bytes | None, what: str
) -> None:
    mounted = tmp_path / "mounted"
    if content is not None:
        mounted.write_bytes(content)

    problems = refused(tmp_path, FILE, env={f"{name}_FILE": str(mounted)})

    assert told(problems) == [(f"{name}_FILE", f"{mounted} {what}")]


@pytest.mark.parametrize("name", list(ENV))
def test_of_a_bad_mounted_file_nothing_else_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    others = {other: value for other, value in ENV.items() if other != name}

    with pytest.raises(ConfigError) as caught:
        load(file=None, env={"HOME": "/h", **others, f"{name}_FILE": "nowhere"})

    assert [problem.where for problem in caught.value.problems] == [f"{name}_FILE"]


@pytest.mark.parametrize("where", ["file", "nothing"])
@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("MONGO_URI", "host:27017", "does not begin with mongodb:// or mongodb+srv://"),
        ("WEBHOOK_URL", "receiver.example", "the URL does not begin with https:// (or http://)"),
        ("WEBHOOK_URL", "http://receiver.example", "http:// shows the events to everybody in between"),
        ("WEBHOOK_EVENTS", "user.login,user.logi", "no event is called `user.logi`"),
        ("WEBHOOK_EVENTS", " , ", "the list is empty"),
        ("WATCHER_STATE", "state.db", "neither sqlite:/// and the path of a file, nor `mongodb`"),
        ("WATCHER_STATE", "mongodb://", "names no host"),
        ("WATCHER_HTTP", "8686", "not an address to listen at (host:port)"),
        ("WATCHER_LOG", "xml", "must be json or console"),
        ("WATCHER_LOG_LEVEL", "loud", "must be debug, info, warning or error"),
        ("WATCHER_ADMIN_TOKEN", " ", "is empty"),
        ("WATCHER_LOG", "\udc80", "not valid UTF-8 text"),
    ],
)
def test_a_wrong_variable_is_told_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, what: str, where: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if where == "file":
        Path("webhooks.yaml").write_text(FILE)

    with pytest.raises(ConfigError) as caught:
        load(file=None, env={**ENV, name: value})

    assert told(caught.value.problems) == [(name, what)]


def test_a_wrong_flag_is_told_by_its_name(tmp_path: Path) -> None:
    problems = refused(tmp_path, flags={"mongo_uri": "host", "http": "8686"})

    assert {problem.where for problem in problems} == {"--mongo-uri", "--http"}


# --- what a command does without --------------------------------------------------------------------------

SECRETIVE = """\
webhooks:
  url: ${NOT_SET}/hook
  secret: ${NOT_SET}
  headers: {X-Key: "${NOT_SET}"}
  events: [message.created]
  endpoints:
    - name: crm
      secret: [planted-secret]
      filters: [{event: message.created, condition: {isCreatedByUser: false}}]
watcher:
  mongoUri: ${NOT_SET}
  http: {token: "${NOT_SET}"}
"""


def test_a_command_that_sends_nothing_needs_no_url_and_reads_no_secret(tmp_path: Path) -> None:
    env = {"MONGO_URI": "mongodb://a/LibreChat", "WEBHOOK_SECRET_FILE": "/not/there"}

    settings = loaded(tmp_path, SECRETIVE, env=env, need_endpoints=False)

    assert [endpoint.name for endpoint in settings.endpoints] == ["default", "crm"]
    assert [endpoint.secrets for endpoint in settings.endpoints] == [(), ()]
    assert settings.endpoints[1].events == ("message.created",)
    assert len(settings.endpoints[1].filters) == 1
    assert settings.admin_token is None
    assert settings.mongo_uri == "mongodb://a/LibreChat"


def test_the_endpoint_of_the_environment_is_there_without_its_url(tmp_path: Path) -> None:
    env = {"WEBHOOK_URL": "no url", "WEBHOOK_EVENTS": "user.login", "WEBHOOK_SECRET": "planted-secret"}

    settings = loaded(tmp_path, "watcher: {mongoUri: mongodb://a}", env=env, need_endpoints=False)

    (endpoint,) = settings.endpoints
    assert (endpoint.name, endpoint.events, endpoint.secrets) == ("default", ("user.login",), ())


def test_a_command_that_sends_nothing_still_hears_what_is_wrong_with_the_rest(tmp_path: Path) -> None:
    text = SECRETIVE.replace("message.created", "message.create").replace("name: crm", "nmae: crm")

    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text, env={"MONGO_URI": "mongodb://a"}, need_endpoints=False)

    assert "planted-secret" not in str(caught.value)
    what = [problem.what for problem in caught.value.problems]
    assert "unknown key" in what
    assert "no event is called `message.create`" in what


def test_a_command_that_can_do_without_mongodb_takes_its_uri_where_it_can_be_had(tmp_path: Path) -> None:
    without = loaded(tmp_path, SECRETIVE, need_endpoints=False, need_mongo=False)
    with_it = loaded(
        tmp_path, SECRETIVE, env={"NOT_SET": "mongodb://a/b"}, need_endpoints=False, need_mongo=False
    )

    assert (without.mongo_uri, without.database) == ("", "LibreChat")
    assert (with_it.mongo_uri, with_it.database) == ("mongodb://a/b", "b")
