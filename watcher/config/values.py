"""What one value alone may be: a URL, a span, an event's name. Each check tells what is wrong and the cure.

No message quotes a URL, a secret, a header's value or a URI."""

from __future__ import annotations

import difflib
import ipaddress
import re
import urllib.parse
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationInfo
from pydantic_core import PydanticCustomError

from watcher.config.sources import Expanded
from watcher.core.endpoints import Secret
from watcher.core.events import BEYOND, DOCUMENTED, subscribes
from watcher.core.forms import is_template


def wrong(what: str, cure: str) -> PydanticCustomError:
    """An error that `messages` tells as it is."""
    return PydanticCustomError("watcher", "wrong", {"what": what, "cure": cure})


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    folded = {each.lower().replace("_", ""): each for each in known}
    close = difflib.get_close_matches(word.lower().replace("_", ""), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else None


# --- text from outside, where everything is text ----------------------------------------------------------


def parsed_number(value: Any) -> Any:
    """A number, if the value came from the environment as one."""
    if isinstance(value, Expanded) and re.fullmatch(r"-?\d{1,15}", value, re.ASCII):
        return int(value)
    if isinstance(value, Expanded) and re.fullmatch(r"-?\d{1,15}\.\d{1,15}", value, re.ASCII):
        return float(value)
    return value


def parsed_truth(value: Any) -> Any:
    """True or false, if the value came from the environment as one."""
    return {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, Expanded) else value


def parsed_list(value: Any) -> Any:
    """The parts of a comma list from the environment."""
    if not isinstance(value, Expanded):
        return value
    return [Expanded(part.strip()) for part in value.split(",") if part.strip()]


def plain(value: Any) -> Any:
    """The value with ordinary texts, for whoever asks for a text's exact type."""
    match value:
        case dict():
            return {key: plain(inner) for key, inner in value.items()}
        case list():
            return [plain(inner) for inner in value]
        case Expanded():
            return str(value)
        case _:
            return value


# --- one endpoint -----------------------------------------------------------------------------------------


def present(text: str) -> str:
    if not text.strip():
        raise wrong("is empty", "give it a value, or remove the key")
    return text


def endpoint_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", name, re.IGNORECASE | re.ASCII):
        cure = "take letters, digits, `.`, `_` and `-`, 63 at most, beginning with a letter or digit"
        raise wrong("not a name that can stand in logs, metrics and commands", cure)
    return name


def endpoint_url(url: str) -> str:
    """Its form only: whether `http://` is allowed depends on other keys, and its holes are read later."""
    present(url)
    if is_template(url):
        # Users' data must never choose whom they are sent to.
        if re.match(r"https?://", url, re.IGNORECASE) and not re.match(
            r"https?://[^/?#{}\s\\]+[/?]", url, re.IGNORECASE
        ):
            cure = "write out https://, host and port: templates may stand in the path and behind the `?`"
            raise wrong("the URL has a template in its host", cure)
        _endpoint_url(_HOLE.sub("x", url))
        return url
    return _endpoint_url(url)


_HOLE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)


def _endpoint_url(url: str) -> str:
    if re.search(r"[\s\\\x00-\x1f\x7f]", url):
        raise wrong(
            "the URL has a space, a backslash or a control character in it", "percent-encode it (%20)"
        )
    if not re.match(r"https?://", url, re.IGNORECASE):
        raise wrong("the URL does not begin with https:// (or http://)", "write the whole URL")
    if "#" in url:
        raise wrong("the URL has a fragment (`#…`), which is never sent", "remove it, or write # as %23")
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wrong("the URL's host or port is not valid", "write https://host:port/path") from None
    if "@" in parts.netloc:
        cure = "send them as a header instead: `headers: {Authorization: …}`"
        raise wrong("the URL has a user or password in it", cure)
    if not host or port == 0 or not _is_host(host) or _is_more_than_an_address(parts.netloc):
        raise wrong("the URL's host or port is not valid", "write https://host:port/path")
    if _is_number(host.encode("idna").decode()):
        raise wrong("the URL's host is a number, and no IPv4 address", "write the address as 192.0.2.7")
    return url


NO_PROXY = "none"
"""No proxy, whatever the environment says."""


def proxy_url(url: str) -> str:
    """A proxy's URL, or `none`. User and password may be in it."""
    present(url)
    if url == NO_PROXY:
        return url
    cure = "write http://proxy.example:3128, or `none`"
    if not re.match(r"https?://", url, re.IGNORECASE):
        raise wrong("not the http:// or https:// URL of a proxy (SOCKS is not supported)", cure)
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if (
        not host
        or port == 0
        or not _is_host(host)
        or _is_number(host)
        or re.search(r"[\s\\\x00-\x1f\x7f]", url)
    ):
        # Not the parts of a password with a / in it: which part is wrong cannot be told without showing it.
        encoded = "percent-encode / ? # @ : and % in user and password (%2F %3F %23 %40 %3A %25)"
        raise wrong("the proxy's host or port is not valid", f"{cure}; {encoded}")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise wrong("a proxy's URL ends with its port", f"remove what follows it: {cure}")
    return url


