"""Networks as text in canonical notation, which is what `str(ip_network(text))` gives, and their bytes.

`ip_network` takes microseconds each and a bundle may name a hundred thousand hosts. So the patterns below know common
texts that it would give back as they are; every other text goes through it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_network
from itertools import repeat
from struct import iter_unpack

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_HOST4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}/32").fullmatch

# An IPv6 group without leading zeros; a zero may not stand beside another or beside `::`, and `::` stands for at
# least two, so it is the longest run. What newer Pythons write with dots (IPv4 inside IPv6) is left out.
_LEADING = r"[1-9a-f][0-9a-f]{0,3}"
_GROUP = rf"(?:0(?!:[0:])|{_LEADING})"
_SHORT6 = rf"(?:{_GROUP}(?::{_GROUP}){{0,3}})?::(?:{_LEADING}(?::{_GROUP})?)?"
_HOST6 = re.compile(rf"(?!::ffff:)(?:{_SHORT6}|{_GROUP}(?::{_GROUP}){{7}})/128").fullmatch

_OCTETS = {f"{number}{end}": number for number in range(256) for end in ("", "/32")}
_GROUPS = 8


def canonical(text: str) -> str:
    """The one way to write a network. Raises ValueError for what is none, or has host bits or a zone."""
    if _HOST4(text) or _HOST6(text):
        return text
    if "%" in text:
        raise ValueError(f"{text!r} has a zone, which peers do not see")
    return str(ip_network(text))


def all_canonical(texts: Iterable[str]) -> list[str]:
    """`canonical` of each."""
    return [text if _HOST4(text) else canonical(text) for text in texts]


def pack_hosts4(hosts: Iterable[str]) -> list[bytes]:
    """The addresses of canonical IPv4 hosts (`10.0.0.1/32`), 4 bytes each."""
    octets = ".".join(hosts).split(".")
    packed = bytes(map(_OCTETS.__getitem__, octets)) if octets != [""] else b""
    return [address for (address,) in iter_unpack("4s", packed)]


def pack_hosts6(hosts: Iterable[str]) -> list[bytes]:
    """The addresses of canonical IPv6 hosts (`fd00::1/128`), 16 bytes each."""
    return list(map(_pack_host6, hosts))


def _pack_host6(host: str) -> bytes:
    if "." in host:
        return ip_network(host).network_address.packed
    left, _, right = host[: -len("/128")].partition("::")
    before, after = left.split(":") if left else [], right.split(":") if right else []
    zeros = ["0"] * (_GROUPS - len(before) - len(after))
    return bytes.fromhex("".join(map(str.zfill, (*before, *zeros, *after), repeat(4))))
