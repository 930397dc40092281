"""Addresses that lead into a network of our own, where a receiver of somebody else's choice has no business.

Law: when in doubt it is private. Only what the registries gave to the public internet passes; an IPv6 address
that carries an IPv4 one is judged by that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

PRIVATE = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # behind a carrier's NAT; Alibaba's metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's platform: a public number that answers inside its machines only
        "169.254.0.0/16",  # link-local; the metadata of most clouds (169.254.169.254)
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved; broadcast
    )
)

PUBLIC6 = IPv6Network("2000::/3")
"""All that was ever given to the public internet: loopback, local and multicast addresses are outside."""

PRIVATE6 = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments; Teredo is in it, and judged before
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)

MAPPED = IPv6Network("::ffff:0:0/96")
NAT64 = IPv6Network("64:ff9b::/96")
TEREDO = IPv6Network("2001::/32")
SIX_TO_FOUR = IPv6Network("2002::/16")


def is_private(host: str) -> bool:
    """Is this address private? True, too, for what is no address at all.

    >>> is_private("192.0.0.192"), is_private("8.8.8.8"), is_private("::ffff:127.0.0.1")
    (True, False, True)
    """
    try:
        address = ip_address(host)
    except ValueError:
        return True
    if isinstance(address, IPv4Address):
        return _is_private4(address)
    carried = list(_carried(address))
    if carried:
        return any(_is_private4(inner) for inner in carried)
    return address not in PUBLIC6 or any(address in block for block in PRIVATE6)


def _is_private4(address: IPv4Address) -> bool:
    return any(address in block for block in PRIVATE)


def _carried(address: IPv6Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses to which what is sent to this IPv6 address may go."""
    number = int(address)
    if address in MAPPED or address in NAT64:
        yield IPv4Address(number & 0xFFFFFFFF)
    elif address in SIX_TO_FOUR:
        yield IPv4Address(number >> 80 & 0xFFFFFFFF)
    elif address in TEREDO:
        yield IPv4Address(number >> 64 & 0xFFFFFFFF)  # the server
        yield IPv4Address(~number & 0xFFFFFFFF)  # the client, with its bits turned round


def display_url(url: str) -> str:
    """Where a URL leads, without what may be a secret: paths and queries of webhooks often are.

    >>> display_url("https://me:secret@hooks.example:8443/services/T0/B0/xyz?token=1")
    'https://hooks.example:8443/…'
    >>> display_url("http://127.0.0.1:9")
    'http://127.0.0.1:9'
    """
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    beyond = rest[len(authority) :] not in ("", "/")
    return f"{scheme}://{authority.rpartition('@')[2]}" + ("/…" if beyond else "")
