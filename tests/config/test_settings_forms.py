"""`format`, `transform`, `preset`, and templates in `url` and `headers`: what is inherited and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.config.settings_texts import loaded, refused, told
from watcher.core.endpoints import Endpoint
from watcher.core.forms import Address, CloudEvents, Documented, Failed, Filled, Transform

WATCHER = "watcher: {mongoUri: mongodb://h/d}\n"
CONTEXT: dict[str, Any] = {
    "event": "user.login",
    "timestamp": "t",
    "data": {"userId": "u1"},
    "userId": "u1",
    "webhookId": "webhook_1",
}


def endpoints(folder: Path, text: str, **options: Any) -> dict[str, Endpoint]:
    return {each.name: each for each in loaded(folder, f"{text}{WATCHER}", **options).endpoints}


def filled(endpoint: Endpoint) -> Any:
    assert isinstance(endpoint.form, Transform)
    made = endpoint.form.fill(CONTEXT)
    assert isinstance(made, Filled)
    return made.value


def test_each_endpoint_has_its_form(tmp_path: Path) -> None:
    text = """\
webhooks:
  secret: s
  endpoints:
    - {name: plain, url: https://a.example}
    - {name: cloud, url: https://a.example, format: cloudevents}
    - {name: chat, url: https://a.example, preset: slack}
    - name: own
      url: https://a.example
      format: librechat
      transform: {text: "New login by {{ data.userId }}", id: "{{ webhookId }}", fixed: [1, null]}
    - {name: text, url: https://a.example, transform: "{{ event }}"}
    - {name: list, url: https://a.example, transform: ["{{ event }}"]}
"""

    found = endpoints(tmp_path, text)

    assert found["plain"].form == Documented()
    assert found["cloud"].form == CloudEvents()
    chat = found["chat"].form
    assert isinstance(chat, Transform)
    assert chat.name == "preset slack"
    assert filled(found["own"]) == {"text": "New login by u1", "id": "webhook_1", "fixed": [1, None]}
    assert (filled(found["text"]), filled(found["list"])) == ("user.login", ["user.login"])


def test_one_way_to_make_the_body_goes_before_every_inherited_one(tmp_path: Path) -> None:
    text = """\
webhooks:
  secret: s
  {TOP}
  endpoints:
    - {name: heir, url: https://a.example}
    - {name: cloud, url: https://a.example, format: cloudevents}
    - {name: plain, url: https://a.example, format: librechat}
    - {name: chat, url: https://a.example, preset: discord}
    - {name: own, url: https://a.example, transform: {b: 2}}
"""

    for top in ("preset: slack", "transform: {a: 1}", "format: cloudevents"):
        found = endpoints(tmp_path, text.replace("{TOP}", top))

        assert isinstance(found["heir"].form, CloudEvents if "cloud" in top else Transform)
        assert found["cloud"].form == CloudEvents()
        assert found["plain"].form == Documented()
        assert found["chat"].form.name == "preset discord"  # type: ignore[union-attr]
        assert filled(found["own"]) == {"b": 2}, "a transform is not merged with an inherited one"


@pytest.mark.parametrize(
    ("keys", "where"),
    [
        ("preset: slack, transform: {a: 1}", "transform"),
        ("preset: slack, format: cloudevents", "format"),
        ("format: cloudevents, transform: {a: 1}", "format"),
    ],
)
def test_two_ways_to_make_one_body_are_told(tmp_path: Path, keys: str, where: str) -> None:
    text = f"webhooks: {{secret: s, url: https://a.example, {keys}}}\n{WATCHER}"

    (problem,) = refused(tmp_path, text)

    assert problem.where == f"webhooks.yaml:1: webhooks.{where}"
    assert "there is one body only" in problem.what


def test_every_fault_of_a_template_is_told_at_its_line_and_key(tmp_path: Path) -> None:
    text = f"""\
webhooks:
  secret: s
  headers: {{X-A: "{{{{ userid }}}}"}}
  endpoints:
    - name: a
      url: https://a.example/{{{{ data.x | uper }}}}
      transform:
        text: "{{{{ title }}}}"
        blocks:
          - type: section
          - "{{{{ data.text"
          - text: "{{{{ data.text | shorten }}}}"
{WATCHER}"""

    problems = refused(tmp_path, text)

    assert told(problems) == [
        ("webhooks.yaml:3: webhooks.headers.X-A", "nothing is called what stands there"),
        ("webhooks.yaml:6: webhooks.endpoints[0].url", "no filter is called what stands there"),
        ("webhooks.yaml:8: webhooks.endpoints[0].transform.text", "nothing is called `title`"),
        (
            "webhooks.yaml:11: webhooks.endpoints[0].transform.blocks[1]",
            "is no template: unexpected end of template, expected 'end of print statement'.",
        ),
        (
            "webhooks.yaml:12: webhooks.endpoints[0].transform.blocks[2].text",
            "no filter is called `shorten`",
        ),
    ]
    assert "did you mean `data.title`?" in problems[2].cure


def test_url_and_headers_follow_the_event(tmp_path: Path) -> None:
    text = """\
webhooks:
  secret: s
  headers: {X-User: "{{ userId }}"}
  endpoints:
    - {name: both, url: "https://a.example/{{ data.userId }}?e={{ event }}", headers: {X-Key: "${KEY}"}}
    - {name: headers, url: https://b.example}
    - {name: neither, url: https://c.example, headers: {x-user: fixed}}
"""

    found = endpoints(tmp_path, text, env={"KEY": "k"})

    assert found["both"].addressing is not None
    assert found["headers"].addressing is not None
    address = found["both"].addressing.address(CONTEXT)
    assert isinstance(address, Address)
    assert address.url == "https://a.example/u1?e=user.login"
    assert address.headers == (("X-User", "u1"), ("X-Key", "k"))
    assert isinstance(found["headers"].addressing.address({"data": {}}), Failed)
    assert found["neither"].addressing is None
    assert "example/" not in repr(found["both"])


def test_only_the_path_and_what_is_behind_the_question_mark_may_follow_the_event(tmp_path: Path) -> None:
    for url in (
        "https://a.example/{{ event }}",
        "https://a.example?e={{ event }}",
        "https://[::1]:8/{{ event }}",
    ):
        text = f"webhooks: {{secret: s, url: '{url}'}}\n"

        assert endpoints(tmp_path, text)["default"].addressing is not None


def test_a_template_does_not_hide_that_http_shows_everything(tmp_path: Path) -> None:
    text = f"webhooks: {{secret: s, url: 'http://a.example/{{{{ event }}}}'}}\n{WATCHER}"

    assert "http:// shows" in refused(tmp_path, text)[0].what


@pytest.mark.parametrize(
    "keys", ["preset: slack", "headers: {X: '{{ event }}'}", "url: 'https://b.example/{{ event }}'"]
)
def test_where_each_request_tells_one_event_a_batch_that_is_asked_for_is_told(
    tmp_path: Path, keys: str
) -> None:
    url = "" if keys.startswith("url") else "url: https://a.example, "
    text = f"""\
webhooks:
  secret: s
  rateLimit: {{batchSize: 9, maxPerSecond: 5}}
  endpoints:
    - {{name: asks, {url}{keys}, rateLimit: {{batchSize: 2}}}}
{WATCHER}"""

    (problem,) = refused(tmp_path, text)
    heir = loaded(tmp_path, text.replace(", rateLimit: {batchSize: 2}", "")).endpoints[0]

    assert problem.where == "webhooks.yaml:5: webhooks.endpoints[0].rateLimit.batchSize"
    assert problem.what.startswith("cannot be more than 1: ")
    assert (heir.rate.batch_size, heir.rate.max_per_second) == (1, 5)


@pytest.mark.parametrize("keys", ["format: cloudevents", "transform: {a: '{{ event }}'}"])
def test_other_forms_may_go_in_batches(tmp_path: Path, keys: str) -> None:
    text = f"webhooks: {{secret: s, url: https://a.example, {keys}, rateLimit: {{batchSize: 9}}}}\n"

    assert endpoints(tmp_path, text)["default"].rate.batch_size == 9


def test_the_environments_values_stand_in_a_transform_too(tmp_path: Path) -> None:
    text = "webhooks: {secret: s, url: https://a.example, transform: {room: '${ROOM}', by: '{{ userId }}'}}\n"

    assert filled(endpoints(tmp_path, text, env={"ROOM": "42"})["default"]) == {"room": "42", "by": "u1"}


def test_what_is_written_makes_endpoints_the_same_or_not(tmp_path: Path) -> None:
    text = "webhooks: {secret: s, url: https://a.example, transform: {a: '{{ event }}'}}\n"

    one, same = (endpoints(tmp_path, text)["default"] for _ in range(2))
    other = endpoints(tmp_path, text.replace("event", "userId"))["default"]

    assert one == same != other


def test_where_nothing_is_sent_forms_are_read_and_of_addresses_what_has_holes(tmp_path: Path) -> None:
    text = """\
webhooks:
  headers: {X: "${NOT_SET} {{ event }}", Y: key}
  endpoints: [{name: a, url: "https://${NOT_SET}/${NOT_SET}/{{ event }}", transform: {a: "{{ event }}"}}]
"""

    found = endpoints(tmp_path, text, need_endpoints=False)["a"]

    assert filled(found) == {"a": "user.login"}
    assert found.url == "https://nowhere.invalid/unread/{{ event }}"
    assert found.headers == (("X", "unread {{ event }}"),)
    assert found.addressing is not None
