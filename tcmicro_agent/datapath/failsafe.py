"""The failsafe in the kernel: its keys, and what of them a packet has to be searched for."""

from __future__ import annotations

from tcmicro_agent import abi
from tcmicro_agent.datapath.libbpf import Map

ZERO = abi.U32.pack(0)


def replace(keys: Map, none_of: Map, wanted: frozenset[bytes]) -> tuple[int, int]:
    """Makes the failsafe what is wanted; how many keys came and went. What stays is not touched.

    `none_of` tells the programs which packets need no search: widened before keys come, narrowed after keys went.
    """
    actual = frozenset(keys)
    _search_for(none_of, wanted | actual)
    for key in sorted(wanted - actual):
        keys.put(key, abi.U32.pack(1))
    for key in sorted(actual - wanted):
        keys.delete(key)
    _narrow(keys, none_of)
    return len(wanted - actual), len(actual - wanted)


def _narrow(keys: Map, none_of: Map) -> None:
    """Searched for what it holds. Others may write meanwhile: what is told last includes what they added."""
    told = None
    while (present := frozenset(keys)) != told:
        _search_for(none_of, present)
        told = present


def _search_for(none_of: Map, keys: frozenset[bytes]) -> None:
    content = abi.no_failsafe(keys)
    if none_of.get(ZERO) != content:
        none_of.put(ZERO, content)
