"""Addresses: text and `ipaddress` objects to the engine's 16 bytes and back.

The engine writes every address as IPv6; IPv4 is ::ffff:a.b.c.d. What users see is the plain form.
"""

from functools import lru_cache
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    NetmaskValueError,
    ip_address,
    ip_interface,
)
from socket import AF_INET, AF_INET6, AddressFamily, inet_ntop
from typing import TypeAlias

IPAddress: TypeAlias = IPv4Address | IPv6Address
IPInterface: TypeAlias = IPv4Interface | IPv6Interface
SockAddr: TypeAlias = tuple[str, int]

ANY = bytes(16)
_V4_PREFIX = bytes(10) + b"\xff\xff"
ANY_V4 = _V4_PREFIX + bytes(4)


def pack(address: IPAddress) -> bytes:
    """The engine's 16 bytes."""
    if isinstance(address, IPv4Address):
        return _V4_PREFIX + address.packed
    return address.packed


def family_of(packed: bytes) -> AddressFamily:
    return AF_INET if packed.startswith(_V4_PREFIX) else AF_INET6


def is_loopback(packed: bytes) -> bool:
    """Of the machine's own kernel: 127.0.0.0/8, ::1."""
    address = IPv6Address(packed)
    mapped = address.ipv4_mapped
    return mapped.is_loopback if mapped is not None else address.is_loopback


@lru_cache(maxsize=1024)
def text_of(packed: bytes) -> str:
    """The usual text; IPv4 as IPv4."""
    if packed.startswith(_V4_PREFIX):
        return inet_ntop(AF_INET, packed[12:])
    return inet_ntop(AF_INET6, packed)


@lru_cache(maxsize=1024)
def pack_text(text: str) -> bytes | None:
    """The bytes of a numeric host, without its zone (a stack has one link); None for a name."""
    try:
        return pack(ip_address(text.partition("%")[0] if ":" in text else text))
    except ValueError:
        return None


def parse_address(value: object, what: str) -> IPAddress:
    """An address from text or an `ipaddress` object; `ValueError` names `what` and the value."""
    if isinstance(value, IPv4Interface | IPv6Interface):
        return value.ip
    if isinstance(value, IPv4Address | IPv6Address):
        return value
    try:
        return ip_address(str(value))
    except (AddressValueError, ValueError):
        raise ValueError(
            f"{what}: {value!r} is not an IP address (like '10.7.0.1' or 'fd07::1')"
        ) from None


def parse_interface(value: object) -> IPInterface:
    """One of a stack's own addresses, with its prefix length: '10.7.0.2/24', 'fd07::2/64'."""
    if isinstance(value, IPv4Interface | IPv6Interface):
        interface = value
    else:
        text = str(value)
        try:
            interface = ip_interface(text)
        except (AddressValueError, NetmaskValueError, ValueError) as exc:
            raise ValueError(
                f"addresses: {text!r} is not an address with a prefix length "
                f"(like '10.7.0.2/24' or 'fd07::2/64'): {exc}"
            ) from None
        if "/" not in text:
            full = interface.ip.max_prefixlen
            raise ValueError(
                f"addresses: {text!r} has no prefix length: write '{text}/24' and the like for the "
                f"network on the link, or '{text}/{full}' for an address of its own"
            )
    if interface.ip.is_multicast or interface.ip.is_unspecified:
        raise ValueError(f"addresses: {interface} cannot be the address of a station")
    return interface