def is_loopback(url: str) -> bool:
    """Does the URL's host mean this machine, so that plain http shows nothing to anybody else?"""
    host = urllib.parse.urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_more_than_an_address(netloc: str) -> bool:
    """Before or behind the brackets of an IPv6 address some versions of `urlsplit` let anything pass."""
    return "[" in netloc and re.fullmatch(r"\[[^\[\]]+\](:\d*)?", netloc) is None


def _is_host(host: str) -> bool:
    if ":" in host:
        return True  # an IPv6 address: urlsplit has checked it
    try:
        return re.fullmatch(r"[a-z0-9._-]{1,253}", host.encode("idna").decode()) is not None
    except UnicodeError:
        return False


def secrets(value: Any) -> tuple[Secret, ...]:
    """One secret or a list: the first signs, the rest still verify."""
    texts = value if isinstance(value, list) else [value]
    if not texts or any(text is None or (isinstance(text, str) and not text.strip()) for text in texts):
        cure = "give it a value; an endpoint that wants no signature says `signing: none`"
        raise wrong("the secret is empty", cure)
    if not all(isinstance(text, str) for text in texts):
        raise wrong("the secret is not text", "put it in quotes, or each of a list of secrets")
    return tuple(Secret(key=text.encode()) for text in texts)


SHORTEST_KEY = 32
"""Characters: of a key in base64 or hex, that is 128 bits at least."""


def secret_keys(value: Any) -> tuple[Secret, ...]:
    """What managed endpoints are encrypted with: the first one; the others still open what they did."""
    cure = "make one: openssl rand -base64 32"
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise wrong("the key is not text", f"put it in quotes, or each of a list of keys; {cure}")
    if any(len(text.strip()) < SHORTEST_KEY for text in texts):
        raise wrong(f"the key has less than {SHORTEST_KEY} characters: it could be guessed", cure)
    return tuple(Secret(key=text.strip().encode()) for text in texts)


def hash_key(value: Any) -> Secret:
    """What values are hashed with."""
    if not isinstance(value, str):
        raise wrong("the key is not text", "put it in quotes")
    if not value.strip():
        raise wrong("the key is empty", "give it a value, or remove the key: then it is made of the secret")
    return Secret(key=value.encode())


def field(name: str) -> str:
    """The name of a field of `data`, or a path to it. Whether there is one depends on the mapping files."""
    present(name)
    path = name.removeprefix("data.")
    if path != name:
        raise wrong("names a path from the body's top", f"paths begin inside `data`: write `{path}`")
    if "" in name.split("."):
        raise wrong("not a name, nor names with dots between them", "write `text`, or `feedback.text`")
    return name


def transform(value: Any) -> Any:
    """A body of the operator's own: what its texts say is read later."""
    if value in ("", {}, []):
        raise wrong("is empty", "write the body, or remove the key")
    if not isinstance(value, str | dict | list):
        raise wrong("must be a mapping, a list or text", 'write for example `{text: "{{ data.text }}"}`')
    return plain(value)


def event_pattern(pattern: str, info: ValidationInfo) -> str:
    """An event's name, `message.*` or `*`; whatever matches nothing is a slip.

    The validation's context holds the names that the operator's own mapping files send."""
    known = (*DOCUMENTED, *BEYOND, *(info.context or ()))
    if pattern in known or any(subscribes(pattern, event) for event in DOCUMENTED):
        return pattern
    families = dict.fromkeys(f"{event.split('.')[0]}.*" for event in DOCUMENTED)
    beyond = [event for event in BEYOND if pattern.endswith("*") and event.startswith(pattern[:-1])]
    if beyond:
        cure = f"patterns mean the documented events only; write {' or '.join(beyond)}"
    elif meant := did_you_mean(pattern, (*known, *families, "*")):
        cure = f"did you mean `{meant}`?"
    else:
        cure = f"write an event's name (`librechat-watcher events` lists them), {', '.join(families)} or *"
    raise wrong(f"no event is called `{pattern}`", cure)


_RESERVED = (
    "content-type",
    "content-length",
    "content-encoding",
    "host",
    "user-agent",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "expect",
    "te",
    "trailer",
    "upgrade",
    "proxy-authorization",
    "traceparent",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
)


def headers(value: dict[str, str]) -> dict[str, str]:
    """Headers of one's own: none that the watcher or HTTP itself sets, none that could split a request."""
    seen: set[str] = set()
    for name, content in value.items():
        folded = name.lower()
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise wrong(
                "a header's name has a character that HTTP does not allow", "take letters, digits and -"
            )
        if folded in _RESERVED or folded.startswith("x-webhook-"):
            raise wrong(f"the header {name} is set by the watcher itself", "remove it, or take another name")
        if folded in seen:
            raise wrong(f"the header {name} is there twice, in different spellings", "keep one of the two")
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", content):
            raise wrong(f"the value of {name} has a line break or control character in it", "remove it")
        seen.add(folded)
    return value


