"""Names of hosts, as resolvers answer them: nothing outside the network is ever asked."""

from __future__ import annotations

import socket
from socket import AF_INET, AF_INET6, AF_UNSPEC
from typing import TYPE_CHECKING, Any

from usertcp._address import pack_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from usertcp._address import IPAddress, IPInterface

_FAMILIES = {4: AF_INET, 6: AF_INET6}


def _key(name: str | bytes) -> str:
    text = name.decode("ascii", "replace") if isinstance(name, bytes) else name
    return text.rstrip(".").lower()


class Names:
    """Name -> addresses, in the order the host has them."""

    def __init__(self) -> None:
        self._hosts: dict[str, list[IPAddress]] = {}
        self._names: dict[IPAddress, str] = {}

    def add(self, addresses: Sequence[IPInterface], *names: str) -> None:
        for name in names:
            if _key(name) in self._hosts:
                raise ValueError(f"name {name!r}: another host has it")
        found = [interface.ip for interface in addresses]
        for address in found:
            if address in self._names:
                raise ValueError(f"address {address}: {self._names[address]} has it")
        for name in names:
            self._hosts[_key(name)] = found
        for address in found:
            self._names[address] = names[0]

    def resolve(self, name: str | bytes) -> list[IPAddress]:
        try:
            return list(self._hosts[_key(name)])
        except KeyError:
            known = ", ".join(self._hosts) or "none"
            text = name.decode("ascii", "replace") if isinstance(name, bytes) else name
            raise socket.gaierror(
                socket.EAI_NONAME,
                f"no host of the test network is called {text!r} (known: {known})",
            ) from None

    def getaddrinfo(  # the parameters of socket.getaddrinfo
        self,
        host: str | bytes | None,
        port: Any,
        family: int = AF_UNSPEC,
        type: int = 0,  # noqa: A002
        *rest: int,
    ) -> list[Any]:
        proto, flags = (*rest, 0, 0)[:2]
        if not host or _key(host) == "localhost" or pack_text(_key(host)) is not None:
            return socket.getaddrinfo(host, port, family, type, proto, flags)
        found: list[Any] = []
        for address in self.resolve(host):
            its = _FAMILIES[address.version]
            if family in (AF_UNSPEC, its):
                numeric = flags & ~(socket.AI_CANONNAME | socket.AI_ADDRCONFIG | socket.AI_V4MAPPED)
                found += socket.getaddrinfo(str(address), port, its, type, proto, numeric)
        if not found:
            raise socket.gaierror(socket.EAI_ADDRFAMILY, f"{host!r} has no address of that family")
        return found

    def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        host, service = socket.getnameinfo(sockaddr, flags | socket.NI_NUMERICHOST)
        if flags & socket.NI_NUMERICHOST:
            return host, service
        named = {str(address): name for address, name in self._names.items()}
        return named.get(host, host), service
