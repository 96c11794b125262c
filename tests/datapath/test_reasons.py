"""Every reason: a packet that ends there moves its counter by one and is told as an event with the right fields."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import packets as p
import pytest
from builders import bundle, rule
from harness import Datapath
from packets import ACK, SYN, tcp_packet, udp_packet

from tcmicro_agent.abi import VLAN_KEY, Bank, Direction, Reason, counter_index
from tcmicro_agent.config import Failsafe
from tcmicro_agent.datapath.events import Ring
from tcmicro_agent.policy.model import Action, Mode, Protocol
from tcmicro_agent.policy.model import Direction as Way
from tcmicro_agent.tuning import Tuning

US, WEB, OTHER, BEHIND_US = "10.0.0.1", "10.0.0.2", "10.9.9.9", "10.44.0.5"
US6, WEB6 = "fd00::1", "fd00::2"
IN, OUT = Direction.INGRESS, Direction.EGRESS
LOOPBACK = 1  # the interface of packets that tests send
WEB_ONLY = bundle(rule("p/db", "tcp/5432", (1,)), endpoints={WEB: 1, WEB6: 1})
CLOSED = bundle(endpoints={WEB: 1})
EVERYTHING = Tuning(event_reasons=tuple(Reason), event_rate=100_000, event_burst=100_000)


@dataclass(frozen=True)
class Case:
    """A packet, what must be there before it, and what its event says."""

    before: Callable[[Datapath], None]
    packet: bytes
    rule: str = ""
    identity: int = 0
    ends: tuple[str, str] | None = (US, WEB)  # local, remote
    ports: tuple[int, int] = (0, 0)
    protocol: int = 0
    flags: int = 0
    direction: Direction = IN


def nothing(_: Datapath) -> None:
    """Nothing is enforced."""


def web_only(datapath: Datapath) -> None:
    datapath.enforce(WEB_ONLY)


def tracked(datapath: Datapath) -> None:
    datapath.enforce(WEB_ONLY)
    assert datapath.ingress(tcp_packet(WEB, 1000, US, 5432))


def revoked(datapath: Datapath) -> None:
    tracked(datapath)
    datapath.enforce(CLOSED)


def asked_a_name_server(datapath: Datapath) -> None:
    datapath.enforce(bundle(rule("p/dns", "udp/53", direction=Way.EGRESS), endpoints={WEB: 1}))
    assert datapath.egress(udp_packet(US, 999, WEB, 53))


def failsafe(datapath: Datapath) -> None:
    ssh = Failsafe(Way.INGRESS, Protocol.TCP, 22, ip_network(f"{WEB}/32"))
    datapath.kernel.set_failsafe(frozenset({ssh.key()}))
    datapath.enforce(CLOSED)


def routes(action: Action) -> Callable[[Datapath], None]:
    def prepare(datapath: Datapath) -> None:
        for words in (
            ["link", "add", "out", "type", "veth", "peer", "name", "far"],
            ["addr", "add", "10.44.0.1/24", "dev", "out"],
            ["link", "set", "out", "up"],
            ["link", "set", "far", "up"],
        ):
            subprocess.run(["ip", *words], check=True)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        datapath.tune(EVERYTHING, forwarding=1)
        datapath.enforce(replace(bundle(), default_forward=action))

    return prepare


def floods(datapath: Datapath) -> None:
    datapath.limit_syns(source=(2, 1))
    datapath.enforce(bundle(rule("p/any", "tcp/5432")))
    assert datapath.ingress(tcp_packet("10.77.1.1", 1, US, 5432))


def vlan_of_ours(datapath: Datapath) -> None:
    datapath.kernel.map("tcm_vlans").put(VLAN_KEY.pack(LOOPBACK, 7), bytes(4))
    datapath.enforce(CLOSED)


def in_ipv4(payload: bytes, *, frag: int = 0, vlans: tuple[int, ...] = ()) -> bytes:
    inner = p.ipv4(ip_address(WEB), ip_address(US), p.TCP, payload, frag=frag)
    return p.ethernet(inner, 0x0800, vlans=vlans)


def quoting(port: int) -> bytes:
    """Port unreachable, about a datagram of ours."""
    quoted = udp_packet(US, 999, WEB, port)[14:]
    return p.packet("10.0.0.254", US, p.ICMP, p.icmp(3, payload=quoted))


SOLICITATION = p.ethernet(
    p.ipv6(ip_address(WEB6), ip_address(US6), p.ICMP6, p.icmp(135, payload=bytes(16)), hops=255),
    0x86DD,
)
SERVICE = {"ports": (5432, 1000), "protocol": p.TCP, "flags": SYN}
CASES = {
    Reason.SESSION: Case(
        tracked, tcp_packet(WEB, 1000, US, 5432, ACK), "p/db", 1, **{**SERVICE, "flags": ACK}
    ),
    Reason.RULE_ALLOW: Case(
        web_only, tcp_packet(WEB6, 1000, US6, 5432), "p/db", 1, (US6, WEB6), **SERVICE
    ),
    Reason.DEFAULT_ALLOW: Case(
        lambda datapath: datapath.enforce(bundle(egress=Action.ALLOW)),
        tcp_packet(US, 1000, WEB, 80),
        "default/egress",
        ports=(1000, 80),
        protocol=p.TCP,
        flags=SYN,
        direction=OUT,
    ),
    Reason.RULE_DENY: Case(
        lambda datapath: datapath.enforce(
            bundle(rule("p/no", "any", (1,), action=Action.DENY), endpoints={WEB: 1})
        ),
        tcp_packet(WEB, 1000, US, 5432),
        "p/no",
        1,
        **SERVICE,
    ),
    Reason.DEFAULT_DENY: Case(
        web_only, tcp_packet(OTHER, 1000, US, 5432), "default/ingress", 0, (US, OTHER), **SERVICE
    ),
    Reason.NO_SESSION: Case(
        web_only, tcp_packet(WEB, 1000, US, 5432, ACK), **{**SERVICE, "flags": ACK}
    ),
    Reason.REVOKED: Case(
        revoked,
        tcp_packet(WEB, 1000, US, 5432, ACK),
        "default/ingress",
        1,
        **{**SERVICE, "flags": ACK},
    ),
    Reason.MALFORMED: Case(web_only, in_ipv4(p.tcp(1000, 5432, 0)), protocol=p.TCP),
    Reason.FRAGMENT: Case(web_only, in_ipv4(bytes(8), frag=3), protocol=p.TCP),
    Reason.FRAGMENT_TINY: Case(web_only, in_ipv4(p.tcp(1, 5432)[:8], frag=0x2000), protocol=p.TCP),
    Reason.ICMP_ERROR: Case(
        asked_a_name_server, quoting(53), "p/dns", 1, ports=(999, 53), protocol=p.UDP
    ),
    Reason.ICMP_ERROR_UNKNOWN: Case(
        asked_a_name_server, quoting(54), ports=(999, 54), protocol=p.UDP
    ),
    Reason.NEIGHBOUR: Case(web_only, SOLICITATION, ends=(US6, WEB6), protocol=p.ICMP),
    Reason.NON_IP: Case(web_only, p.ethernet(bytes(28), 0x0806), ends=None),
    Reason.FAILSAFE: Case(
        failsafe,
        tcp_packet(WEB, 1000, US, 22),
        "default/ingress",
        1,
        ports=(22, 1000),
        protocol=p.TCP,
        flags=SYN,
    ),
    Reason.UNENFORCED: Case(nothing, tcp_packet(WEB, 1000, US, 5432), ends=None),
    Reason.FORWARD_ALLOW: Case(
        routes(Action.ALLOW),
        tcp_packet(OTHER, 1000, BEHIND_US, 5432),
        "default/forward",
        ends=(BEHIND_US, OTHER),
        **SERVICE,
    ),
    Reason.FORWARD_DENY: Case(
        routes(Action.DENY),
        tcp_packet(OTHER, 1000, BEHIND_US, 5432),
        "default/forward",
        ends=(BEHIND_US, OTHER),
        **SERVICE,
    ),
    Reason.SYN_FLOOD: Case(
        floods, tcp_packet("10.77.1.9", 1000, US, 5432), "p/any", ends=(US, "10.77.1.9"), **SERVICE
    ),
    Reason.DHCP: Case(
        web_only,
        udp_packet(WEB, 67, US, 68),
        "default/ingress",
        1,
        ports=(68, 67),
        protocol=p.UDP,
    ),
    Reason.VLAN: Case(vlan_of_ours, in_ipv4(p.tcp(1, 1), vlans=(7,)), ends=None),
}


@pytest.fixture
def listening(datapath):
    """A datapath that tells everything, and the ring, empty."""
    datapath.tune(EVERYTHING)
    with closing(Ring(datapath.kernel)) as ring:
        yield datapath, ring
    vlans = datapath.kernel.map("tcm_vlans")
    for key in list(vlans):
        vlans.delete(key)


def counters(datapath: Datapath) -> dict[int, int]:
    return {n: packets for n, (packets, _) in datapath.kernel.counters().items() if packets}


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name.lower())
def test_reason_is_counted_once_and_told(listening, reason):
    datapath, ring = listening
    case = CASES[reason]
    case.before(datapath)
    while ring.take():
        pass
    before = counters(datapath)
    send = datapath.ingress if case.direction is IN else datapath.egress
    send(case.packet)
    after = counters(datapath)
    moved = {n: count - before.get(n, 0) for n, count in after.items() if count != before.get(n)}
    assert moved == {counter_index(case.direction, reason, Bank.ENFORCED): 1}
    [event] = ring.take()
    local, remote = (ip_address(end) for end in case.ends) if case.ends else (None, None)
    assert (event.reason, event.direction, event.bank) == (reason, case.direction, Bank.ENFORCED)
    assert (event.local, event.remote) == (local, remote)
    assert (event.local_port, event.remote_port) == case.ports
    assert (event.protocol, event.tcp_flags) == (case.protocol, case.flags)
    assert event.rule == (datapath.numbers[case.rule] if case.rule else 0)
    assert event.identity == case.identity
    assert event.generation == (0 if reason is Reason.UNENFORCED else datapath.generation)
    assert (event.octets, event.ifindex) == (len(case.packet), LOOPBACK)


def test_monitor_tells_what_it_would_refuse(listening):
    datapath, ring = listening
    datapath.enforce(bundle(mode=Mode.MONITOR))
    while ring.take():
        pass
    assert datapath.ingress(tcp_packet(OTHER, 1, US, 80))
    [event] = ring.take()
    assert (event.reason, event.bank) == (Reason.DEFAULT_DENY, Bank.AUDITED)


def test_only_what_is_asked_for_is_told(listening):
    datapath, ring = listening
    datapath.tune(Tuning(event_reasons=(Reason.RULE_ALLOW,)))
    datapath.enforce(WEB_ONLY)
    datapath.ingress(tcp_packet(OTHER, 1, US, 5432))
    datapath.ingress(tcp_packet(WEB, 1, US, 5432))
    assert [event.reason for event in ring.take()] == [Reason.RULE_ALLOW]
