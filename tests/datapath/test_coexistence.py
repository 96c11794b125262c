"""Beside other users of tc: theirs keep running, ours is put back when removed and goes without a trace."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from builders import bundle, rule
from keeping import Kept, need_tcx
from tally import tallies
from world import PEER, STRANGER, US, Namespace, World, connection, talks, tcp, udp

from tcmicro_agent.abi import Direction, Reason
from tcmicro_agent.config import Config, HookKind
from tcmicro_agent.datapath import hooks, libbpf
from tcmicro_agent.policy.model import Action

SERVICE = 5432
POLICY = bundle(rule("p/db", f"tcp/{SERVICE}", (1,)), endpoints={PEER: 1}, egress=Action.ALLOW)
KINDS = ["tcx", "clsact"]


@pytest.fixture(scope="module")
def world():
    made = World()
    made.serve(made.us, SERVICE)
    yield made
    made.close()


def tc(space: Namespace, *words: str) -> str:
    return space.run("tc", *words)


@pytest.fixture(params=KINDS)
def host(request, kernel, world):
    made = Kept(kernel, world, request.param)
    made.enforce(POLICY)
    yield made
    made.close()


class Foreign:
    """Somebody else's programs on eth0, which count what they see and let it pass."""

    def __init__(self, bpffs: Path, world: World, stack: ExitStack) -> None:
        self._world = world
        self._tallies = tallies(bpffs, "foreign", stack)

    def attach(self, kind: str, *, front: bool) -> None:
        if kind == "clsact":
            tc(self._world.us, "qdisc", "replace", "dev", "eth0", "clsact")
        for way, tally in self._tallies.items():
            tally.attach(kind, self._world, way, front=front)

    def seen(self) -> int:
        """Packets in both directions."""
        return sum(tally.total()[0] for tally in self._tallies.values())


@pytest.fixture
def foreign(bpffs, world):
    with ExitStack() as stack:
        yield Foreign(bpffs, world, stack)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", ["they", "we"])
def test_others_see_what_we_let_pass_and_stay_when_we_go(host, world, foreign, kind, first):
    if first == "they":
        foreign.attach(kind, front=False)
    host.converge()
    if first == "we":
        foreign.attach(kind, front=False)
    before = foreign.seen()
    assert tcp(world.peer, US, SERVICE)
    seen = foreign.seen()
    assert seen > before
    assert not tcp(world.peer, US, SERVICE, source=STRANGER)
    host.converge()
    assert host.attachments.repairs == {}
    host.let_go()
    assert tcp(world.peer, US, SERVICE, source=STRANGER)
    assert foreign.seen() > seen
    if kind == "clsact":
        assert "tally" in tc(world.us, "filter", "show", "dev", "eth0", "egress")


@pytest.mark.parametrize("host", ["tcx"], indirect=True)
def test_ours_comes_first_on_tcx_whoever_was_there(host, world, foreign):
    foreign.attach("tcx", front=True)
    theirs = {direction: host.tcx_programs("eth0", direction) for direction in Direction}
    host.converge()
    for direction in Direction:
        [ours, *others] = host.tcx_programs("eth0", direction)
        assert [ours] != others == theirs[direction]


def remove(host, direction: str) -> None:
    """What others do to us by mistake."""
    if host.config.hook is HookKind.CLSACT:
        tc(host.world.us, "filter", "del", "dev", "eth0", direction, "prio", "49000")
        return
    index = host.links()["eth0"].index
    (host.kernel.pins / f"links/{index}_{direction}").unlink()
    deadline = time.monotonic() + 10
    while host.tcx_programs("eth0", Direction[direction.upper()]):  # the kernel lets go later
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_ours_is_put_back_and_counted(host, world):
    host.converge()
    assert not udp(world.peer, US, SERVICE)
    remove(host, "ingress")
    assert udp(world.peer, US, SERVICE)
    assert host.converge() == ["eth0: our program was gone from ingress, put back"]
    host.forget_sessions()
    assert not udp(world.peer, US, SERVICE)
    remove(host, "egress")
    remove(host, "ingress")
    host.converge()
    assert host.attachments.repairs == {("eth0", "ingress"): 2, ("eth0", "egress"): 1}
    assert host.converge() == []


