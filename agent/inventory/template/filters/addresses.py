"""``ipaddr`` and its relatives as in the collection ansible.utils. They return false for a value that is no address or
not of the kind asked for, and leave it out of a list."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from ipaddress import (
    IPv4Interface,
    IPv4Network,
    IPv6Interface,
    IPv6Network,
    collapse_addresses,
    ip_interface,
    ip_network,
)
from typing import Any, Final

from agent.inventory.template.filters.refusal import refuse

_Interface = IPv4Interface | IPv6Interface

_MAC: Final = re.compile(r"[0-9a-f]{12}")


def _read(value: object) -> _Interface | None:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    try:
        return ip_interface(int(value) if isinstance(value, str) and value.isdigit() else value)
    except ValueError:
        return None


def _size(of: _Interface) -> int:
    return of.network.num_addresses


def _is_network(of: _Interface) -> bool:
    return _size(of) > 1 and of.ip == of.network.network_address


def _is_host(of: _Interface) -> bool:
    """True unless the address is the network's own. In a network of two both are of hosts (RFC 3021)."""
    return not _is_network(of) or _size(of) == 2


def _usable(of: _Interface) -> tuple[int, int]:
    """The first and the last address that a host may have."""
    first = int(of.network.network_address)
    return (first, first + 1) if _size(of) == 2 else (first + 1, first + _size(of) - 2)


def _address(of: _Interface, number: int) -> str:
    return str(type(of.ip)(number))


def _host(of: _Interface) -> str | None:
    return f"{of.ip}/{of.network.prefixlen}" if _is_host(of) else None


def _if(fits: bool, value: object) -> object:
    return value if fits else None


_QUERIES: Final[Mapping[str, Callable[[_Interface], object]]] = {
    **dict.fromkeys(("address", "ip"), lambda of: _if(_is_host(of) or of.version == 6, str(of.ip))),
    "bool": lambda _: True,
    "broadcast": lambda of: _if(_size(of) > 2, str(of.network.broadcast_address)),
    "cidr": str,
    "first_usable": lambda of: _address(of, _usable(of)[0]) if _size(of) > 1 else None,
    **dict.fromkeys(("gateway", "host/prefix"), lambda of: _host(of) or False),
    "host": _host,
    **dict.fromkeys(("hostmask", "wildcard"), lambda of: str(of.network.hostmask)),
    "int": lambda of: int(of.ip) if _size(of) == 1 else f"{int(of.ip)}/{of.network.prefixlen}",
    "last_usable": lambda of: _address(of, _usable(of)[1]) if _size(of) > 1 else None,
    "netmask": lambda of: str(of.network.netmask),
    **dict.fromkeys(("network", "network_id"), lambda of: str(of.network.network_address)),
    **dict.fromkeys(("network/prefix", "subnet"), lambda of: str(of.network)),
    "network_netmask": lambda of: f"{of.network.network_address} {of.network.netmask}",
    "prefix": lambda of: of.network.prefixlen,
    "range_usable": lambda of: "-".join(_address(of, each) for each in _usable(of)) if _size(of) > 1 else None,
    "revdns": lambda of: f"{of.ip.reverse_pointer}.",
    "size": _size,
    "type": lambda of: "network" if _is_network(of) else "address",
    "version": lambda of: of.version,
}
"""Queries about an address or a network, by name; their result is None where they do not fit."""

_KINDS: Final[Mapping[str, Callable[[_Interface], bool]]] = {
    "link-local": lambda of: of.ip.is_link_local,
    "loopback": lambda of: of.ip.is_loopback,
    "multicast": lambda of: of.ip.is_multicast,
    "net": _is_network,
    "private": lambda of: of.ip.is_private,
    "public": lambda of: of.ip.is_global and not of.ip.is_multicast,
    "unicast": lambda of: not of.ip.is_multicast,
}
"""Kinds of addresses and networks, by name; ``ipaddr`` returns a value that is of the kind."""


def ipaddr(value: Any, query: str | int = "", version: int | None = None) -> Any:
    if isinstance(value, (list, tuple)):
        return [found for item in value if (found := ipaddr(item, query, version))]
    of = _read(value)
    if of is None or (version is not None and of.version != version):
        return False
    given = str(of) if "/" in str(value) else str(of.ip)
    if isinstance(query, int) or re.fullmatch(r"-?\d+", query):
        nth = _nth(of, int(query))
        return given if _size(of) == 1 else nth and f"{nth}/{of.network.prefixlen}"
    if query in _QUERIES:
        return _QUERIES[query](of)
    within = None if query == "" or query in _KINDS else _read(query)
    if query and query not in _KINDS and within is None:
        refuse(f'ipaddr: "{query}" is none of {", ".join(sorted({*_QUERIES, *_KINDS}))}, and no network')
    inside = within is None or (of.version == within.version and of.network.subnet_of(within.network))  # type: ignore[arg-type]
    fits = _KINDS[query](of) if query in _KINDS else inside
    return _if(fits, given)


def ipv4(value: Any, query: str | int = "") -> Any:
    return ipaddr(value, query, 4)


def ipv6(value: Any, query: str | int = "") -> Any:
    return ipaddr(value, query, 6)


def _nth(of: _Interface, number: int) -> str | bool:
    """The address at ``number`` of a network, from its end where that is negative; false where there is none."""
    place = number if number >= 0 else number + _size(of)
    return 0 <= place < _size(of) and _address(of, int(of.network.network_address) + place)


def ipwrap(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [ipwrap(item) for item in value]
    of = _read(value)
    if of is None or of.version == 4:
        return value
    return f"[{of.ip}]" + (f"/{of.network.prefixlen}" if _size(of) > 1 else "")


def nthhost(value: Any, number: int = 0) -> Any:
    of = _read(value)
    return of is not None and _nth(of, number)


def ipmath(value: Any, amount: int) -> Any:
    of = _read(value)
    if of is None:
        refuse(f'ipmath: "{value}" is no address')
    return _address(of, int(of.ip) + amount)


def cidr_merge(value: list[Any], action: str = "merge") -> list[str]:
    if action != "merge":
        refuse(f'cidr_merge: "{action}" is not there; merge is')
    networks = [ip_network(str(item), strict=False) for item in value]
    four = collapse_addresses(each for each in networks if isinstance(each, IPv4Network))
    six = collapse_addresses(each for each in networks if isinstance(each, IPv6Network))
    return [str(each) for each in (*four, *six)]


_HWADDR: Final[Mapping[str, Callable[[str], object]]] = {
    "bare": str.upper,
    "bool": lambda _: True,
    "cisco": lambda digits: ".".join(_cut(digits, 4)),
    **dict.fromkeys(("eui48", "win"), lambda digits: "-".join(_cut(digits, 2)).upper()),
    "int": lambda digits: int(digits, 16),
    **dict.fromkeys(("linux", "unix"), lambda digits: ":".join(_cut(digits, 2))),
    **dict.fromkeys(("pgsql", "postgresql", "psql"), lambda digits: ":".join(_cut(digits, 6))),
}


def _cut(digits: str, size: int) -> list[str]:
    return [digits[place : place + size] for place in range(0, len(digits), size)]


def hwaddr(value: Any, query: str = "") -> Any:
    digits = re.sub(r"[.:-]", "", str(value).lower())
    if not _MAC.fullmatch(digits):
        if query not in ("", "bool"):
            refuse(f'hwaddr: "{value}" is no hardware address')
        return None
    if query and query not in _HWADDR:
        refuse(f'hwaddr: "{query}" is none of {", ".join(sorted(_HWADDR))}')
    return _HWADDR[query](digits) if query else value
