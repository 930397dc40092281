"""The documentation says what is."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from base64 import b64encode
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from standardwebhooks.webhooks import WebhookVerificationError

from docs.generate import DOCS, events_page, operating_page
from tests.librechat import table
from watcher.cli import COMMANDS
from watcher.config.loading import load
from watcher.config.sources import OVERRIDES
from watcher.config.templates.filters import FILTERS
from watcher.config.templates.methods import METHODS
from watcher.config.templates.tests import TESTS
from watcher.core.deliveries import State
from watcher.core.encoding import encode
from watcher.core.endpoints import Secret
from watcher.core.signing import signature, signature_headers

ROOT = DOCS.parent
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), *ROOT.glob("deploy/*.md")])
BODY = encode(
    {"event": "message.created", "data": {"text": "é🧵\u2028", "ratio": 1.0, "tiny": 1e-7, "10": 1}}
)
SIGNATURE = signature(BODY, Secret(key=b"s3cret"))


def test_the_catalogue_of_events_is_up_to_date():
    assert DOCS.joinpath("EVENTS.md").read_text() == events_page(), "run `make docs`"


def test_the_table_of_actions_is_up_to_date():
    assert DOCS.joinpath("ACTIONS.md").read_text() == table.page(), "run `make docs`"


def test_settings_metrics_and_log_lines_are_up_to_date():
    page = DOCS.joinpath("OPERATING.md").read_text()

    assert page == operating_page(page), "run `make docs`"


def test_every_environment_variable_is_explained():
    page = DOCS.joinpath("OPERATING.md").read_text()

    assert [name for name in OVERRIDES if f"`{name}`" not in page] == []


def test_the_readme_lists_every_command_and_no_other():
    table = ROOT.joinpath("README.md").read_text().split("## Commands")[1].split("\n## ")[0]

    listed = {line.split("`")[1].split()[0] for line in table.splitlines() if line.startswith("| `")}
    assert listed == set(COMMANDS)


def test_the_glossary_names_every_state():
    page = DOCS.joinpath("GLOSSARY.md").read_text()

    assert [state for state in get_args(State) if f"**{state}**" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path):
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#:]+)\)", text) if not link.startswith("#")]
    missing = [link for link in links if not (page.parent / link).exists()]
    named = re.findall(r"`((?:core|pipeline|adapters|config|admin|cli|tests|mappings|docs)/[\w./]+\w)`", text)
    missing += [
        name for name in named if not (ROOT / name).exists() and not (ROOT / "watcher" / name).exists()
    ]

    assert missing == []


def test_the_architecture_is_three_pages_at_most():
    assert len(DOCS.joinpath("ARCHITECTURE.md").read_text().split()) < 3 * 500


def snippet(name: str) -> str:
    """The same code stands in the README and in RECEIVERS."""
    pages = [ROOT.joinpath("README.md").read_text(), DOCS.joinpath("RECEIVERS.md").read_text()]
    first, second = [re.findall(rf"```\w+ {name}\n(.*?)```", page, re.DOTALL) for page in pages]
    assert first == second
    [code] = first
    return str(code)


def test_the_python_snippet_verifies_and_refuses():
    scope: dict[str, Any] = {}
    exec(snippet("verify-python"), scope)
    verify = scope["verify_webhook"]

    assert verify(BODY, SIGNATURE, "s3cret")
    assert not verify(BODY + b" ", SIGNATURE, "s3cret")
    assert not verify(BODY, SIGNATURE, "other")
    assert not verify(BODY, "", "s3cret")
    assert not verify(BODY, "é", "s3cret")


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on PATH")
def test_the_node_snippet_verifies_the_parsed_body_and_refuses():
    script = f"""
    {snippet("verify-node")}
    const body = JSON.parse(require('fs').readFileSync(0, 'utf8'));
    const [signature] = process.argv.slice(1);
    console.log(JSON.stringify([
      verifyWebhook(body, signature, 's3cret'),
      verifyWebhook(body, signature, 'other'),
      verifyWebhook({{...body, more: 1}}, signature, 's3cret'),
      verifyWebhook(body, 'sha256=00', 's3cret'),
    ]));
    """

    done = subprocess.run(
        ["node", "-e", script, SIGNATURE], input=BODY, capture_output=True, check=True, timeout=20
    )

    assert done.stdout.decode().strip() == "[true,false,false,false]"


def only_in_receivers(name: str) -> str:
    [code] = re.findall(rf"```\w+ {name}\n(.*?)```", DOCS.joinpath("RECEIVERS.md").read_text(), re.DOTALL)
    return str(code)


FOUR = [
    (BODY, SIGNATURE, "s3cret"),
    (BODY, SIGNATURE, "other"),
    (BODY + b" ", SIGNATURE, "s3cret"),
    (BODY, "", "s3cret"),
]
"""Right; another secret; another body; no signature."""


@pytest.mark.skipif(shutil.which("php") is None, reason="no php on PATH")
def test_the_php_snippet_verifies_and_refuses(tmp_path: Path):
    calls = "\n".join(
        f"echo (int) verify_webhook(base64_decode('{b64encode(body).decode()}'), '{signature}', '{secret}');"
        for body, signature, secret in FOUR
    )
    script = tmp_path / "receiver.php"
    script.write_text(only_in_receivers("verify-php") + calls)

    done = subprocess.run(["php", str(script)], capture_output=True, text=True, check=True, timeout=20)

    assert done.stdout == "1000"


@pytest.mark.skipif(shutil.which("go") is None, reason="no go on PATH")
def test_the_go_snippet_verifies_and_refuses(tmp_path: Path):
    calls = "\n".join(
        f'println(verifyWebhook([]byte{{{", ".join(map(str, body))}}}, "{signature}", "{secret}"))'
        for body, signature, secret in FOUR
    )
    script = tmp_path / "main.go"
    script.write_text(only_in_receivers("verify-go") + f"func main() {{\n{calls}\n}}")

    done = subprocess.run(
        ["go", "run", str(script)],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
        env={**os.environ, "GOCACHE": str(tmp_path / "cache"), "GO111MODULE": "off"},
    )

    assert done.stderr.split() == ["true", "false", "false", "false"]


def test_the_standard_s_python_snippet_reads_and_refuses():
    scope: dict[str, Any] = {}
    exec(only_in_receivers("standard-python"), scope)
    whsec = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    now = int(time.time())
    signed = signature_headers(
        BODY, [Secret(key=whsec.encode())], "standard", identity="webhook_1", seconds=now
    )

    assert scope["read_event"](BODY, dict(signed), whsec) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        scope["read_event"](BODY + b" ", dict(signed), whsec)


def test_no_page_and_no_source_names_this_machine_or_a_registry():
    words = re.compile(r"(/work/|/root/|/tmp/bash|pypi\.org|pythonhosted|registry\.npmjs)")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / name for name in listed.stdout.splitlines() if name != "tests/test_docs.py"]

    assert [file for file in files if file.is_file() and words.search(file.read_text(errors="ignore"))] == []


def test_the_page_of_forms_names_every_word_of_templates():
    page = DOCS.joinpath("FORMS.md").read_text()
    lists = " ".join(re.findall(r"`([^`]+)`", page.partition("- Filters:")[2].partition("\n\n")[0])).split()
    words = {*FILTERS, *TESTS, *METHODS, "map", "select", "reject", "selectattr", "rejectattr"}

    same = {"equalto", "lessthan", "greaterthan"}
    assert {word for word in words if word.isalpha()} - same <= set(lists)


def test_the_examples_of_forms_load(tmp_path: Path):
    examples = re.findall(r"```yaml\n(.*?)```", DOCS.joinpath("FORMS.md").read_text(), re.DOTALL)
    assert len(examples) == 3

    for example in examples:
        keys = yaml.safe_load(example)
        endpoint = keys["endpoints"][0] if "endpoints" in keys else {"url": "https://a.example", **keys}
        file = tmp_path / "webhooks.yaml"
        settings = {"webhooks": {"secret": "s", "endpoints": [{"name": "x", **endpoint}]}}
        file.write_text(yaml.safe_dump(settings))

        load(file=file, env={"HOME": "/", "STATISTICS_HASH_KEY": "k"}, need_mongo=False)


def test_the_endpoints_for_chats_load(tmp_path: Path):
    text = "webhooks:\n  endpoints:\n"
    for chat in ("slack", "discord", "teams"):
        text += "".join(f"  {line}\n" for line in only_in_receivers(f"chat-{chat}").splitlines())
    file = tmp_path / "webhooks.yaml"
    file.write_text(text)
    urls = dict.fromkeys(("SLACK_URL", "DISCORD_URL", "TEAMS_URL"), "https://chat.example/a?sig=b")

    settings = load(file=file, env={"HOME": "/", **urls}, need_mongo=False)

    assert [each.name for each in settings.endpoints] == ["slack", "discord", "teams"]
    assert [each.rate.max_per_second for each in settings.endpoints] == [1, 2, 3]
