"""Each field, wrong in each way: one problem, at its line, under its key, in plain words, with a cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.settings_texts import VALID, loaded, refused, told

TEXT = "must be text, not "
LIST = "must be a list, not "
MAPPING = "must be a mapping, not "
TRUTH = "must be true or false, not "
WHOLE = "must be a whole number, not "
NUMBER = "must be a number, not "
NO_SECRET = "the secret is not text"
NO_SPAN = "not a span of time"
NO_SIZE = "not a size"
SIGNING = "must be librechat, standard, both or none"
NO_LIST = {
    "word": LIST + "text",
    "7": LIST + "this number",
    "yes": LIST + "true or false",
    "{a: b}": LIST + "a mapping",
}
NO_TEXT = {
    "7": TEXT + "a number",
    "yes": TEXT + "true or false",
    "[a]": TEXT + "a list",
    "{a: b}": TEXT + "a mapping",
}
NO_MAPPING = {
    "word": MAPPING + "text",
    "7": MAPPING + "this number",
    "yes": MAPPING + "true or false",
    "[a]": MAPPING + "a list",
}
NO_TRUTH = {
    "word": TRUTH + "text",
    '"true"': TRUTH + "text",
    "7": TRUTH + "this number",
    "[a]": TRUTH + "a list",
}
NO_WHOLE = {
    "word": WHOLE + "text",
    '"7"': WHOLE + "text",
    "7.5": WHOLE + "this number",
    "yes": WHOLE + "true or false",
    "[a]": WHOLE + "a list",
}
NO_NUMBER = {
    "word": NUMBER + "text",
    '"7"': NUMBER + "text",
    "yes": NUMBER + "true or false",
    "[a]": NUMBER + "a list",
}
EMPTY = {"": "is empty", "null": "is empty"}


def no_choice(expected: str) -> dict[str, str]:
    what = f"must be {expected}"
    return {"word": what, "7": what, "yes": what, "[a]": what, "{a: b}": what, '""': what}


URLS = {
    '""': "is empty",
    "word": "the URL does not begin with https:// (or http://)",
    "ftp://a.example": "the URL does not begin with https:// (or http://)",
    '"https://a.example/a b"': "the URL has a space, a backslash or a control character in it",
    '"https://a.example/#here"': "the URL has a fragment (`#…`), which is never sent",
    "https://me:pass@a.example": "the URL has a user or password in it",
    "https://": "the URL's host or port is not valid",
    "https:///path": "the URL's host or port is not valid",
    "https://a.example:99999/": "the URL's host or port is not valid",
    "https://a.example:0/": "the URL's host or port is not valid",
    "https://a.example:port/": "the URL's host or port is not valid",
    "https://[::1/": "the URL's host or port is not valid",
    "https://[::1]evil:80/": "the URL's host or port is not valid",
    "https://evil[::1]/": "the URL's host or port is not valid",
    "https://127。1/": "the URL's host is a number, and no IPv4 address",
    "https://2130706433/": "the URL's host is a number, and no IPv4 address",
    "https://127.1/": "the URL's host is a number, and no IPv4 address",
    "https://0x7f000001/": "the URL's host is a number, and no IPv4 address",
    "https://0177.0.0.1:8443/": "the URL's host is a number, and no IPv4 address",
    "https://127.0.0.1./": "the URL's host is a number, and no IPv4 address",
    "https://a..example/": "the URL's host or port is not valid",
    "https://a%20b.example/": "the URL's host or port is not valid",
    "http://a.example/": "http:// shows the events to everybody in between",
    "http://127.example/": "http:// shows the events to everybody in between",
    '"https://{{ data.host }}/"': "the URL has a template in its host",
    '"https://a{{ data.host }}.example/"': "the URL has a template in its host",
    '"https://a.example:{{ data.port }}/"': "the URL has a template in its host",
    '"{{ data.url }}"': "the URL does not begin with https:// (or http://)",
    '"https://a.example{{ data.path }}"': "the URL has a template in its host",
    '"https://me:pass@a.example/{{ event }}"': "the URL has a user or password in it",
    '"https://a.example/{{ event }} x"': "the URL has a space, a backslash or a control character in it",
    '"https://a.example/{{ event }}#x"': "the URL has a fragment (`#…`), which is never sent",
    '"https://a.example/{{ even }}"': "nothing is called what stands there",
}

# For the top level and for each endpoint: key, then each wrong value and what is told of it.
RECEIVER: dict[str, dict[str, str]] = {
    "url": {**EMPTY, **NO_TEXT, **URLS},
    "secret": {
        "": "is empty",
        '""': "the secret is empty",
        '"  \\n"': "the secret is empty",
        "[]": "the secret is empty",
        '[a, ""]': "the secret is empty",
        "[a, null]": "the secret is empty",
        "7": NO_SECRET,
        "yes": NO_SECRET,
        "{a: b}": NO_SECRET,
        "[a, 7]": NO_SECRET,
    },
    "events": {**EMPTY, **NO_LIST, "[]": "the list is empty"},
    "headers": {
        **EMPTY,
        **NO_MAPPING,
        "{X-Webhook-Mine: a}": "the header X-Webhook-Mine is set by the watcher itself",
    },
    "retries": {**EMPTY, **NO_WHOLE, "-1": "must be at least 0", "1001": "must be at most 1000"},
    "retryDelays": {**EMPTY, **NO_LIST},
    "timeout": {**EMPTY, **NO_WHOLE, "0": "must be at least 1", "600001": "must be at most 600000"},
    "rateLimit": {**EMPTY, **NO_MAPPING},
    "filters": {**EMPTY, **NO_LIST},
    "signing": {**EMPTY, **no_choice("librechat, standard, both or none")},
    "format": {**EMPTY, **no_choice("librechat or cloudevents")},
    "ordering": {**EMPTY, **no_choice("entity or none")},
    "allowHttp": {**EMPTY, **NO_TRUTH},
    "omit": {**EMPTY, **NO_LIST},
    "hash": {**EMPTY, **NO_LIST},
    "hashKey": {
        "": "is empty",
        '""': "the key is empty",
        "7": "the key is not text",
        "yes": "the key is not text",
        "[a]": "the key is not text",
        "{a: b}": "the key is not text",
    },
    "textLength": {**EMPTY, **NO_TRUTH},
    "transform": {
        **EMPTY,
        **dict.fromkeys(("7", "yes", "1.5"), "must be a mapping, a list or text"),
        **dict.fromkeys(('""', "{}", "[]"), "is empty"),
        '"{{ title }}"': "nothing is called `title`",
    },
    "preset": {**EMPTY, **no_choice("slack, discord or teams")},
    "tls": {**EMPTY, **NO_MAPPING},
    "proxy": {
        **EMPTY,
        **NO_TEXT,
        '""': "is empty",
        **dict.fromkeys(
            ("socks5://proxy.example:1080", "proxy.example:3128", "None"),
            "not the http:// or https:// URL of a proxy (SOCKS is not supported)",
        ),
        **dict.fromkeys(
            (
                "http://",
                "http://proxy.example:99999",
                "http://proxy.example:port",
                "http://2130706433:3128",
                "http://me:pass/word@proxy.example:3128",
                '"http://proxy example"',
            ),
            "the proxy's host or port is not valid",
        ),
        "http://proxy.example:3128/path": "a proxy's URL ends with its port",
        "http://proxy.example?a": "a proxy's URL ends with its port",
    },
    "denyPrivate": {**EMPTY, **NO_TRUTH},
}
TOP: dict[str, dict[str, str]] = {
    "enabled": {**EMPTY, **NO_TRUTH},
    "endpoints": {**EMPTY, **NO_LIST},
}
ENDPOINT: dict[str, dict[str, str]] = {
    "name": {
        **EMPTY,
        **NO_TEXT,
        '""': "not a name that can stand in logs, metrics and commands",
        "a b": "not a name that can stand in logs, metrics and commands",
        "-a": "not a name that can stand in logs, metrics and commands",
        "a" * 64: "not a name that can stand in logs, metrics and commands",
    },
}
WATCHER: dict[str, dict[str, str]] = {
    "mongoUri": {
        **EMPTY,
        **NO_TEXT,
        "127.0.0.1:27017": "does not begin with mongodb:// or mongodb+srv://",
        "http://127.0.0.1:27017": "does not begin with mongodb:// or mongodb+srv://",
        "mongodb://": "names no host",
        "mongodb:///LibreChat": "names no host",
        "mongodb://me:a@b@host/LibreChat": "a character of the user or password breaks it",
        "mongodb://me:a/b@host/LibreChat": "a character of the user or password breaks it",
        "mongodb://host/a/b": "names no valid database in its path",
        "mongodb://host/a.b": "names no valid database in its path",
    },
    "state": {
        **EMPTY,
        **NO_TEXT,
        "/var/lib/state.db": "neither sqlite:/// and the path of a file, nor `mongodb`",
        "sqlite://state.db": "neither sqlite:/// and the path of a file, nor `mongodb`",
        "sqlite:///": "neither sqlite:/// and the path of a file, nor `mongodb`",
        "sqlite:///var/lib/": "the path is a folder's",
        "mongo": "neither sqlite:/// and the path of a file, nor `mongodb`",
        "mongodb:/x": "does not begin with mongodb:// or mongodb+srv://",
        "mongodb:///name": "names no host",
        "mongodb+srv://host/a.b": "names no valid database in its path",
    },
    "http": {**EMPTY, **NO_MAPPING},
    "startFrom": {
        **EMPTY,
        "7": TEXT + "a number",
        "[a]": TEXT + "a list",
        "yesterday": "neither `now` nor an ISO 8601 time",
        "2026-13-01": "neither `now` nor an ISO 8601 time",
        "0001-01-01T00:00:00+14:00": "neither `now` nor an ISO 8601 time",
    },
    "onPositionLost": {**EMPTY, **no_choice("recover, fail or restart")},
    "memory": {**EMPTY, **no_choice("auto or always")},
    "mappings": {**EMPTY, **NO_LIST},
    "maxStore": {
        **EMPTY,
        "10": NO_SIZE,
        "word": NO_SIZE,
        "10 G": NO_SIZE,
        "-1GB": NO_SIZE,
        "1e3GB": NO_SIZE,
        "[a]": NO_SIZE,
        "999kB": "less than 1MB, which one delivery may take",
        "0GB": "less than 1MB, which one delivery may take",
    },
    "retention": {**EMPTY, **NO_MAPPING},
    "unfinishedHold": {
        **EMPTY,
        "word": NO_SPAN,
        '"60"': NO_SPAN,
        "60x": NO_SPAN,
        "1h30m": NO_SPAN,
        "yes": NO_SPAN,
        "[a]": NO_SPAN,
        "-1": "not between 0 and ten years",
        "9999w": "not between 0 and ten years",
        ".nan": "not between 0 and ten years",
        ".inf": "not between 0 and ten years",
    },
    "log": {**EMPTY, **no_choice("json or console")},
    "traces": {**EMPTY, **NO_TRUTH},
    "logLevel": {**EMPTY, **no_choice("debug, info, warning or error")},
}

# Places inside a setting: the line, with {} for the wrong value; where it is told; each value and what.
INSIDE_RECEIVER: list[tuple[str, str, dict[str, str]]] = [
    (
        "events: [{}]",
        "events[0]",
        {**NO_TEXT, "null": "is empty", "message.create": "no event is called `message.create`"},
    ),
    (
        "events: [user.login, {}]",
        "events[1]",
        {"no": TEXT + "true or false", "watcher.*": "no event is called `watcher.*`"},
    ),
    (
        "events: [user.login, {}]",
        "events[1]",
        {"'*.created'": "no event is called `*.created`", "''": "no event is called ``"},
    ),
    ("headers: {{X-Mine: {}}}", "headers.X-Mine", {**NO_TEXT, "": "is empty"}),
    (
        "headers: {{X-Mine: {}}}",
        "headers",
        {'"a\\nb"': "the value of X-Mine has a line break or control character in it"},
    ),
    (
        "headers: {{{}: a}}",
        "headers",
        {
            **{
                name: f"the header {name} is set by the watcher itself"
                for name in (
                    "content-type",
                    "Content-Length",
                    "HOST",
                    "User-Agent",
                    "X-Webhook-Signature",
                    "x-webhook-anything",
                    "Transfer-Encoding",
                    "Connection",
                )
            },
            '"a b"': "a header's name has a character that HTTP does not allow",
            '"a\\r\\nb"': "a header's name has a character that HTTP does not allow",
            '""': "a header's name has a character that HTTP does not allow",
            "X-A: a, x-a": "the header x-a is there twice, in different spellings",
        },
    ),
    (
        "retryDelays: [1, {}]",
        "retryDelays[1]",
        {**NO_NUMBER, "null": "is empty", "-0.1": "must be at least 0", "2592001": "must be at most 2592000"},
    ),
    (
        "retryDelays: [{}]",
        "retryDelays[0]",
        {".inf": "must be at most 2592000", ".nan": "must be at least 0"},
    ),
    (
        "rateLimit: {{maxPerSecond: {}}}",
        "rateLimit.maxPerSecond",
        {**NO_NUMBER, "null": "is empty", "0": "must be greater than 0", "-5": "must be greater than 0"},
    ),
    (
        "rateLimit: {{batchSize: {}}}",
        "rateLimit.batchSize",
        {**NO_WHOLE, "null": "is empty", "0": "must be at least 1", "1001": "must be at most 1000"},
    ),
    ("rateLimit: {{{}: 1}}", "rateLimit.maxPerSeconds", {"maxPerSeconds": "unknown key"}),
    ("filters: [{}]", "filters[0]", {"word": MAPPING + "text", "null": "is empty"}),
    ("filters: [{}]", "filters[0].condition", {"{event: user.login}": "is missing"}),
    ("filters: [{}]", "filters[0].event", {"{condition: {}}": "is missing"}),
    (
        "filters: [{{event: {}, condition: {{}}}}]",
        "filters[0].event",
        {**NO_TEXT, "mesage.created": "no event is called `mesage.created`"},
    ),
    (
        "filters: [{{event: user.login, condition: {}}}]",
        "filters[0].condition",
        {**NO_MAPPING, "null": "is empty"},
    ),
    (
        "filters: [{{event: user.login, conditions: {}, condition: {{}}}}]",
        "filters[0].conditions",
        {"{}": "unknown key"},
    ),
    ("omit: [{}]", "omit[0]", {**NO_TEXT, "null": "is empty", "''": "is empty"}),
    ("tls: {{ca: {}}}", "tls.ca", {**NO_TEXT, "null": "is empty", "''": "is empty"}),
    *(
        (
            f"tls: {{{{{part}: {{}}}}}}",
            f"tls.{part}",
            {"nowhere.pem": "no such file", "/": "this is a folder"},
        )
        for part in ("ca", "cert", "key")
    ),
    ("tls: {{{}: 1}}", "tls.cafile", {"cafile": "unknown key"}),
    ("{}: 1", "retry", {"retry": "unknown key"}),
]
INSIDE_WATCHER: list[tuple[str, str, dict[str, str]]] = [
    (
        "http: {{listen: {}}}",
        "http.listen",
        {
            **NO_TEXT,
            "null": "is empty",
            **dict.fromkeys(
                ('""', "localhost", '":8686"', '"127.0.0.1:"', '"127.0.0.1:65536"', '"a/b:1"', '"::1:80"'),
                "not an address to listen at (host:port)",
            ),
        },
    ),
    (
        "http: {{token: {}}}",
        "http.token",
        {**NO_TEXT, "null": "is empty", "''": "is empty", "' '": "is empty"},
    ),
    ("http: {{{}: 1}}", "http.port", {"port": "unknown key"}),
    (
        "retention: {{delivered: {}}}",
        "retention.delivered",
        {
            "72:00": NO_SPAN,
            "72": "",
            "0": "nothing would be kept",
            "null": "is empty",
            "-1": "not between 0 and ten years",
        },
    ),
    (
        "retention: {{dead: {}}}",
        "retention.dead",
        {"0s": "nothing would be kept", "30 days": NO_SPAN, "{a: b}": NO_SPAN},
    ),
    ("retention: {{{}: 1}}", "retention.pending", {"pending": "unknown key"}),
    ("mappings: [{}]", "mappings[0]", {**NO_TEXT, "null": "is empty", "./nowhere": "no such file or folder"}),
    ("{}: 1", "mongoURL", {"mongoURL": "unknown key"}),
]


def rows(table: dict[str, dict[str, str]]) -> list[tuple[str, str, str]]:
    return [(f"{key}: {value}", key, what) for key, wrong in table.items() for value, what in wrong.items()]


def rows_inside(table: list[tuple[str, str, dict[str, str]]]) -> list[tuple[str, str, str]]:
    return [
        (line.format(value), where, what)
        for line, where, wrong in table
        for value, what in wrong.items()
        if what
    ]


def with_line(section: str, line: str) -> tuple[str, int]:
    """The valid settings with one line more (or another, if its key is there), and the line's number."""
    key = line.partition(":")[0]
    lines = [each for each in VALID.splitlines() if each.strip().partition(":")[0] != key]
    at = lines.index(f"{section}:") + 1
    lines.insert(at, f"  {line}")
    return "\n".join(lines) + "\n", at + 1


