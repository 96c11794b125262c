"""Networks inside networks: which of a set hold a given one, found by one look-up per prefix length that occurs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tcmicro_agent.policy.model import Network

NetworkOrder = tuple[int, int, int]


def order_of(network: Network) -> NetworkOrder:
    """Sorts networks: IPv4 first, then by address, wider ones first."""
    return network.version, int(network.network_address), network.prefixlen


class Nesting:
    """A set of networks."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = sorted(set(networks), key=order_of)
        self._levels: dict[tuple[int, int], dict[int, Network]] = {}
        for network in self._networks:
            level = self._levels.setdefault((network.version, network.prefixlen), {})
            level[_bits(network, network.prefixlen)] = network
        self._widest_first = sorted(self._levels.items())

    def __iter__(self) -> Iterator[Network]:
        return iter(self._networks)

    def around(self, network: Network) -> tuple[Network, ...]:
        """Those that hold all of `network`, itself included; widest first."""
        return tuple(
            level[_bits(network, length)]
            for (version, length), level in self._widest_first
            if version == network.version and length <= network.prefixlen
            if _bits(network, length) in level
        )


def _bits(network: Network, length: int) -> int:
    return int(network.network_address) >> (network.max_prefixlen - length)
