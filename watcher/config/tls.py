"""The files that `tls:` names: there, readable, in PEM form, and belonging together, or told.

They are read again by whoever connects; here only a print of what is in them is kept."""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath

from watcher.config.report import Report
from watcher.config.yaml_positions import Path
from watcher.core.routes import Tls

CERTIFICATE = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----")
KEY = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----")

TO_PEM = "convert it, for example: openssl x509 -inform der -in FILE -out FILE.pem"
TOGETHER = "name the two files that belong together"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file that `tls:` names, and where in the settings."""

    path: Path
    file: FilePath


def tls_of(parts: Mapping[str, Part], report: Report) -> Tls:
    """The finished value of `ca`, `cert` and `key`. What is wrong is told once, where it was written."""
    if not all(report.sound(part.path) for part in parts.values()):
        return Tls()
    contents = {name: _content(part, report) for name, part in parts.items()}
    if None not in contents.values():
        for part, what, cure in _problems(parts, {name: found or b"" for name, found in contents.items()}):
            _tell(part, what, cure, report)
    return Tls(
        **{name: str(part.file) for name, part in parts.items()},
        print=_print([contents.get(name) for name in ("ca", "cert", "key")]) if parts else "",
    )


def _content(part: Part, report: Report) -> bytes | None:
    try:
        return part.file.read_bytes()
    except FileNotFoundError:
        _tell(part, "no such file", "correct the path; it counts from the settings' file", report)
    except IsADirectoryError:
        _tell(part, "this is a folder", "name the file in it", report)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a file's name"
        _tell(part, f"cannot be read: {why}", "let the user that runs the watcher read it", report)
    return None


def _problems(parts: Mapping[str, Part], contents: Mapping[str, bytes]) -> Iterator[tuple[Part, str, str]]:
    ca, cert, key = parts.get("ca"), parts.get("cert"), parts.get("key")
    if ca is not None:
        if not CERTIFICATE.search(contents["ca"]):
            yield ca, "no certificate in PEM form in it", TO_PEM
        elif why := _unfit_authorities(ca.file):
            yield ca, f"its certificates cannot be used ({why})", "see `openssl x509 -noout -text -in FILE`"

    if cert is None:
        if key is not None:
            yield key, "a key without a certificate", "write `cert:` too, with the certificate's file"
    elif not CERTIFICATE.search(contents["cert"]):
        yield cert, "no certificate in PEM form in it", TO_PEM
    elif key is None and not KEY.search(contents["cert"]):
        yield cert, "no private key in it, and no `key:` beside it", "write `key:` with the key's file"
    elif key is not None and not KEY.search(contents["key"]):
        yield key, "no private key in PEM form in it", "name the file with the certificate's private key"
    elif unfit := _unfit_pair(cert.file, key.file if key else None):
        yield (key or cert), *unfit


def _unfit_authorities(file: FilePath) -> str | None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except OSError as error:
        return _reason(error)
    return None


def _unfit_pair(cert: FilePath, key: FilePath | None) -> tuple[str, str] | None:
    asked = False

    def password() -> str:
        nonlocal asked
        asked = True
        return ""

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, password=password)
    except OSError as error:
        if asked:
            cure = (
                "store it without a password, readable for the watcher only: openssl pkey -in FILE -out PLAIN"
            )
            return "the private key is encrypted", cure
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            return "the private key is not the certificate's", TOGETHER
        return f"certificate and key cannot be used ({_reason(error)})", TOGETHER
    return None


def _reason(error: OSError) -> str:
    """OpenSSL's word, or the system's. Neither quotes what is in the file."""
    return (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or type(error).__name__


def _print(contents: list[bytes | None]) -> str:
    digests = (hashlib.blake2b(content or b"", digest_size=16).digest() for content in contents)
    return hashlib.blake2b(b"".join(digests), digest_size=16).hexdigest()


def _tell(part: Part, what: str, cure: str, report: Report) -> None:
    report.add(part.path, what, cure)
    report.spoil(part.path)