@pytest.mark.parametrize(
    ("line", "key", "what"), [*rows(RECEIVER), *rows(TOP), *rows_inside(INSIDE_RECEIVER)]
)
def test_a_wrong_value_at_the_top_of_webhooks_is_told_once_at_its_line(
    tmp_path: Path, line: str, key: str, what: str
) -> None:
    text, number = with_line("webhooks", line)

    problems = refused(tmp_path, text)

    assert told(problems) == [(f"webhooks.yaml:{number}: webhooks.{key}", what)]
    assert problems[0].cure


@pytest.mark.parametrize(
    ("line", "key", "what"), [*rows(RECEIVER), *rows(ENDPOINT), *rows_inside(INSIDE_RECEIVER)]
)
def test_a_wrong_value_in_an_endpoint_is_told_once_at_its_line(
    tmp_path: Path, line: str, key: str, what: str
) -> None:
    own = {"name": "name: crm", "url": "url: https://crm.example/", "secret": "secret: other"}
    own[key.partition(".")[0].partition("[")[0]] = line
    lines = ["webhooks:", "  endpoints:", "    -", *(f"      {each}" for each in own.values())]
    number = lines.index(f"      {line}") + 1
    text = "\n".join([*lines, *VALID.splitlines()[3:]])

    problems = refused(tmp_path, text)

    assert told(problems) == [(f"webhooks.yaml:{number}: webhooks.endpoints[0].{key}", what)]
    assert problems[0].cure


