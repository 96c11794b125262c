"""Random firewalls as text for an importer, and what they do by their own words: the first match decides."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from random import Random

NETS = ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "192.0.2.0/24", "0.0.0.0/0")
ADDRESSES = ("10.1.2.3", "10.1.2.4", "10.1.9.9", "10.9.9.9", "192.0.2.1", "203.0.113.9")
RANGES = ((22, 22), (20, 30), (80, 80), (1, 1023), (1024, 65535), (79, 443))
PORTS = (22, 25, 80, 443, 1023, 1024, 8080)
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1}


@dataclass
class Rule:
    verdict: str  # accept, drop, return, or the name of a chain
    protocol: str = ""
    ports: tuple[int, int] | None = None
    net: str = ""
    negated: bool = False  # of net
    state: str = ""
    limited: bool = False  # taken as: always within the limit

    def matches(self, peer: str, protocol: str, port: int) -> bool:
        """A new flow."""
        if self.state and "new" not in self.state:
            return False
        if self.protocol and protocol != self.protocol:
            return False
        if self.ports and not self.ports[0] <= port <= self.ports[1]:
            return False
        return not self.net or (ip_address(peer) in ip_network(self.net)) != self.negated


@dataclass
class Firewall:
    policy: str
    chains: dict[str, list[Rule]] = field(default_factory=dict)

    def judge(self, peer: str, protocol: str, port: int) -> bool:
        """Whether a new flow to this host is accepted."""
        found = self._walk("INPUT", peer, protocol, port)
        return (found or self.policy) == "accept"

    def _walk(self, chain: str, peer: str, protocol: str, port: int) -> str:
        for rule in self.chains[chain]:
            if not rule.matches(peer, protocol, port):
                continue
            if rule.verdict in ("accept", "drop"):
                return rule.verdict
            if rule.verdict == "return":
                return ""
            found = self._walk(rule.verdict, peer, protocol, port)
            if found:
                return found
        return ""


def random_firewall(random: Random) -> Firewall:
    """Up to 14 rules, some of which call one of two chains."""
    made = Firewall(random.choice(("accept", "drop")))
    for chain, targets in (("LOW", ()), ("MIDDLE", ("LOW",)), ("INPUT", ("LOW", "MIDDLE"))):
        verdicts = ("accept", "drop", "accept", "drop", *targets)
        if chain != "INPUT":
            verdicts = (*verdicts, "return", "return")
        most = 14 if chain == "INPUT" else 3
        made.chains[chain] = [_rule(random, verdicts) for _ in range(random.randint(0, most))]
    return made


def _rule(random: Random, verdicts: tuple[str, ...]) -> Rule:
    verdict = random.choice(verdicts)
    if verdict == "return" and random.random() < 0.7:
        return Rule(verdict, net=random.choice(NETS))
    protocol = random.choice(("", "tcp", "tcp", "udp", "icmp"))
    with_ports = protocol in ("tcp", "udp") and random.random() < 0.8
    net = random.choice(("", *NETS))
    return Rule(
        verdict=verdict,
        protocol=protocol,
        ports=random.choice(RANGES) if with_ports else None,
        net=net,
        negated=net not in ("", "0.0.0.0/0") and random.random() < 0.2,
        state=random.choice(("", "", "", "new", "established,related")),
        limited=random.random() < 0.01,
    )


def as_iptables(firewall: Firewall) -> str:
    lines = ["*filter", f":INPUT {firewall.policy.upper()} [0:0]", ":OUTPUT ACCEPT [0:0]"]
    lines += [f":{chain} - [0:0]" for chain in firewall.chains if chain != "INPUT"]
    for chain, rules in firewall.chains.items():
        lines += [f"-A {chain} {_options(rule)}" for rule in rules]
    return "\n".join([*lines, "COMMIT"]) + "\n"


def _options(rule: Rule) -> str:
    words = []
    if rule.net:
        words.append(f"{'! ' if rule.negated else ''}-s {rule.net}")
    if rule.protocol:
        words.append(f"-p {rule.protocol}")
    if rule.ports:
        words.append(f"-m {rule.protocol} --dport {rule.ports[0]}:{rule.ports[1]}")
    if rule.state:
        words.append(f"-m conntrack --ctstate {rule.state.upper()}")
    if rule.limited:
        words.append("-m limit --limit 3/min")
    lower = rule.verdict in ("accept", "drop", "return")
    return " ".join([*words, "-j", rule.verdict.upper() if lower else rule.verdict])


def as_nftables(firewall: Firewall) -> str:
    objects = [{"table": {"family": "ip", "name": "filter"}}]
    for chain in firewall.chains:
        base = {"type": "filter", "hook": "input", "prio": 0, "policy": firewall.policy}
        extra = base if chain == "INPUT" else {}
        objects.append({"chain": {"family": "ip", "table": "filter", "name": chain, **extra}})
    number = 0
    for chain, rules in firewall.chains.items():
        for rule in rules:
            number += 1
            place = {"family": "ip", "table": "filter", "chain": chain, "handle": number}
            objects.append({"rule": {**place, "expr": _statements(rule)}})
    return json.dumps({"nftables": objects})


def _statements(rule: Rule) -> list[dict]:
    made: list[dict] = []
    if rule.net:
        made.append(
            _match(_payload("ip", "saddr"), _prefix(rule.net), "!=" if rule.negated else "==")
        )
    if rule.ports:
        made.append(_match(_payload(rule.protocol, "dport"), {"range": list(rule.ports)}))
    elif rule.protocol:
        made.append(_match({"meta": {"key": "l4proto"}}, rule.protocol))
    if rule.state:
        made.append(_match({"ct": {"key": "state"}}, rule.state.split(","), "in"))
    if rule.limited:
        made.append({"limit": {"rate": 3, "per": "minute"}})
    plain = rule.verdict in ("accept", "drop", "return")
    return [*made, {rule.verdict: None} if plain else {"jump": {"target": rule.verdict}}]


def _match(left: dict, right: object, op: str = "==") -> dict:
    return {"match": {"op": op, "left": left, "right": right}}


def _payload(protocol: str, name: str) -> dict:
    return {"payload": {"protocol": protocol, "field": name}}


def _prefix(net: str) -> object:
    address, length = net.split("/")
    return address if length == "32" else {"prefix": {"addr": address, "len": int(length)}}