@pytest.mark.parametrize("host", ["tcx"], indirect=True)
def test_a_link_that_was_cut_short_before_it_had_its_name_is_replaced(host, world):
    host.converge()
    links = host.kernel.pins / "links"
    pins = {pin.name for pin in links.iterdir()}
    for name in pins:
        (links / name).rename(links / f"{name}_new")
    host.converge()
    assert {pin.name for pin in links.iterdir()} == pins
    assert len(host.tcx_programs("eth0", Direction.INGRESS)) == 1
    assert not tcp(world.peer, US, SERVICE, source=STRANGER)


@pytest.mark.parametrize("host", ["clsact"], indirect=True)
def test_a_clsact_qdisc_that_somebody_deletes_is_made_again(host, world):
    host.converge()
    tc(world.us, "qdisc", "del", "dev", "eth0", "clsact")
    host.converge()
    assert host.attachments.repairs.total() == 2
    assert not tcp(world.peer, US, SERVICE, source=STRANGER)


def test_another_hook_takes_over_under_a_live_connection(host, world):
    need_tcx()
    host.converge()
    with connection(world.peer, US, SERVICE) as client:
        for kind in [k for k in HookKind if k is not host.config.hook and k is not HookKind.AUTO]:
            host.config = Config(hook=kind)
            host.converge()
            assert {hook.name for hook, _ in host.hooked()} == {kind.value}
            assert talks(client)
    assert not tcp(world.peer, US, SERVICE, source=STRANGER)
    assert host.attachments.repairs == {}


def test_an_interface_in_another_namespace_is_nobody_of_ours(host, world):
    world.us.ip("link", "add", "m0", "type", "veth", "peer", "m1")
    host.converge()
    assert host.names() == "eth0 m0 m1"
    index = host.links()["m1"].index
    world.us.ip("link", "set", "m1", "netns", world.peer.name)
    host.converge(newcomers=False)
    world.us.ip("link", "add", "m2", "index", str(index), "type", "bridge")
    left = world.peer.inside(socket.if_nametoindex, "m1")
    for kind in hooks.TCX_ATTACH_TYPES.values():
        assert not world.peer.inside(libbpf.programs_at, left, kind)
    host.converge()
    assert host.names() == "eth0 m0 m2"
    assert host.links()["m2"].index == index
    world.us.ip("link", "del", "m2")
    world.us.ip("link", "del", "m0")
    host.converge()
    assert host.attachments.repairs == {}


def test_an_index_that_is_given_again_is_another_interface(host, world):
    for kind in ("bridge", "ifb", "bridge"):
        world.us.ip("link", "add", "n0", "index", "700", "type", kind)
        host.converge()
        assert host.names() == ("eth0" if kind == "ifb" else "eth0 n0")
        world.us.ip("link", "del", "n0")
        if kind == "ifb":
            host.converge()
    host.converge()
    assert host.names() == "eth0"


def test_the_old_judge_stays_until_the_new_one_is_there(host, world):
    """eth0 becomes a port of a bridge, with its addresses, under a live connection."""
    host.converge()
    with connection(world.peer, US, SERVICE) as client:
        world.us.ip("link", "add", "b0", "type", "bridge")
        world.us.ip("link", "set", "eth0", "master", "b0")
        host.converge(newcomers=False)
        assert host.names() == "eth0"
        world.us.ip("link", "set", "b0", "up")
        world.us.ip("addr", "del", f"{US}/24", "dev", "eth0")
        world.us.ip("addr", "add", f"{US}/24", "dev", "b0")
        host.converge()
        assert host.names() == "b0"
        assert talks(client) or client.recv(1) == b"?"
    assert tcp(world.peer, US, SERVICE)
    assert not tcp(world.peer, US, SERVICE, source=STRANGER)
    assert host.counted(Reason.DEFAULT_DENY) > 0
    world.us.ip("addr", "add", f"{US}/24", "dev", "eth0")
    world.us.ip("link", "del", "b0")