# --- the watcher ------------------------------------------------------------------------------------------

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST = timedelta(days=3650)  # ten years: whoever writes more means something else


def span(value: Any) -> timedelta:
    """`90s`, `15m`, `72h`, `30d`, `2w`, or a number of seconds."""
    value = parsed_number(value)
    cure = "write 90s, 15m, 72h, 30d or 2w, or a number of seconds"
    match value:
        case bool():
            raise wrong("not a span of time", cure)
        case int() | float():
            seconds = value
        case str() if found := re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s?([smhdw])", value, re.ASCII):
            seconds = float(found[1]) * _UNIT_SECONDS[found[2]]
        case _:
            raise wrong("not a span of time", cure)
    if not 0 <= seconds <= _LONGEST.total_seconds():
        raise wrong("not between 0 and ten years", cure)
    return timedelta(seconds=seconds)


def some_span(value: Any) -> timedelta:
    """A span in which something is kept at all."""
    found = span(value)
    if not found:
        raise wrong(
            "nothing would be kept", "write at least 1s; 72h lets you see what was sent at the weekend"
        )
    return found


_UNIT_BYTES = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12} | {
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_SMALLEST = 10**6  # one delivery may take as much


def size(value: Any) -> int:
    """`512MB`, `10GB`, or `4GiB`: bytes."""
    cure = "write for example 512MB, 10GB or 4GiB"
    match value:
        case str() if found := re.fullmatch(
            r"(\d{1,9}(?:\.\d{1,9})?)\s?([kmgt]i?b)", value, re.ASCII | re.IGNORECASE
        ):
            bytes_ = float(found[1]) * _UNIT_BYTES[found[2].lower()]
        case _:
            raise wrong("not a size", cure)
    if bytes_ < _SMALLEST:
        raise wrong("less than 1MB, which one delivery may take", cure)
    return round(bytes_)


def listen(value: str) -> tuple[str, int]:
    """Host and port to listen at."""
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):(\d{1,5})", value, re.ASCII)
    if not found or int(found[2]) > 65535:
        cure = "write 127.0.0.1:8686 for this machine only, 0.0.0.0:8686 for all its addresses"
        raise wrong("not an address to listen at (host:port)", cure)
    return found[1].strip("[]"), int(found[2])


def moment(value: str) -> datetime | None:
    """`now` (None), or an ISO 8601 time; without a zone it is UTC."""
    if value == "now":
        return None
    try:
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        cure = "write `now`, or for example 2026-11-24T08:00:00Z"
        raise wrong("neither `now` nor an ISO 8601 time", cure) from None


IN_MONGODB = "mongodb"
"""The state beside LibreChat's own data, in the same cluster."""


def state_uri(uri: str) -> str:
    """`sqlite:///` and an absolute path; `mongodb`; or a MongoDB URI."""
    if uri == IN_MONGODB:
        return uri
    if re.match(r"mongodb(\+srv)?:", uri):
        return mongo_uri(uri)
    path = uri.removeprefix("sqlite:///")
    if path == uri or not path.strip("/"):
        cure = (
            "write sqlite:///var/lib/librechat-watcher/state.db (what follows sqlite:/// is absolute),"
            " or `mongodb` for several replicas"
        )
        raise wrong("neither sqlite:/// and the path of a file, nor `mongodb`", cure)
    if path.endswith("/"):
        raise wrong("the path is a folder's", "add the file's name: …/state.db")
    return uri


def mongo_uri(uri: str) -> str:
    """LibreChat's own MONGO_URI: its form, as far as mistakes in it would be told badly later."""
    if not re.match(r"mongodb(\+srv)?://", uri):
        raise wrong("does not begin with mongodb:// or mongodb+srv://", "take over LibreChat's own MONGO_URI")
    rest = uri.partition("://")[2]
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    if authority.count("@") > 1 or ("@" not in authority and "@" in rest.partition("?")[0]):
        raise wrong("a character of the user or password breaks it", "percent-encode it: @ as %40, / as %2F")
    if not authority.rpartition("@")[2]:
        raise wrong("names no host", "take over LibreChat's own MONGO_URI")
    if re.search(r'[/\\. "$*<>:|?]', database(uri) or ""):
        raise wrong("names no valid database in its path", "write mongodb://host:27017/LibreChat")
    return uri


def database(uri: str) -> str | None:
    """The database in a URI's path, if there is one."""
    path = uri.partition("://")[2].partition("?")[0].partition("/")[2]
    return urllib.parse.unquote(path) or None


def _is_number(host: str) -> bool:
    """Is it an IPv4 address in a form that not everybody reads alike: 2130706433, 127.1, 0x7f000001?"""
    if ":" in host or not re.fullmatch(r"\d+|0x[0-9a-f]*", host.rstrip(".").rpartition(".")[2]):
        return False  # the last part of a name is no number
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return True
    return False
