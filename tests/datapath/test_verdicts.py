"""One packet, one verdict, one reason: the real program by BPF_PROG_TEST_RUN."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import packets as p
import pytest
from builders import bundle, rule
from packets import ACK, FIN, RST, SYN, echo, tcp_packet, udp_packet

from tcmicro_agent.abi import Bank, Direction, Reason
from tcmicro_agent.config import Failsafe
from tcmicro_agent.policy.model import Action, Mode, Protocol
from tcmicro_agent.policy.model import Direction as Way

US, WEB, OTHER = "10.0.0.1", "10.0.0.2", "10.9.9.9"
US6, WEB6, OTHER6 = "fd00::1", "fd00::2", "fd99::9"
WEB_TO_DB = bundle(rule("p/db", "tcp/5432", (1,)), endpoints={WEB: 1, WEB6: 1})
IN, OUT = Direction.INGRESS, Direction.EGRESS


def test_nothing_is_enforced_before_the_first_policy(datapath):
    assert datapath.reason(IN, tcp_packet(OTHER, 1000, US, 5432)) is Reason.UNENFORCED


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (tcp_packet(WEB, 1000, US, 5432), Reason.RULE_ALLOW),
        (tcp_packet(WEB6, 1000, US6, 5432), Reason.RULE_ALLOW),
        (tcp_packet(WEB, 1000, US, 5433), Reason.DEFAULT_DENY),
        (tcp_packet(OTHER, 1000, US, 5432), Reason.DEFAULT_DENY),
        (tcp_packet(OTHER6, 1000, US6, 5432), Reason.DEFAULT_DENY),
        (udp_packet(WEB, 1000, US, 5432), Reason.DEFAULT_DENY),
        (echo(WEB, US, 7), Reason.DEFAULT_DENY),
        (tcp_packet(WEB, 1000, US, 5432, ACK), Reason.NO_SESSION),
        (echo(WEB, US, 7, reply=True), Reason.NO_SESSION),
    ],
)
def test_ingress_by_rule(datapath, packet, reason):
    datapath.enforce(WEB_TO_DB)
    assert datapath.reason(IN, packet) is reason


PINGS = (
    "icmp/2048-2303 icmp/32768-33023"  # as the language writes icmp/echo-request: types 8 and 128
)


@pytest.mark.parametrize(("us", "web", "other"), [(US, WEB, 13), (US6, WEB6, 139)])
def test_ping_is_told_from_other_messages(datapath, us, web, other):
    datapath.enforce(bundle(rule("p/ping", PINGS, (1,)), endpoints={WEB: 1, WEB6: 1}))
    assert datapath.reason(IN, echo(web, us, 7)) is Reason.RULE_ALLOW
    assert datapath.reason(OUT, echo(us, web, 7, reply=True)) is Reason.SESSION
    assert datapath.reason(IN, p.packet(web, us, p.ICMP, p.icmp(other))) is Reason.DEFAULT_DENY
    assert datapath.reason(OUT, echo(us, web, 8)) is Reason.DEFAULT_DENY


@pytest.mark.parametrize(("us", "web"), [(US, WEB), (US6, WEB6)])
def test_answer_to_a_ping_is_judged_as_the_ping_was(datapath, us, web):
    allowed = bundle(rule("p/ping", PINGS, (1,)), endpoints={WEB: 1, WEB6: 1})
    datapath.enforce(allowed)
    datapath.ingress(echo(web, us, 7))
    datapath.enforce(allowed)
    assert datapath.reason(OUT, echo(us, web, 7, reply=True)) is Reason.SESSION
    datapath.enforce(bundle(rule("p/other", "icmp/3328-3583", (1,)), endpoints={WEB: 1, WEB6: 1}))
    assert datapath.reason(OUT, echo(us, web, 7, reply=True)) is Reason.REVOKED


def test_longest_prefix_names_the_peer(datapath):
    datapath.enforce(
        bundle(
            rule("p/narrow", "tcp/80", (2,)),
            rule("p/wide", "tcp/443", (1, 2)),
            endpoints={"10.1.0.0/16": 1, "10.1.2.0/24": 2, "fd01::/32": 1, "fd01:0:1::/48": 2},
        )
    )
    assert datapath.ingress(tcp_packet("10.1.2.3", 1, US, 80))
    assert datapath.ingress(tcp_packet("10.1.2.3", 1, US, 443))
    assert not datapath.ingress(tcp_packet("10.1.9.9", 2, US, 80))
    assert datapath.ingress(tcp_packet("10.1.9.9", 2, US, 443))
    assert datapath.ingress(tcp_packet("fd01:0:1::5", 2, US6, 80))
    assert not datapath.ingress(tcp_packet("fd01:0:2::5", 2, US6, 80))


def test_port_ranges_have_exact_edges(datapath):
    datapath.enforce(bundle(rule("p/range", "tcp/8000-8080")))
    verdicts = {
        port: datapath.ingress(tcp_packet(OTHER, port, US, port))
        for port in (7999, 8000, 8080, 8081)
    }
    assert verdicts == {7999: False, 8000: True, 8080: True, 8081: False}


def test_an_earlier_deny_beats_a_more_specific_allow(datapath):
    datapath.enforce(
        bundle(
            rule("p/no-web", "any", (1,), action=Action.DENY),
            rule("p/http", "tcp/80"),
            endpoints={WEB: 1},
        )
    )
    assert datapath.reason(IN, tcp_packet(WEB, 1, US, 80)) is Reason.RULE_DENY
    assert datapath.reason(IN, tcp_packet(OTHER, 1, US, 80)) is Reason.RULE_ALLOW


def test_monitor_counts_and_lets_pass(datapath):
    datapath.enforce(bundle(mode=Mode.MONITOR))
    packet = tcp_packet(OTHER, 1, US, 80)
    assert datapath.reason(IN, packet, Bank.AUDITED) is Reason.DEFAULT_DENY
    assert datapath.ingress(packet)


def test_failsafe_keeps_both_legs_open_under_deny_all(datapath):
    ssh = Failsafe(Way.INGRESS, Protocol.TCP, 22, _network(f"{OTHER}/32"))
    ssh6 = Failsafe(Way.INGRESS, Protocol.TCP, 22, _network("fd99::/16"))
    dns = Failsafe(Way.EGRESS, Protocol.UDP, 53, _network("10.0.0.0/8"))
    datapath.kernel.set_failsafe(frozenset(e.key() for e in (ssh, ssh6, dns)))
    datapath.enforce(bundle())
    assert datapath.reason(IN, tcp_packet(OTHER, 999, US, 22)) is Reason.FAILSAFE
    assert datapath.reason(OUT, tcp_packet(US, 22, OTHER, 999, SYN | ACK)) is Reason.FAILSAFE
    assert datapath.reason(IN, tcp_packet(OTHER, 999, US, 22, ACK)) is Reason.FAILSAFE
    assert datapath.reason(IN, tcp_packet(OTHER6, 999, US6, 22)) is Reason.FAILSAFE
    assert datapath.reason(OUT, udp_packet(US, 999, "10.3.3.3", 53)) is Reason.FAILSAFE
    assert datapath.reason(IN, udp_packet("10.3.3.3", 53, US, 999)) is Reason.FAILSAFE
    assert not datapath.ingress(tcp_packet(WEB, 999, US, 22))
    assert not datapath.ingress(tcp_packet(OTHER, 999, US, 23))


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (p.ethernet(bytes(28), 0x0806), Reason.NON_IP),
        (p.ethernet(b"\x4f" + tcp_packet(WEB, 1, US, 1)[15:], 0x0800), Reason.MALFORMED),
        (p.ethernet(b"\x65" + tcp_packet(WEB, 1, US, 1)[15:], 0x0800), Reason.MALFORMED),
        (tcp_packet(WEB, 1, US, 5432)[:-1], Reason.MALFORMED),
        (tcp_packet(WEB, 1, US, 5432, SYN | FIN), Reason.MALFORMED),
        (tcp_packet(WEB, 1, US, 5432, SYN | RST), Reason.MALFORMED),
        (tcp_packet(WEB, 1, US, 5432, 0), Reason.MALFORMED),
        (tcp_packet(WEB6, 1, US6, 5432)[:-1], Reason.MALFORMED),
    ],
)
def test_what_is_no_flow_has_a_reason(datapath, packet, reason):
    datapath.enforce(WEB_TO_DB)
    assert datapath.reason(IN, packet) is reason


@pytest.mark.parametrize("vlans", [(7,), (7, 9)])
def test_tagged_frames_are_judged_by_what_they_carry(datapath, vlans):
    datapath.enforce(WEB_TO_DB)

    def tagged(port: int) -> bytes:
        inner = p.ipv4(ip_address(WEB), ip_address(US), p.TCP, p.tcp(1, port))
        return p.ethernet(inner, 0x0800, vlans=vlans)

    assert datapath.ingress(tagged(5432))
    assert not datapath.ingress(tagged(5433))


def test_ipv4_options_and_ipv6_extensions_are_skipped(datapath):
    datapath.enforce(WEB_TO_DB)
    v4 = p.ipv4(ip_address(WEB), ip_address(US), p.TCP, p.tcp(1, 5432), options=b"\x01" * 8)
    chain = ((p.HOP_BY_HOP, bytes(7)), (p.DESTINATION, b"\x01" + bytes(14)))
    v6 = p.ipv6(ip_address(WEB6), ip_address(US6), p.TCP, p.tcp(2, 5432), extensions=chain)
    assert datapath.ingress(p.ethernet(v4, 0x0800))
    assert datapath.ingress(p.ethernet(v6, 0x86DD))
    long = p.ipv6(
        ip_address(WEB6), ip_address(US6), p.TCP, p.tcp(3, 5432), extensions=((60, bytes(7)),) * 7
    )
    assert datapath.reason(IN, p.ethernet(long, 0x86DD)) is Reason.MALFORMED


def test_fragments(datapath):
    datapath.enforce(WEB_TO_DB)
    ends = ip_address(WEB), ip_address(US)
    whole = p.tcp(1, 5432)
    first = p.ethernet(p.ipv4(*ends, p.TCP, whole + bytes(4), frag=0x2000), 0x0800)
    tiny = p.ethernet(p.ipv4(*ends, p.TCP, whole[:8], frag=0x2000), 0x0800)
    rewriting = p.ethernet(p.ipv4(*ends, p.TCP, bytes(8), frag=0x2001), 0x0800)
    later = p.ethernet(p.ipv4(*ends, p.TCP, bytes(8), frag=3), 0x0800)
    assert datapath.reason(IN, first) is Reason.RULE_ALLOW
    assert datapath.reason(IN, tiny) is Reason.FRAGMENT_TINY
    assert datapath.reason(IN, rewriting) is Reason.FRAGMENT_TINY
    assert datapath.reason(IN, later) is Reason.FRAGMENT


def test_ipv6_fragments(datapath):
    datapath.enforce(WEB_TO_DB)
    ends = ip_address(WEB6), ip_address(US6)

    def fragment(offset: int, more: int, payload: bytes) -> bytes:
        body = struct.pack("!BHI", 0, offset << 3 | more, 1)
        return p.ethernet(p.ipv6(*ends, p.TCP, payload, extensions=((p.FRAGMENT, body),)), 0x86DD)

    assert datapath.reason(IN, fragment(0, 1, p.tcp(1, 5432) + bytes(4))) is Reason.RULE_ALLOW
    assert datapath.reason(IN, fragment(0, 1, p.tcp(1, 5432)[:8])) is Reason.FRAGMENT_TINY
    assert datapath.reason(IN, fragment(1, 1, bytes(8))) is Reason.FRAGMENT_TINY
    assert datapath.reason(IN, fragment(9, 0, bytes(8))) is Reason.FRAGMENT


def test_a_first_fragment_without_its_ports_cannot_borrow_them_from_the_padding(datapath):
    datapath.enforce(bundle(rule("p/dns", "udp/53")))
    body = struct.pack("!BHI", 0, 1, 1)
    options = bytes([p.UDP, 0, 1, 4, 0, 0, 0, 0])
    ends = ip_address(WEB6), ip_address(US6)
    first = p.ipv6(*ends, p.DESTINATION, options, extensions=((p.FRAGMENT, body),))
    padding = p.udp(1, 53, b"x")
    assert datapath.reason(IN, p.ethernet(first + padding, 0x86DD)) is Reason.FRAGMENT_TINY


def with_length(frame: bytes, at: int, length: int) -> bytes:
    return frame[:at] + length.to_bytes(2, "big") + frame[at + 2 :]


@pytest.mark.parametrize("length", [0, 20, 39])
def test_ports_behind_the_end_of_an_ipv4_packet_do_not_count(datapath, length):
    datapath.enforce(WEB_TO_DB)
    packet = tcp_packet(WEB, 1, US, 5432)
    assert datapath.reason(IN, with_length(packet, 16, length)) is Reason.MALFORMED
    assert datapath.reason(IN, packet + bytes(6)) is Reason.RULE_ALLOW


@pytest.mark.parametrize("length", [0, 19])
def test_ports_behind_the_end_of_an_ipv6_packet_do_not_count(datapath, length):
    datapath.enforce(WEB_TO_DB)
    packet = tcp_packet(WEB6, 1, US6, 5432)
    assert datapath.reason(IN, with_length(packet, 18, length)) is Reason.MALFORMED
    assert datapath.reason(IN, packet + bytes(6)) is Reason.RULE_ALLOW


@pytest.mark.parametrize(("us", "peer", "at"), [(US, WEB, 16), (US6, WEB6, 18)])
def test_only_a_packet_of_many_segments_may_be_too_long_to_say_its_length(datapath, us, peer, at):
    datapath.enforce(WEB_TO_DB)
    packet = with_length(tcp_packet(peer, 1, us, 5432), at, 0)
    assert datapath.judges[IN](packet, gso_size=1400)
    assert not datapath.judges[IN](packet)


@pytest.mark.parametrize("protocol", [p.TCP, 47])
def test_an_extension_that_is_longer_than_the_packet_is_malformed(datapath, protocol):
    datapath.enforce(bundle(ingress=Action.ALLOW))
    long = ((p.DESTINATION, b"\xc8" + bytes(6)),)
    packet = p.ipv6(ip_address(WEB6), ip_address(US6), protocol, bytes(40), extensions=long)
    assert datapath.reason(IN, p.ethernet(packet, 0x86DD)) is Reason.MALFORMED


def test_a_tcp_header_is_as_long_as_it_says(datapath):
    datapath.enforce(WEB_TO_DB)
    packet = bytearray(tcp_packet(WEB, 1, US, 5432))
    packet[14 + 20 + 12] = 0x60
    assert datapath.reason(IN, bytes(packet)) is Reason.MALFORMED


def test_neighbour_discovery_passes_only_from_the_link(datapath):
    datapath.enforce(bundle())

    def solicitation(hops: int) -> bytes:
        body = p.icmp(135, payload=bytes(16))
        return p.ethernet(
            p.ipv6(ip_address(WEB6), ip_address(US6), p.ICMP6, body, hops=hops), 0x86DD
        )

    assert datapath.reason(IN, solicitation(255)) is Reason.NEIGHBOUR
    assert datapath.reason(IN, solicitation(64)) is Reason.DEFAULT_DENY


@pytest.mark.parametrize(("us", "web", "kind"), [(US, WEB, 3), (US6, WEB6, 1)])
def test_icmp_errors_pass_only_for_flows_we_have(datapath, us, web, kind):
    datapath.enforce(bundle(rule("p/out", "udp/53", direction=Way.EGRESS)))
    assert datapath.egress(udp_packet(us, 999, web, 53))

    def error(port: int) -> bytes:
        quoted = udp_packet(us, 999, web, port)[14:]
        return p.packet(
            "10.0.0.254" if kind == 3 else "fd00::fe", us, p.ICMP, p.icmp(kind, payload=quoted)
        )

    assert datapath.reason(IN, error(53)) is Reason.ICMP_ERROR
    assert datapath.reason(IN, error(54)) is Reason.ICMP_ERROR_UNKNOWN


def test_rule_hits_count_decisions(datapath):
    datapath.enforce(WEB_TO_DB)
    before = datapath.kernel.rule_hits(list(datapath.numbers.values()))
    for port in range(3):
        datapath.ingress(tcp_packet(WEB, 100 + port, US, 5432))
    datapath.ingress(tcp_packet(OTHER, 1, US, 5432))
    after = datapath.kernel.rule_hits(list(datapath.numbers.values()))
    gained = {uid: after[n][0] - before[n][0] for uid, n in datapath.numbers.items()}
    assert gained == {
        "p/db": 3,
        "default/ingress": 1,
        "default/egress": 0,
        "default/forward": 0,
    }


def _network(text: str):
    from ipaddress import ip_network

    return ip_network(text)


def test_icmp_of_the_other_family_is_not_icmp(datapath):
    datapath.enforce(bundle(rule("p/ping", "icmp")))
    body = p.icmp(8, ident=1)
    four = p.ethernet(p.ipv4(ip_address("10.0.0.2"), ip_address("10.0.0.1"), 58, body), 0x0800)
    six = p.ethernet(p.ipv6(ip_address("fd00::2"), ip_address("fd00::1"), 1, body), 0x86DD)
    for frame in (four, six):
        assert datapath.reason(IN, frame) is Reason.DEFAULT_DENY


def test_a_mobility_header_ends_the_chain(datapath):
    datapath.enforce(bundle(rule("p/web", "tcp/80")))
    peer, us = ip_address("fd00::2"), ip_address("fd00::1")
    chain = ((135, bytes([0, *bytes(6)])),)
    frame = p.ethernet(p.ipv6(peer, us, p.TCP, p.tcp(1000, 80), extensions=chain), 0x86DD)
    assert datapath.reason(IN, frame) is Reason.DEFAULT_DENY
