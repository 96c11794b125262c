"""A host that routes: what is on its way through, and what is its own. Real traffic across three namespaces."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from dataclasses import replace

import pytest
from attaching import guarding
from builders import bundle, rule
from harness import Datapath
from road import FAR, FAR6, NEAR, ROUTER_FAR, ROUTER_NEAR, ROUTER_NEAR6, Road
from world import connection, ping, talks, tcp, udp

from tcmicro_agent.abi import Bank, Direction, Reason, SessionFlag, counter_index
from tcmicro_agent.datapath import host
from tcmicro_agent.policy.model import Action
from tcmicro_agent.policy.model import Direction as Way
from tcmicro_agent.tuning import TcpMode, Tuning

SERVICE, CLOSED_PORT = 5432, 9
THROUGH = bundle()  # what is routed may pass; nothing of the router's own
BARRED = bundle(forward=Action.DENY, ingress=Action.ALLOW, egress=Action.ALLOW)
IP_TTL, IP_RECVERR = 2, 11
BIG = b"x" * 4000  # three fragments


@pytest.fixture(scope="module")
def road():
    made = Road(f"tcmr{os.getpid()}")
    for space in (made.router, made.far):
        made.serve(space, SERVICE)
    while not tcp(made.near, FAR6, SERVICE):  # a new link learns of IPv6 a moment later
        pass
    yield made
    made.close()


@pytest.fixture(scope="module")
def attached(kernel, road):
    with guarding(kernel, road.router, "eth0", "eth1"):
        yield


@pytest.fixture
def routing(kernel, road, attached):
    """The router as the agent there sets it up, with no policy yet."""
    made = Datapath(kernel)
    made.road = road
    made.tune(Tuning(), forwarding=road.router.inside(host.forwarding))
    return made


def counted(datapath, reason: Reason, bank: Bank = Bank.ENFORCED) -> int:
    return totals(datapath, reason, bank)[0]


def octets(datapath, reason: Reason) -> int:
    return totals(datapath, reason)[1]


def totals(datapath, reason: Reason, bank: Bank = Bank.ENFORCED) -> tuple[int, int]:
    """Packets and bytes."""
    counters = datapath.kernel.counters()
    both = [counters[counter_index(d, reason, bank)] for d in Direction]
    return sum(packets for packets, _ in both), sum(size for _, size in both)


def ask(space, address: str, payload: bytes) -> bool:
    """Whether a datagram, of any size, is answered."""
    with space.socket(kind=socket.SOCK_DGRAM) as client:
        client.connect((address, SERVICE))
        client.send(payload)
        with contextlib.suppress(OSError):
            return client.recv(65536) == payload
    return False


def error_for(space, address: str, port: int, *, ttl: int = 64) -> str:
    """The ICMP error that a datagram earns, by the name of what the socket reports."""
    with space.socket(kind=socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        client.setsockopt(socket.IPPROTO_IP, IP_TTL, ttl)
        client.connect((address, port))
        client.send(b"?")
        try:
            client.recv(1)
        except OSError as exc:
            return type(exc).__name__ if not exc.errno else os.strerror(exc.errno)
    return "answered"


def test_that_a_host_routes_is_seen(road):
    assert road.router.inside(host.forwarding) == 3
    assert road.near.inside(host.forwarding) == 0


@pytest.mark.parametrize("far", [FAR, FAR6])
def test_routed_traffic_passes_by_its_default_not_by_the_rules(routing, far):
    near = routing.road.near
    routing.enforce(THROUGH)
    assert tcp(near, far, SERVICE)
    assert udp(near, far, SERVICE)
    assert ping(near, far)
    assert {s.flags for s in routing.sessions()} == {SessionFlag.FORWARDED}
    assert counted(routing, Reason.FORWARD_ALLOW) > 0


@pytest.mark.parametrize("far", [FAR, FAR6])
def test_routed_traffic_is_barred_though_the_rules_allow_everything(routing, far):
    near = routing.road.near
    routing.enforce(BARRED)
    assert not tcp(near, far, SERVICE)
    assert not udp(near, far, SERVICE)
    assert not ping(near, far)
    assert counted(routing, Reason.FORWARD_DENY) > 0
    assert tcp(near, ROUTER_NEAR if far == FAR else ROUTER_NEAR6, SERVICE)


def test_routed_traffic_that_is_only_audited_passes(routing):
    audited = replace(BARRED, audited_defaults=frozenset({"forward"}))
    before = counted(routing, Reason.FORWARD_DENY, Bank.AUDITED)
    routing.enforce(audited)
    assert tcp(routing.road.near, FAR, SERVICE)
    assert counted(routing, Reason.FORWARD_DENY, Bank.AUDITED) - before > 0
    assert {s.flags for s in routing.sessions()} == {SessionFlag.FORWARDED}


def test_traffic_of_the_router_itself_is_judged_by_policy(routing):
    road = routing.road
    rules = (
        rule("p/db", f"tcp/{SERVICE}", (1,)),
        rule("p/out", f"udp/{SERVICE}", (2,), direction=Way.EGRESS),
    )
    routing.enforce(bundle(*rules, endpoints={NEAR: 1, FAR: 2}, forward=Action.ALLOW))
    assert tcp(road.near, ROUTER_NEAR, SERVICE)
    assert tcp(road.near, ROUTER_FAR, SERVICE)  # its address on the other side is its own as well
    assert not tcp(road.far, ROUTER_FAR, SERVICE)
    assert not udp(road.near, ROUTER_NEAR, SERVICE)
    assert udp(road.router, FAR, SERVICE)
    assert not tcp(road.router, FAR, SERVICE)
    assert SessionFlag.FORWARDED not in {s.flags for s in routing.sessions()}
    assert tcp(road.near, FAR, SERVICE)


def test_a_new_default_cuts_routed_connections_and_can_give_them_back(routing):
    routing.enforce(THROUGH)
    with connection(routing.road.near, FAR, SERVICE) as client:
        assert talks(client)
        routing.enforce(BARRED)
        assert not talks(client)
        routing.enforce(THROUGH)
        assert talks(client) or client.recv(1) == b"?"


@pytest.mark.parametrize("mode", TcpMode)
def test_a_routed_connection_older_than_the_first_policy_goes_on_in_every_mode(routing, mode):
    """The router has no socket to know it by, and its default needs none."""
    routing.tune(Tuning(tcp=mode), forwarding=3)
    with connection(routing.road.near, FAR, SERVICE) as client:
        assert talks(client)
        routing.enforce(THROUGH)
        assert talks(client)
        adopted = SessionFlag.FORWARDED | SessionFlag.ADOPTED
        assert {s.flags for s in routing.sessions()} == {adopted}


@pytest.mark.parametrize(("policy", "passes"), [(THROUGH, True), (BARRED, False)])
def test_fragments_share_the_fate_of_what_is_routed(routing, policy, passes):
    routing.enforce(policy)
    refused = octets(routing, Reason.FORWARD_DENY)
    assert ask(routing.road.near, FAR, BIG) == passes
    if not passes:  # each of the three, so that nothing waits at the far end for the rest; small ones may be others'
        assert octets(routing, Reason.FORWARD_DENY) >= refused + len(BIG)


def test_fragments_for_the_router_are_not_routed_ones(routing):
    routing.enforce(BARRED)
    before = counted(routing, Reason.FRAGMENT)
    assert ask(routing.road.near, ROUTER_NEAR, BIG)
    assert counted(routing, Reason.FRAGMENT) > before


def test_errors_about_routed_flows_find_their_way_back(routing):
    near = routing.road.near
    routing.enforce(THROUGH)
    assert error_for(near, FAR, CLOSED_PORT) == "Connection refused"
    assert error_for(near, FAR, SERVICE, ttl=1) == "No route to host"  # the router's own error
    assert counted(routing, Reason.ICMP_ERROR) > 0


def test_no_error_comes_out_of_what_is_barred(routing):
    routing.enforce(BARRED)
    assert error_for(routing.road.near, FAR, CLOSED_PORT) == "TimeoutError"
    assert error_for(routing.road.near, FAR, SERVICE, ttl=1) == "TimeoutError"


def test_a_host_that_does_not_route_judges_everything_as_its_own(routing):
    """As it was before somebody switched routing on: the agent looks again every second."""
    routing.tune(Tuning(), forwarding=0)
    routing.enforce(THROUGH)
    assert not tcp(routing.road.near, FAR, SERVICE)
    routing.tune(Tuning(), forwarding=3)
    assert tcp(routing.road.near, FAR, SERVICE)


MASQUERADE = """table ip tcmtest {
  chain out { type nat hook postrouting priority 100; oifname "eth1" masquerade; }
}"""


@pytest.fixture
def masquerading(routing):
    enter = ["ip", "netns", "exec", routing.road.router.name]
    if not shutil.which("nft"):
        pytest.skip("nft is not installed")
    made = subprocess.run(
        [*enter, "nft", "-f", "-"], input=MASQUERADE, text=True, capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"this kernel has no NAT: {made.stderr.strip().splitlines()[0]}")
    yield routing
    subprocess.run([*enter, "nft", "delete", "table", "ip", "tcmtest"], check=True)


def test_masqueraded_traffic_is_routed_traffic(masquerading):
    """
    On the way out its source is the router's own address, yet it came in somewhere; the answer, to that address, finds
    the session. So it follows the default for forwarded traffic in both directions, and no rule about the router.
    """
    near = masquerading.road.near
    masquerading.enforce(THROUGH)
    assert tcp(near, FAR, SERVICE)
    assert udp(near, FAR, SERVICE)
    assert {str(s.local) for s in masquerading.sessions()} >= {ROUTER_FAR, FAR}
    assert not tcp(masquerading.road.far, ROUTER_FAR, SERVICE)
    masquerading.enforce(BARRED)
    assert not tcp(near, FAR, SERVICE)
