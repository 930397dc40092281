"""Diagnoses: each cure is about what is wrong."""

from __future__ import annotations

import socket
import ssl
from itertools import combinations

import pytest

from watcher.adapters.http.faults import PrivateAddress, fault, files_fault, proxy_fault
from watcher.diagnosis import cure_of

REASONS = {
    "denied": fault(PrivateAddress()),
    "dns": fault(socket.gaierror(socket.EAI_NONAME, "")),
    "refused": fault(ConnectionRefusedError(111, "")),
    "files": files_fault(FileNotFoundError(2, "No such file")),
    "proxy": proxy_fault(ConnectionRefusedError(111, "")),
    "timeout": "timeout: no connection after 5 s",
    "client certificate": "tls: the receiver wants a client certificate (`tls: {cert, key}`)",
    "authority": "tls: the certificate is not from a trusted authority (self-signed certificate)",
    "no tls": "tls: the port does not speak TLS (WRONG_VERSION_NUMBER)",
    "expired": "tls: the certificate has expired",
}


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("denied", "denyPrivate: false"),
        ("dns", "host"),
        ("refused", "or start it"),
        ("files", "files"),
        ("proxy", "HTTPS_PROXY"),
        ("timeout", "firewalls"),
        ("client certificate", "tls: {cert: …, key: …}"),
        ("authority", "tls: {ca: …}"),
        ("no tls", "allowHttp"),
        ("expired", "certificate"),
    ],
)
def test_who_cannot_be_reached_gets_a_cure_of_its_kind(kind: str, word: str) -> None:
    assert word in cure_of(REASONS[kind])


def test_each_kind_has_a_cure_of_its_own() -> None:
    pairs = combinations(REASONS, 2)
    same = [(one, other) for one, other in pairs if cure_of(REASONS[one]) == cure_of(REASONS[other])]

    assert same == []


def test_what_openssl_says_of_an_unknown_authority_is_known() -> None:
    error = ssl.SSLCertVerificationError("")
    error.verify_code, error.verify_message = 18, "self-signed certificate"

    assert fault(error) == REASONS["authority"]
