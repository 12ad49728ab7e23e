from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.content.addresses import is_public, is_public_text


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001:0:7f00:1::",
        "2001::f5ff:fffe",
    ],
)
def test_an_address_that_leads_to_a_private_place_is_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize(
    "text", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"]
)
def test_a_public_address_stays_public_in_every_wrapping(text: str) -> None:
    assert is_public(ip_address(text))


def test_an_address_with_a_zone_is_never_public() -> None:
    assert not is_public_text("2606:4700:4700::1111%eth0")


@given(st.ip_addresses(v=4))
def test_wrapping_never_changes_the_verdict_on_an_ipv4_address(inner: IPv4Address) -> None:
    wrapped = [
        IPv6Address(f"::ffff:{inner}"),
        IPv6Address(int(IPv6Address("64:ff9b::")) | int(inner)),
        IPv6Address(int(IPv6Address("2002::")) | int(inner) << 80),
    ]

    assert [is_public(address) for address in wrapped] == [is_public(inner)] * 3
