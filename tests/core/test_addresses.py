"""Which addresses lead into a network of our own."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watcher.core.addresses import is_private

PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "100::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "64:ff9b:1::1",
    "2001:db8::1",
    "2001:10::1",
    "2001:2::1",
    "3fff::1",
    "4000::1",
]
CARRIERS = ["::ffff:{}", "64:ff9b::{}"]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "168.63.129.15",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "223.255.255.255",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2606:4700::1111",
    "2a00:1450::1",
]
IPV4 = st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address)


@pytest.mark.parametrize("host", PRIVATE)
def test_a_private_address_is_told(host: str) -> None:
    assert is_private(host)


@pytest.mark.parametrize("host", PUBLIC)
def test_a_public_address_is_let_pass(host: str) -> None:
    assert not is_private(host)


@pytest.mark.parametrize(
    "host", ["", "localhost", "127.1", "2130706433", "0x7f000001", "8.8.8.8:80", "[::1]"]
)
def test_what_is_no_address_counts_as_private(host: str) -> None:
    assert is_private(host)


@given(inner=IPV4, other=IPV4)
def test_an_address_that_carries_another_is_judged_by_it(
    inner: ipaddress.IPv4Address, other: ipaddress.IPv4Address
) -> None:
    expected = is_private(str(inner))

    for carrier in CARRIERS:
        assert is_private(carrier.format(inner)) is expected
    six_to_four = ipaddress.IPv6Address((0x2002 << 112) | (int(inner) << 80) | 1)
    assert is_private(str(six_to_four)) is expected
    turned = int(other) ^ 0xFFFFFFFF
    teredo = ipaddress.IPv6Address((0x20010000 << 96) | (int(inner) << 64) | turned)
    assert is_private(str(teredo)) is (expected or is_private(str(other)))


@given(address=IPV4 | st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address))
def test_what_python_calls_private_is_never_let_pass(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if address.is_private or address.is_multicast or address.is_link_local or address.is_loopback:
        assert is_private(str(address))
