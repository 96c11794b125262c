"""The same policy in the words of the others: who may reach PORT, as rule sets of nftables and iptables. Pure.

Each lets established flows pass first, drops by default both ways, and has the peer that is measured last.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from tests.bench.policies import FIRST_PEER, PORT

TRACKED = "ct state established,related accept"


def peer_addresses(count: int) -> list[str]:
    first = IPv4Address(FIRST_PEER)
    return [str(first + number) for number in range(count)]


def nft_set(count: int) -> str:
    """One lookup in a set of `count` peers, and one more element: the last peer may also send UDP."""
    addresses = peer_addresses(count)
    elements = [f"{address} . tcp . {PORT}" for address in addresses]
    elements.append(f"{addresses[-1]} . udp . {PORT}")
    declared = f"set allowed {{\n{SET_TYPE}\nelements = {{ {', '.join(elements)} }}\n}}\n"
    return _nft(declared, "ip saddr . meta l4proto . th dport @allowed accept")


def nft_linear(count: int) -> str:
    """A rule for every peer."""
    addresses = peer_addresses(count)
    rules = [f"ip saddr {address} tcp dport {PORT} accept" for address in addresses]
    rules.append(f"ip saddr {addresses[-1]} udp dport {PORT} accept")
    return _nft("", "\n".join(rules))


SET_TYPE = "type ipv4_addr . inet_proto . inet_service"


def _nft(declared: str, accepted: str) -> str:
    chain = "chain {0} {{\ntype filter hook {0} priority 0; policy drop;\n{1}\n{2}\n}}\n"
    chains = chain.format("input", TRACKED, accepted) + chain.format("output", TRACKED, "")
    return f"table inet bench {{\n{declared}{chains}}}\n"


def iptables(count: int) -> str:
    """A rule for every peer, for iptables-restore."""
    tracked = "-m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"
    lines = ["*filter", ":INPUT DROP", ":FORWARD DROP", ":OUTPUT DROP"]
    lines += [f"-A INPUT {tracked}", f"-A OUTPUT {tracked}", *_iptables_rules(count), "COMMIT"]
    return "\n".join(lines) + "\n"


def _iptables_rules(count: int) -> Iterator[str]:
    addresses = peer_addresses(count)
    for address in addresses:
        yield f"-A INPUT -s {address}/32 -p tcp --dport {PORT} -j ACCEPT"
    yield f"-A INPUT -s {addresses[-1]}/32 -p udp --dport {PORT} -j ACCEPT"


def nft_replacement(count: int, port: int) -> str:
    """Puts `count` other elements into the set at once: `nft -f` makes a file live whole or not at all."""
    elements = ", ".join(f"{address} . tcp . {port}" for address in peer_addresses(count))
    return f"flush set inet bench allowed\nadd element inet bench allowed {{ {elements} }}\n"
