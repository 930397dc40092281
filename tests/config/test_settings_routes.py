"""`tls:`, `proxy:` and `denyPrivate:`: what they mean, and how they are refused."""

from __future__ import annotations

import functools
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme

from tests.config.settings_texts import VALID, loaded, refused, told
from watcher.config.proxies import is_exempt
from watcher.core.routes import Proxy, Route, Tls

WRONG = "not the http:// or https:// URL of a proxy (SOCKS is not supported)"


@functools.cache
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def pems(tmp_path: Path) -> Path:
    """A folder with the files of an authority and of two certificates, in all the ways they come in."""
    folder = tmp_path / "pems"
    folder.mkdir()
    authority().cert_pem.write_to_path(folder / "ca.pem")
    for name in ("ours", "other"):
        leaf = authority().issue_cert(f"{name}.example")
        leaf.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        leaf.private_key_pem.write_to_path(folder / f"{name}.key")
        leaf.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}-both.pem")
    pem = (folder / "ours.pem").read_text()
    (folder / "ours.der").write_bytes(ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN") :]))
    (folder / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nbm9wZQ==\n-----END CERTIFICATE-----\n")
    locked = [f"-in {folder}/ours.key", "-aes256 -passout pass:s3cret", f"-out {folder}/locked.key"]
    subprocess.run(f"openssl pkey {' '.join(locked)}".split(), check=True, capture_output=True)
    return folder


def with_keys(*lines: str) -> str:
    return VALID.replace("watcher:", "".join(f"  {line}\n" for line in lines) + "watcher:")


def route(folder: Path, text: str, *, env: Mapping[str, str] = {}) -> Route:
    return loaded(folder, text, env=env).endpoints[-1].route


# --- tls --------------------------------------------------------------------------------------------------


def test_the_files_of_tls_count_from_the_settings_file_and_are_watched(tmp_path: Path, pems: Path) -> None:
    text = with_keys("tls: {ca: pems/ca.pem, cert: ./pems/ours.pem, key: pems/ours.key}")

    settings = loaded(tmp_path, text)

    tls = settings.endpoints[0].route.tls
    files = (str(pems / "ca.pem"), str(pems / "ours.pem"), str(pems / "ours.key"))
    assert (tls.ca, tls.cert, tls.key) == tls.files == files
    assert settings.files == (tmp_path / "webhooks.yaml", *(Path(file) for file in files))


def test_the_key_may_be_in_the_certificates_file(tmp_path: Path, pems: Path) -> None:
    tls = route(tmp_path, with_keys("tls: {cert: pems/ours-both.pem}")).tls

    assert tls.files == (str(pems / "ours-both.pem"),)


def test_other_contents_in_the_same_files_are_another_route(tmp_path: Path, pems: Path) -> None:
    text = with_keys("tls: {cert: pems/ours-both.pem}")
    before, again = route(tmp_path, text), route(tmp_path, text)

    (pems / "ours-both.pem").write_bytes((pems / "other-both.pem").read_bytes())

    assert before == again
    assert route(tmp_path, text) != before


def test_an_endpoint_adds_to_the_tls_of_the_top_and_never_mixes_a_pair(tmp_path: Path, pems: Path) -> None:
    text = with_keys(
        "tls: {ca: pems/ca.pem, cert: pems/ours.pem, key: pems/ours.key}",
        "endpoints:",
        "  - {name: crm, url: https://crm.example/, tls: {cert: pems/other-both.pem}}",
    )

    tls = route(tmp_path, text).tls

    assert (tls.ca, tls.cert, tls.key) == (str(pems / "ca.pem"), str(pems / "other-both.pem"), None)


@pytest.mark.parametrize(
    ("tls", "at", "what"),
    [
        ("ca: pems/ours.key", "ca", "no certificate in PEM form in it"),
        ("ca: pems/ours.der", "ca", "no certificate in PEM form in it"),
        ("ca: pems/broken.pem", "ca", "its certificates cannot be used ("),
        ("cert: pems/ours.der, key: pems/ours.key", "cert", "no certificate in PEM form in it"),
        ("cert: pems/ours.pem", "cert", "no private key in it, and no `key:` beside it"),
        ("cert: pems/ours.pem, key: pems/ours.pem", "key", "no private key in PEM form in it"),
        ("cert: pems/ours.pem, key: pems/other.key", "key", "the private key is not the certificate's"),
        ("cert: pems/ours.pem, key: pems/locked.key", "key", "the private key is encrypted"),
        ("cert: pems/broken.pem, key: pems/ours.key", "key", "certificate and key cannot be used ("),
        ("key: pems/ours.key", "key", "a key without a certificate"),
        ("ca: pems", "ca", "this is a folder"),
        ("ca: pems/none.pem", "ca", "no such file"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_cure(
    tmp_path: Path, pems: Path, tls: str, at: str, what: str
) -> None:
    (problem,) = refused(tmp_path, with_keys(f"tls: {{{tls}}}"))

    assert problem.where == f"webhooks.yaml:4: webhooks.tls.{at}"
    assert problem.what.startswith(what)
    assert problem.cure


def test_what_many_endpoints_inherit_is_told_once(tmp_path: Path, pems: Path) -> None:
    text = with_keys(
        "tls: {ca: pems/none.pem}",
        "endpoints:",
        "  - {name: crm, url: https://crm.example/}",
        "  - {name: own, url: https://own.example/, tls: {key: pems/ours.key}}",
    )

    assert told(refused(tmp_path, text)) == [("webhooks.yaml:4: webhooks.tls.ca", "no such file")]


def test_a_command_that_sends_nothing_reads_no_file_and_no_proxy(tmp_path: Path) -> None:
    text = with_keys("tls: {ca: none.pem}", "proxy: http://${PROXY_USER}@proxy.example", "denyPrivate: true")

    settings = loaded(tmp_path, text, env={"HTTPS_PROXY": "socks5://no"}, need_endpoints=False)

    assert settings.endpoints[0].route == Route()


# --- proxies ----------------------------------------------------------------------------------------------


def test_a_proxys_user_and_password_are_decoded_and_never_printed(tmp_path: Path) -> None:
    found = route(tmp_path, with_keys("proxy: http://me:Pl4n%40ted@proxy.example:3128"))

    assert found.proxy == Proxy(url="http://proxy.example:3128", user="me", password="Pl4n@ted")
    assert "Pl4n" not in repr(found)
    assert "proxy.example" not in repr(found)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_the_environment_names_the_proxy_of_everybody(tmp_path: Path, name: str) -> None:
    env = {name: "http://proxy.example:3128", "HTTP_PROXY": "http://plain.example:3128"}

    assert route(tmp_path, VALID, env=env).proxy == Proxy(url="http://proxy.example:3128")


def test_plain_http_has_a_variable_of_its_own(tmp_path: Path) -> None:
    text = with_keys("allowHttp: true").replace("https://receiver", "http://receiver")
    env = {"HTTPS_PROXY": "http://proxy.example:3128", "HTTP_PROXY": "plain.example:3128"}

    assert route(tmp_path, text, env=env).proxy == Proxy(url="http://plain.example:3128")


def test_small_letters_go_before_large_ones(tmp_path: Path) -> None:
    env = {"HTTPS_PROXY": "http://large.example:1", "https_proxy": "http://small.example:1"}

    assert route(tmp_path, VALID, env=env).proxy == Proxy(url="http://small.example:1")


def test_a_proxy_of_ones_own_goes_before_the_environments(tmp_path: Path) -> None:
    env = {"HTTPS_PROXY": "http://env.example:1"}

    own = route(tmp_path, with_keys("proxy: http://own.example:1"), env=env)
    none = route(tmp_path, with_keys("proxy: none"), env=env)

    assert own.proxy == Proxy(url="http://own.example:1")
    assert none.proxy is None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9", "127.3.2.1", "[::1]:9"])
def test_a_receiver_on_this_machine_never_goes_through_the_environments_proxy(
    tmp_path: Path, host: str
) -> None:
    env = {"HTTPS_PROXY": "http://proxy.example:1", "HTTP_PROXY": "http://proxy.example:1"}

    for scheme in ("http", "https"):
        text = VALID.replace("https://receiver.example", f"{scheme}://{host}")
        assert route(tmp_path, text, env=env).proxy is None


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "exempt"),
    [
        ("*", "a.example", 443, True),
        ("a.example", "a.example", 443, True),
        ("a.example", "b.a.example", 443, True),
        ("a.example", "ba.example", 443, False),
        (".a.example", "b.a.example", 443, True),
        ("*.a.example", "b.a.example", 443, True),
        ("A.Example", "a.EXAMPLE", 443, True),
        ("b.example, a.example", "a.example", 443, True),
        ("b.example a.example", "a.example.", 443, True),
        ("a.example:8443", "a.example", 443, False),
        ("a.example:8443", "a.example", 8443, True),
        ("10.1.2.3", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.0.0.0/8", "a.example", 443, False),
        ("fd00::/8", "fd00::1", 443, True),
        ("[fd00::1]", "fd00::1", 443, True),
        ("[fd00::1]:443", "fd00::1", 443, True),
        ("", "a.example", 443, False),
        (",. ,", "a.example", 443, False),
    ],
)
def test_no_proxy_excepts_names_and_networks(no_proxy: str, host: str, port: int, exempt: bool) -> None:
    assert is_exempt(host, port, no_proxy) is exempt


def test_no_proxy_is_asked(tmp_path: Path) -> None:
    env = {"HTTPS_PROXY": "http://proxy.example:1", "NO_PROXY": "internal,receiver.example"}

    assert route(tmp_path, VALID, env=env).proxy is None


def test_a_wrong_variable_is_told_once_and_only_where_it_is_used(tmp_path: Path) -> None:
    text = with_keys("endpoints:", "  - {name: crm, url: https://crm.example/}")

    problems = refused(tmp_path, text, env={"https_proxy": "socks5://me:Pl4nted@proxy.example"})
    unused = route(tmp_path, with_keys("proxy: none"), env={"https_proxy": "socks5://proxy.example"})

    assert told(problems) == [("https_proxy", WRONG)]
    assert "`proxy: none`" in problems[0].cure
    assert "Pl4nted" not in str(problems)
    assert unused == Route()


# --- together ---------------------------------------------------------------------------------------------


def test_private_addresses_can_be_refused(tmp_path: Path) -> None:
    assert route(tmp_path, with_keys("denyPrivate: true")) == Route(tls=Tls(), deny_private=True)


def test_a_proxy_and_the_refusal_of_private_addresses_do_not_go_together(tmp_path: Path) -> None:
    text = with_keys(
        "denyPrivate: true",
        "endpoints:",
        "  - {name: a, url: https://a.example/, proxy: http://proxy.example:1}",
        "  - {name: b, url: https://b.example/, proxy: none}",
        "  - {name: c, url: https://c.example/, denyPrivate: false, proxy: http://proxy.example:1}",
    ).replace("  url: https://receiver.example/hook\n", "")

    problems = refused(tmp_path, text)

    what = "cannot be kept: the proxy (`proxy:`) looks the name up and connects, not we"
    assert told(problems) == [("webhooks.yaml:3: webhooks.denyPrivate", what)]


def test_the_environments_proxy_does_not_go_with_it_either(tmp_path: Path) -> None:
    text = with_keys("denyPrivate: true", "endpoints:", "  - {name: crm, url: https://crm.example/}")

    (problem,) = refused(tmp_path, text, env={"HTTPS_PROXY": "http://proxy.example:1"})

    assert problem.what.startswith("cannot be kept: the proxy (HTTPS_PROXY)")
    assert "`proxy: none`" in problem.cure