@pytest.mark.parametrize(("line", "key", "what"), [*rows(WATCHER), *rows_inside(INSIDE_WATCHER)])
def test_a_wrong_value_under_watcher_is_told_once_at_its_line(
    tmp_path: Path, line: str, key: str, what: str
) -> None:
    text, number = with_line("watcher", line)

    problems = refused(tmp_path, text)

    assert told(problems) == [(f"webhooks.yaml:{number}: watcher.{key}", what)]
    assert problems[0].cure


@pytest.mark.parametrize("section", ["webhooks", "watcher"])
@pytest.mark.parametrize(("value", "what"), [*EMPTY.items(), *NO_MAPPING.items()])
def test_a_section_that_is_no_mapping_is_told_and_nothing_else_is_made_of_it(
    tmp_path: Path, section: str, value: str, what: str
) -> None:
    other = VALID[: VALID.index("watcher:")] if section == "watcher" else VALID[VALID.index("watcher:") :]

    problems = refused(tmp_path, f"{section}: {value}\n{other}")

    assert told(problems) == [(f"webhooks.yaml:1: {section}", what)]


@pytest.mark.parametrize(
    ("value", "what"), [("null", "is empty"), ("word", MAPPING + "text"), ("[a]", MAPPING + "a list")]
)
def test_an_endpoint_that_is_no_mapping_is_told_and_nothing_else_is_made_of_it(
    tmp_path: Path, value: str, what: str
) -> None:
    text = f"webhooks:\n  endpoints:\n    - {value}\n{VALID[VALID.index('watcher:') :]}"

    problems = refused(tmp_path, text)

    assert told(problems) == [("webhooks.yaml:3: webhooks.endpoints[0]", what)]


