"""A bundle means what its policies say: longest endpoint and first rule give the verdict of the selectors themselves.

The oracle below reads policies as plain data and knows no identities, endpoints or order of rules.
"""

from __future__ import annotations

import json
import re
from ipaddress import ip_address, ip_network

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tcmicro_agent.errors import PolicyError
from tcmicro_agent.policy.bundle import digest
from tcmicro_agent.policy.evaluate import NewFlow, evaluate
from tcmicro_agent.policy.inventory import parse_inventory
from tcmicro_agent.policy.model import Direction, Mode
from tcmicro_agent.policy.resolve import Resolver, resolve
from tcmicro_agent.policy.source import parse_policies

# Few of each, so that hosts are often twins and networks often nested.
GROUPS = ["a", "b"]
LABELS = [{}, {"t": "x"}]
TIERS = ["quarantine", "platform", "app", "baseline"]
NETWORKS = ["10.0.0.0/8", "10.0.0.0/29", "10.0.0.0/30", "10.0.0.1/32", "::/0", "fd00::/126"]
STRANGERS = ["10.0.0.6", "10.9.9.9", "192.0.2.1", "fd00::7"]
PORTS = {"tcp/1": (6, 1, 1), "tcp/1-3": (6, 1, 3), "udp/2": (17, 2, 2), "any": (None, 0, 65535)}
FLOWS = [(6, 1), (6, 9), (17, 2)]


@st.composite
def fleets(draw):
    """Up to five hosts at addresses next to each other, some in both families."""
    hosts = {}
    for number in range(draw(st.integers(2, 5))):
        families = draw(st.sampled_from([["10.0.0.{}"], ["10.0.0.{}", "fd00::{}"]]))
        hosts[f"h{number}"] = {
            "groups": ["all", *draw(st.lists(st.sampled_from(GROUPS), max_size=1))],
            "labels": draw(st.sampled_from(LABELS)),
            "addresses": [family.format(number) for family in families],
            "controller": ["10.0.0.6"],
            "resolvers": draw(st.sampled_from([["10.0.0.0"], ["fd00::7", "192.0.2.1"]])),
        }
    return hosts


def selectors(hosts):
    """Selectors that match a host: made from what it is."""

    def of(name):
        host = hosts[name]
        parts = [{"groups": [group]} for group in host["groups"]]
        parts += [{"labels": {key: value}} for key, value in host["labels"].items()]
        parts += 2 * [{"hosts": [name]}]
        pairs = st.lists(st.sampled_from(parts), min_size=1, max_size=2)
        return pairs.map(lambda chosen: {k: v for part in chosen for k, v in part.items()})

    return st.sampled_from(sorted(hosts)).flatmap(of)


@st.composite
def networks(draw):
    wide = draw(st.lists(st.sampled_from(NETWORKS), min_size=1, max_size=2, unique=True))
    inner = [n for n in NETWORKS if any(n != w and inside(ip_network(n), w) for w in wide)]
    excluded = draw(st.lists(st.sampled_from(inner), max_size=2, unique=True)) if inner else []
    return draw(spellings(wide, excluded))


@st.composite
def spellings(draw, wide, excluded):
    """The same networks written out, or by the name of a set."""
    peer = {"cidrs": list(wide)}
    if draw(st.booleans()):
        peer = {"addressSets": [set_of(peer["cidrs"].pop())], **(peer if peer["cidrs"] else {})}
    if excluded:
        peer["except"] = [draw(st.sampled_from([n, f"set:{set_of(n)}"])) for n in excluded]
    return peer


def set_of(network):
    """The name of the set that holds only this network."""
    return f"n{NETWORKS.index(network)}"


def inside(network, wide):
    wide = ip_network(wide)
    return network.version == wide.version and network.subnet_of(wide)


@st.composite
def policies(draw, hosts):
    entities = st.sampled_from(["any", "world", "fleet", "self", "controller", "resolvers"])
    peers = selectors(hosts) | networks() | st.builds(lambda entity: {"entity": entity}, entities)
    found = []
    for number in range(draw(st.integers(1, 2))):
        rules = {"ingress": [], "egress": []}
        for index in range(draw(st.integers(0, 5))):
            way, end = draw(st.sampled_from([("ingress", "from"), ("egress", "to")]))
            rule = {
                "id": f"r{index}",
                "action": draw(st.sampled_from(["allow", "deny"])),
                end: draw(st.lists(peers, min_size=1, max_size=2)),
                "ports": draw(st.lists(st.sampled_from(sorted(PORTS)), min_size=1, unique=True)),
            }
            rules[way].append(rule)
        action = st.sampled_from(["allow", "deny"])
        spec = {
            "tier": draw(st.sampled_from(TIERS)),
            "mode": draw(st.sampled_from(["protect", "protect", "monitor"])),
            "applyTo": draw(selectors(hosts)),
            "default": {"ingress": draw(action), "egress": draw(action)},
            **rules,
        }
        head = {"apiVersion": "tcmicro/v1", "kind": "Policy", "metadata": {"name": f"p{number}"}}
        found.append({**head, "spec": spec})
    return found


FLEETS = fleets().flatmap(lambda hosts: st.tuples(st.just(hosts), policies(hosts)))


