"""Real sockets across two namespaces, with the programs attached to a real interface by each kind of hook."""

from __future__ import annotations

import pytest
from builders import bundle, rule
from harness import Datapath
from world import PEER, PEER6, STRANGER, US, US6, World, connection, ping, talks, tcp, udp

from tcmicro_agent import abi
from tcmicro_agent.config import Config, Failsafe
from tcmicro_agent.policy.model import Action, Direction

SERVICE = 5432
PEER_ONLY = bundle(
    rule("p/db", f"tcp/{SERVICE} udp/{SERVICE} icmp", (1,)),
    endpoints={f"{PEER}/32": 1, f"{PEER6}/128": 1},
    egress=Action.ALLOW,
)


@pytest.fixture(scope="module")
def world():
    made = World()
    made.serve(made.us, SERVICE)
    made.serve(made.us, 22)
    made.serve(made.peer, 80)
    yield made
    made.close()


@pytest.fixture(params=["tcx", "clsact"])
def guarded(request, kernel, world):
    """A fresh datapath on the interface of `us`."""
    interface = world.interface
    world.us.inside(kernel.attach, request.param, interface)
    attached = world.us.inside(kernel.attached, request.param, interface)
    assert attached == {abi.Direction.INGRESS: True, abi.Direction.EGRESS: True}
    made = Datapath(kernel)
    made.world, made.interface, made.hook = world, interface, request.param
    yield made
    made.close()
    world.us.inside(kernel.detach, interface)
    assert not any(world.us.inside(kernel.attached, request.param, interface).values())


def test_only_the_peer_reaches_the_service(guarded):
    world = guarded.world
    guarded.enforce(PEER_ONLY)
    assert tcp(world.peer, US, SERVICE)
    assert tcp(world.peer, US6, SERVICE)
    assert udp(world.peer, US, SERVICE)
    assert udp(world.peer, US6, SERVICE)
    assert ping(world.peer, US)
    assert ping(world.peer, US6)
    assert not tcp(world.peer, US, SERVICE, source=STRANGER)
    assert not udp(world.peer, US, SERVICE, source=STRANGER)
    assert not tcp(world.peer, US, 22)


def test_replies_come_back_though_nobody_may_call(guarded):
    world = guarded.world
    guarded.enforce(bundle(egress=Action.ALLOW))
    assert tcp(world.us, PEER, 80)
    assert udp(world.us, PEER6, 80)
    assert ping(world.us, PEER)
    assert not tcp(world.peer, US, SERVICE)


def test_egress_is_judged_too(guarded):
    world = guarded.world
    guarded.enforce(
        bundle(
            rule("p/out", "udp/80", (1,), direction=Direction.EGRESS),
            endpoints={PEER: 1},
        )
    )
    assert udp(world.us, PEER, 80)
    assert not udp(world.us, PEER6, 80)
    assert not tcp(world.us, PEER, 80)


def test_a_connection_older_than_the_first_policy_goes_on(guarded):
    world = guarded.world
    with connection(world.peer, US, SERVICE) as client:
        assert talks(client)
        guarded.enforce(PEER_ONLY)
        guarded.forget_sessions()
        assert talks(client)
        assert [(s.opener, s.flags) for s in guarded.sessions()] == [
            (abi.Direction.INGRESS, abi.SessionFlag.ADOPTED)
        ]


@pytest.mark.parametrize("forget", [False, True], ids=["tracked", "forgotten"])
def test_a_new_policy_cuts_a_live_connection_it_refuses(guarded, forget):
    world = guarded.world
    guarded.enforce(PEER_ONLY)
    with connection(world.peer, US, SERVICE) as client:
        assert talks(client)
        guarded.enforce(bundle(egress=Action.ALLOW))
        if forget:
            guarded.forget_sessions()
        assert not talks(client)
        guarded.enforce(PEER_ONLY)
        assert talks(client) or client.recv(1) == b"?"


def test_live_connection_survives_a_thousand_flips(guarded):
    world = guarded.world
    guarded.enforce(PEER_ONLY)
    with connection(world.peer, US, SERVICE) as client:
        guarded.enforce(PEER_ONLY)
        word = guarded.kernel.control().word
        for _ in range(1000):
            flipped = abi.Word(word.fallback, word.active, 0)
            guarded.kernel.transition(word.encode(), flipped.encode())
            word = flipped
            assert talks(client)


def test_swapping_the_program_keeps_connections(guarded):
    world = guarded.world
    guarded.enforce(PEER_ONLY)
    with connection(world.peer, US, SERVICE) as client:
        for _ in range(5):
            world.us.inside(guarded.kernel.attach, guarded.hook, guarded.interface)
            assert talks(client)
        assert len(guarded.sessions()) == 1


def test_failsafe_of_the_config_keeps_ssh(guarded):
    world = guarded.world
    ssh = Failsafe(Direction.INGRESS, rule("x", "tcp/22").services[0].protocol, 22, _network(PEER))
    guarded.kernel.set_failsafe(Config(failsafe=(ssh,)).failsafe_keys())
    guarded.enforce(bundle())
    assert tcp(world.peer, US, 22)
    assert not tcp(world.peer, US, 22, source=STRANGER)


def _network(text: str):
    from ipaddress import ip_network

    return ip_network(text)