@pytest.mark.parametrize(
    ("line", "cure"),
    [
        ("retrys: 3", "did you mean `retries`?"),
        ("retry_delays: [1]", "did you mean `retryDelays`?"),
        ("Timeout: 1", "did you mean `timeout`?"),
        ("mongoUri: mongodb://h", "it belongs under `watcher:`"),
        ("events: [mesage.created]", "did you mean `message.created`?"),
        ("events: [Message.Created]", "did you mean `message.created`?"),
        ("events: [conversations.*]", "did you mean `conversation.*`?"),
        ("events: [user.session.*]", "patterns mean the documented events only; write user.session.expired"),
        ("ordering: entities", "did you mean `entity`?"),
        ("http: {listen: 127.0.0.1:1}", "it belongs under `watcher:`"),
    ],
)
def test_a_slip_is_answered_with_what_was_probably_meant(tmp_path: Path, line: str, cure: str) -> None:
    text, _ = with_line("webhooks", line)

    problems = refused(tmp_path, text)

    assert problems[0].cure == cure


def test_a_key_that_only_the_top_may_have_is_sent_there(tmp_path: Path) -> None:
    endpoint = "  endpoints:\n    - {name: crm, url: https://crm.example, enabled: false}\n"

    problems = refused(tmp_path, VALID.replace("watcher:", f"{endpoint}watcher:"))

    assert told(problems) == [("webhooks.yaml:5: webhooks.endpoints[0].enabled", "unknown key")]
    assert problems[0].cure == "it belongs to the top of `webhooks:`, not to one endpoint"


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:9/",
        "http://127.0.0.1/",
        "http://127.8.9.1/",
        "http://[::1]:3000/",
        "HTTP://LOCALHOST/",
    ],
)
def test_plain_http_to_this_machine_needs_no_permission(tmp_path: Path, url: str) -> None:
    settings = loaded(tmp_path, VALID.replace("https://receiver.example/hook", url))

    assert settings.endpoints[0].url == url