def selects(selector, name, host):
    return (
        ("groups" not in selector or bool(set(selector["groups"]) & set(host["groups"])))
        and all(host["labels"].get(k) == v for k, v in selector.get("labels", {}).items())
        and ("hosts" not in selector or name in selector["hosts"])
    )


def is_entity(entity, address, subject, hosts):
    if entity == "self":
        return address in hosts[subject]["addresses"]
    if entity in ("controller", "resolvers"):
        return address in hosts[subject][entity]
    known = any(address in host["addresses"] for host in hosts.values())
    return entity == "any" or known == (entity == "fleet")


def named_networks(words):
    return [NETWORKS[int(word.removeprefix("set:")[1:])] if "n" in word else word for word in words]


def is_peer(peer, address, subject, hosts):
    if "entity" in peer:
        return is_entity(peer["entity"], address, subject, hosts)
    if "cidrs" in peer or "addressSets" in peer:
        network = ip_network(address)
        wide = named_networks([*peer.get("cidrs", []), *peer.get("addressSets", [])])
        held = any(inside(network, found) for found in wide)
        return held and not any(inside(network, n) for n in named_networks(peer.get("except", [])))
    return any(
        address in host["addresses"] and selects(peer, name, host) for name, host in hosts.items()
    )


def serves(port, protocol, number):
    wanted, first, last = PORTS[port]
    return wanted is None or (wanted == protocol and first <= number <= last)


def verdict(hosts, documents, subject, way, address, flow, modes=("protect", "monitor")):
    """Of the rules that match, the highest tier counts, and in it deny; with none, any default that denies. Of the
    policies in some modes.
    """
    specs = [d["spec"] for d in documents if d["spec"]["mode"] in modes]
    specs = [s for s in specs if selects(s["applyTo"], subject, hosts[subject])]
    end = "from" if way == "ingress" else "to"
    matching = {
        (TIERS.index(spec["tier"]), rule["action"])
        for spec in specs
        for rule in spec[way]
        if any(is_peer(peer, address, subject, hosts) for peer in rule[end])
        if any(serves(port, *flow) for port in rule["ports"])
    }
    if matching:
        top = min(tier for tier, _ in matching)
        return "deny" if (top, "deny") in matching else "allow"
    return "deny" if any(spec["default"][way] == "deny" for spec in specs) else "allow"


SETS = [
    {
        "apiVersion": "tcmicro/v1",
        "kind": "AddressSet",
        "metadata": {"name": set_of(network)},
        "spec": {"cidrs": [network]},
    }
    for network in NETWORKS
]


def read(documents):
    texts = map(json.dumps, [*documents, *SETS])
    return parse_policies((f"{n}.yml", text) for n, text in enumerate(texts))


def resolved(parsed, hosts):
    """The bundles, unless a selector happens to match no host."""
    try:
        return resolve(parsed, parse_inventory(hosts))
    except PolicyError as exc:
        nobody = re.compile("TCM200[245]")  # no such group, label, or no host with all of it
        assume(not all(nobody.search(line) for line in exc.problems))
        raise


@settings(max_examples=150, deadline=None)
@given(FLEETS)
def test_bundle_gives_the_verdict_of_the_selectors(case):
    hosts, documents = case
    bundles = resolved(read(documents), hosts)
    sources = STRANGERS + [address for host in hosts.values() for address in host["addresses"]]
    for subject, bundle in bundles.items():
        for direction in Direction:
            for source in sources:
                for flow in FLOWS:
                    found = evaluate(bundle, NewFlow(direction, ip_address(source), *flow))
                    asked = (hosts, documents, subject, direction.value, source, flow)
                    enforced, every = verdict(*asked, modes=["protect"]), verdict(*asked)
                    wanted = "deny" if "deny" in (enforced, every) else "allow"
                    assert found.action.value == wanted, asked
                    drops = wanted == "deny" and bundle.mode is Mode.PROTECT and not found.audited
                    assert drops == (enforced == "deny"), asked


@settings(max_examples=60, deadline=None)
@given(FLEETS, st.randoms(use_true_random=False))
def test_order_of_the_input_does_not_matter(case, chance):
    hosts, documents = case
    parsed = list(read(documents))
    wanted = resolved(parsed, hosts)
    chance.shuffle(parsed)
    names = chance.sample(sorted(hosts), len(hosts))
    again = resolved(parsed, {name: hosts[name] for name in names})
    assert {name: digest(b) for name, b in again.items()} == {
        name: digest(b) for name, b in wanted.items()
    }


@settings(max_examples=60, deadline=None)
@given(FLEETS, st.data())
def test_what_outlasts_a_change_of_hosts_is_what_would_be_built_anew(case, data):
    hosts, documents = case
    parsed = read(documents)
    resolver = Resolver(parsed)
    resolved(parsed, hosts)
    resolver.resolve(parse_inventory(hosts))
    name = data.draw(st.sampled_from(sorted(hosts)))
    change = data.draw(st.sampled_from([{"groups": ["all", "b"]}, {"labels": {"t": "x"}}, {}]))
    other = {**hosts, name: {**hosts[name], **change}}
    wanted = resolved(parsed, other)
    again = resolver.resolve(parse_inventory(other))
    assert again == wanted
    assert {n: digest(b) for n, b in again.items()} == {n: digest(b) for n, b in wanted.items()}
