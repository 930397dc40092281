"""What is sealed opens with its key and under its name, and with nothing else."""

from __future__ import annotations

import pytest

from watcher.adapters.sealing import AesSealing
from watcher.core.endpoints import Secret
from watcher.errors import Unsealable

OLD, NEW = Secret(key=b"old" * 12), Secret(key=b"new" * 12)
TEXT = '{"secret":"whsec_x","url":"https://crm.example/ö"}'


def test_what_is_sealed_opens_under_its_name_however_it_is_spelled():
    sealing = AesSealing([OLD])

    sealed = sealing.seal(TEXT, name="Crm")

    assert sealing.opened(sealed, name="crm") == TEXT
    assert b"whsec" not in sealed
    assert sealing.seal(TEXT, name="Crm") != sealed, "never twice the same"


def test_all_keys_open_and_the_first_one_seals():
    sealed = AesSealing([OLD]).seal(TEXT, name="crm")
    both = AesSealing([NEW, OLD])

    assert both.opened(sealed, name="crm") == TEXT
    assert not both.is_current(sealed)
    assert both.is_current(both.seal(TEXT, name="crm"))
    assert AesSealing([NEW]).opened(both.seal(TEXT, name="crm"), name="crm") == TEXT


def test_another_key_another_name_and_a_changed_byte_open_nothing():
    sealing = AesSealing([OLD])
    sealed = sealing.seal(TEXT, name="crm")

    with pytest.raises(Unsealable, match="another key"):
        AesSealing([NEW]).opened(sealed, name="crm")
    with pytest.raises(Unsealable, match="changed"):
        sealing.opened(sealed, name="audit")
    for place in range(5, len(sealed)):
        with pytest.raises(Unsealable):
            sealing.opened(sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :], name="crm")
    for short in (b"", b"\x01", sealed[:5], sealed[:17]):
        with pytest.raises(Unsealable):
            sealing.opened(short, name="crm")