@pytest.mark.parametrize(
    "url", ["https://bücher.example/", "https://a_b.example:8443/p?q=%20", "https://[2001:db8::1]/"]
)
def test_a_good_url_is_taken_as_it_is(tmp_path: Path, url: str) -> None:
    settings = loaded(tmp_path, VALID.replace("https://receiver.example/hook", url))

    assert settings.endpoints[0].url == url


def test_a_wrong_filter_does_not_hide_what_is_wrong_in_others(tmp_path: Path) -> None:
    filters = """\
    filters:
      - {event: message.created, condition: null}
      - {event: message.created, condition: {a: {$gtt: 1}}}
      - {event: message.created}
      - {event: message.created, condition: {a: {$inn: []}}}
"""
    text = "webhooks:\n  secret: s\n" + filters.replace("    f", "  f").replace("      -", "    -")
    text += f"  endpoints:\n  - name: crm\n    url: https://crm.example\n{filters}"
    text += "watcher: {mongoUri: mongodb://m/}\n"

    problems = refused(tmp_path, text)

    wrongs = [(0, "condition"), (1, "condition.a.$gtt"), (2, "condition"), (3, "condition.a.$inn")]
    assert [problem.where.partition(": ")[2] for problem in problems] == [
        f"webhooks.{holder}filters[{index}].{where}"
        for holder in ("", "endpoints[0].")
        for index, where in wrongs
    ]


def test_keys_of_the_operator_s_own_are_left_alone(tmp_path: Path) -> None:
    text = "x-shared: &shared {X-Team: ${TEAM}}\nx-unused: {a: ${NOT_SET}}\n" + VALID
    text = text.replace("webhooks:\n", "webhooks:\n  headers: *shared\n")

    settings = loaded(tmp_path, text, env={"TEAM": "blue"})

    assert settings.endpoints[0].headers == (("X-Team", "blue"),)
    assert told(refused(tmp_path, text + "y-other: 1\n", env={"TEAM": "blue"}))[0][1] == "unknown key"
