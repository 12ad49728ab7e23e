"""Which network addresses belong to the public Internet, looked at through every way to wrap one in another."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_V4_COMPATIBLE = IPv6Network("::/96")  # RFC 4291, deprecated; Python calls it global
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # RFC 4291: nothing else is routed
_TRANSLATED = (_NAT64, _V4_COMPATIBLE)


def unwrapped(address: Address) -> tuple[Address, ...]:
    """The addresses a packet may end at: of v4-mapped, v4-compatible, NAT64, 6to4 and Teredo the IPv4 inside."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    if any(address in network for network in _TRANSLATED):
        return (IPv4Address(int(address) & 0xFFFF_FFFF),)
    return (address,)


def is_public(address: Address) -> bool:
    """Whether every address it can lead to is a public unicast one."""
    return all(_is_public(inner) for inner in unwrapped(address))


def is_public_text(text: str) -> bool:
    """`is_public` for what a resolver answers, which may carry a zone (`fe80::1%eth0`): those are never public."""
    return "%" not in text and is_public(ip_address(text))


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved
